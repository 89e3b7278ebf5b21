// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_export.c   export: records in the formats of other tools. Everything is read and checked
 * before the first byte is written. */
#include "base/out_file.h"
#include "cmd/commands.h"
#include "records/export.h"
#include "records/results_where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULTS_MAX 4096

static const struct format {
    const char *name, *kind; /* kind: what it holds where none is asked for; NULL: all */
    export_writer *write;
} formats[] = {
    {"md", "case", export_md},       {"csv", "case", export_csv}, {"json", NULL, export_json},
    {"jsonl", "case", export_jsonl}, {"sql", NULL, export_sql},   {"gbench", "case", export_gbench},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const char *format_name = "md", *kind_wanted, *output;
static bool show_columns;

static const struct option options[] = {
    {"--format", "F", OPTION_TEXT, &format_name,
     "md (the default), csv, json, jsonl, sql (for sqlite3), gbench (Google Benchmark's)"},
    {"-o", "FILE", OPTION_TEXT, &output, "written whole or not at all (standard output)"},
    {"--kind", "KIND", OPTION_TEXT, &kind_wanted,
     "run, case, compare, ... (case; json and sql: all)"},
    RESULTS_WHERE_OPTION,
    {"--columns", NULL, OPTION_FLAG, &show_columns, "list the columns of csv, jsonl and sql"},
    {0},
};

void help_export(FILE *out)
{
    fputs("  RESULTS                    result files or folders of them (results/)\n", out);
    options_help(options, out);
    fputs(
        "\nmd rounds, and says once above a table what all its rows share; csv, jsonl and sql\n"
        "have one row a case and the digits of the record; json keeps records whole. A text that\n"
        "a spreadsheet would run as a formula gets a ' in front in csv. Exit code 3: no record\n"
        "is of that kind or passes --where.\n",
        out);
}

/* ---- choosing -------------------------------------------------------------------------------- */

struct chooser {
    struct export_set *set;
    const char *kind;   /* NULL: any */
    struct result *run; /* of the file, not in the set yet */
    bool whole;         /* runs without a record are wanted too */
};

static enum status push(struct result ***list, int64_t *count, int64_t *room, struct result *r,
                        struct fault *fault)
{
    if (r && *count == *room) {
        int64_t more = *room ? 2 * *room : 64;
        struct result **longer = realloc(*list, (size_t)more * sizeof *longer);
        if (longer) {
            *list = longer;
            *room = more;
        }
    }
    if (!r || *count == *room) {
        result_drop(r);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
    }
    (*list)[(*count)++] = r;
    return ST_OK;
}

/* Of a record, where it is not in the set yet. */
static enum status push_run(struct chooser *c, const struct result *r, struct fault *fault)
{
    struct result *run = c->run && c->run->record == r->run ? c->run : NULL;
    if (run)
        c->run = NULL;
    return run ? push(&c->set->runs, &c->set->run_count, &c->set->run_room, run, fault) : ST_OK;
}

static enum status choose(const struct result *r, void *user, struct fault *fault)
{
    struct chooser *c = user;
    if (!strcmp(r->kind, "run")) {
        result_drop(c->run);
        c->run = result_keep(r);
        if (!c->run)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
        TRY(export_check(&export_runs, r, fault));
        bool wanted = c->kind && !strcmp(c->kind, "run") ? results_where_passes(r) : c->whole;
        return wanted ? push_run(c, r, fault) : ST_OK;
    }
    if ((c->kind && strcmp(r->kind, c->kind)) || !results_where_passes(r))
        return ST_OK;
    if (!strcmp(r->kind, "case"))
        TRY(export_check(&export_cases, r, fault));
    TRY(push_run(c, r, fault));
    return push(&c->set->records, &c->set->record_count, &c->set->record_room, result_keep(r),
                fault);
}

static void export_set_free(struct export_set *set)
{
    for (int64_t i = 0; i < set->run_count; i++)
        result_drop(set->runs[i]);
    for (int64_t i = 0; i < set->record_count; i++)
        result_drop(set->records[i]);
    free(set->runs);
    free(set->records);
}

static enum status nothing(const struct format *format, const char *kind, struct fault *fault)
{
    TRY(results_where_met(fault));
    return fault_set(fault, ST_UNAVAILABLE, "there is nothing to export as %s: no record %s%s%s",
                     format->name, kind ? "of kind " : "", kind ? kind : "is there",
                     results_where_count() ? " passes --where" : "");
}

/* Which records, and that there are some. Runs are records of the table where they are asked for. */
static enum status gather(const struct format *format, const char *kind, const char *const *results,
                          int count, struct export_set *set, struct results_tally *tally,
                          struct fault *fault)
{
    struct chooser c = {.set = set, .kind = kind, .whole = !kind && !results_where_count()};
    enum status status = results_read(results, count, NULL, choose, &c, tally, fault);
    result_drop(c.run);
    TRY(status);
    bool of_runs = kind && !strcmp(kind, "run");
    if (of_runs && format->kind) {
        set->records = set->runs;
        set->record_count = set->run_count;
        set->runs = NULL;
        set->run_count = 0;
    }
    return set->record_count || (of_runs && set->run_count) ? ST_OK : nothing(format, kind, fault);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum status write_file(const struct format *format, const char *kind,
                              const struct export_set *set, struct fault *fault)
{
    struct out_file file;
    TRY(out_file_open(&file, output, fault));
    int fd = dup(file.fd);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    enum status status =
        out ? format->write(set, kind, out, fault)
            : fault_set(fault, ST_IO, "cannot write %s: %s", output, strerror(errno));
    if (!out && fd >= 0)
        close(fd);
    if (out && ((ferror(out) != 0) | (fclose(out) != 0)) && status == ST_OK)
        status = fault_set(fault, ST_IO, "cannot write %s: %s", output, strerror(errno));
    if (status == ST_OK)
        return out_file_commit(&file, fault);
    out_file_discard(&file);
    return status;
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

static void tell(const struct results_tally *tally, const struct export_left_out *left_out)
{
    const struct {
        int64_t count;
        const char *what;
    } notes[] = {
        {tally->unfinished, "unfinished run%s (.part) not read"},
        {tally->again, "file%s given twice and read once"},
        {tally->copies, "record%s of copied files taken once"},
        {left_out->untimed, "case%s without a time left out"},
        {left_out->other_kinds,
         "case%s left out that are not measured and exact; --where claim=... chooses others"},
        {left_out->older, "case%s left out for a newer one of the same name and recipe"},
    };
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes[i].count) {
            fprintf(stderr, "export: %lld ", (long long)notes[i].count);
            fprintf(stderr, notes[i].what, plural(notes[i].count));
            putc('\n', stderr);
        }
}

static enum status export_all(const struct format *format, const char *const *results, int count,
                              struct export_set *set, struct fault *fault)
{
    struct results_tally tally = {0};
    struct export_left_out left_out = {0};
    const char *kind = kind_wanted ? kind_wanted : format->kind;
    if (output)
        TRY(out_file_check(output, fault));
    TRY(gather(format, kind, results, count, set, &tally, fault));
    if (format->write == export_gbench)
        TRY(export_gbench_choose(set, &left_out, fault));
    if (!set->record_count && format->kind)
        return fault_set(fault, ST_UNAVAILABLE,
                         "there is nothing to export as %s: none of %lld "
                         "cases has a time",
                         format->name, (long long)left_out.untimed);
    tell(&tally, &left_out);
    if (!output)
        return format->write(set, kind, stdout, fault);
    TRY(write_file(format, kind, set, fault));
    fprintf(stderr, "export: %lld record%s in %s\n",
            (long long)(set->record_count ? set->record_count : set->run_count),
            plural(set->record_count ? set->record_count : set->run_count), output);
    return ST_OK;
}

static void print_columns(void)
{
    static const char *const types[] = {
        [EXPORT_TEXT] = "text", [EXPORT_INT] = "int", [EXPORT_REAL] = "real"};
    const struct export_table *const tables[] = {&export_cases, &export_runs};
    for (int t = 0; t < 2; t++) {
        printf("%s%s\n", t ? "\n" : "", t ? "runs" : "cases");
        for (int i = 0; i < tables[t]->count; i++) {
            const struct export_column *c = &tables[t]->columns[i];
            printf("  %-19s %-5s %s%s(%s)\n", c->name, types[c->type], c->meaning,
                   *c->meaning ? " " : "",
                   c->paths ? c->paths : "recipe.plan_class, impl.numerics");
        }
    }
}

static enum status find_format(const struct format **out, struct fault *fault)
{
    const char *names[FORMATS];
    char near[160];
    *out = NULL;
    for (int i = 0; i < FORMATS; i++) {
        names[i] = formats[i].name;
        if (!strcmp(format_name, names[i]))
            *out = &formats[i];
    }
    nearest_names(format_name, names, FORMATS, near, sizeof near);
    if (!*out)
        return fault_set(fault, ST_BAD_INPUT,
                         "--format is md, csv, json, jsonl, sql or gbench, not '%s'%s", format_name,
                         near);
    if ((*out)->write == export_gbench && kind_wanted && strcmp(kind_wanted, "case"))
        return fault_set(fault, ST_BAD_INPUT, "gbench holds cases alone, no --kind %s",
                         kind_wanted);
    return ST_OK;
}

int cmd_export(int argc, char **argv, struct fault *fault)
{
    const char *results[RESULTS_MAX] = {"results"};
    int count = RESULTS_MAX;
    const struct format *format;
    struct export_set set = {0};
    enum status status = options_parse(options, argc, argv, results, &count, fault);
    if (status == ST_OK && show_columns)
        print_columns();
    else if (status == ST_OK && (status = find_format(&format, fault)) == ST_OK)
        status = export_all(format, results, count ? count : 1, &set, fault);
    export_set_free(&set);
    return exit_code_of(status);
}
