// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_gbench.c   The JSON that Google Benchmark writes and its compare.py reads: each sample a
 * repetition, then the aggregates. Times of the processor are not measured; cpu_time, which every
 * reader of the format expects, repeats real_time, and the context says so. */
#include "records/export.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

/* compare.py pairs benchmarks by name, and different recipes may not be compared, so the name ends
 * in the recipe's hash. Figures of other claims never share one with measured ones. Free it. */
static char *name_of(const struct result *r)
{
    static const char *const parts[] = {
        "case_kind",     "recipe.op",    "recipe.model",  "recipe.ceiling", "impl.variant",
        "recipe.shape",  "recipe.width", "recipe.height", "recipe.frames",  "recipe.threads",
        "recipe.device", "claim",        "=class"};
    char *name = strdup("");
    for (size_t i = 0; name && i < sizeof parts / sizeof *parts; i++) {
        struct export_column own = {.paths = parts[i]};
        char *word = export_cell(
            *parts[i] == '=' ? export_column_find(&export_cases, parts[i] + 1) : &own, r);
        char *longer = NULL;
        if (!word || asprintf(&longer, "%s%s%s", name, *name && *word ? "/" : "", word) < 0)
            longer = NULL;
        free(word);
        free(name);
        name = longer;
    }
    char *whole = NULL;
    if (name && asprintf(&whole, "%s/%.8s", name, result_text(r, "recipe_sha256")) < 0)
        whole = NULL;
    free(name);
    return whole;
}

static void free_names(char **names, int64_t count)
{
    for (int64_t i = 0; names && i < count; i++)
        free(names[i]);
    free(names);
}

static char **names_of(const struct export_set *set, struct fault *fault)
{
    char **names = calloc((size_t)set->record_count + 1, sizeof *names);
    bool whole = names != NULL;
    for (int64_t i = 0; whole && i < set->record_count; i++)
        whole = (names[i] = name_of(set->records[i])) != NULL;
    if (whole)
        return names;
    free_names(names, set->record_count);
    fault_set(fault, ST_NO_MEMORY, "no memory for the names of benchmarks");
    return NULL;
}

/* ---- what fits into the format --------------------------------------------------------------- */

static bool is_newest(const struct export_set *set, char **names, int64_t i)
{
    const char *created = result_text(set->records[i], "created_utc");
    for (int64_t k = 0; k < set->record_count; k++) {
        const char *other = result_text(set->records[k], "created_utc");
        int order = k == i || strcmp(names[k], names[i]) ? -1 : strcmp(other, created);
        if (order > 0 || (order == 0 && k > i))
            return false;
    }
    return true;
}

static void drop_untimed(struct export_set *set, int64_t *dropped)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < set->record_count; i++)
        if (result_timed(set->records[i]))
            set->records[kept++] = set->records[i];
        else
            result_drop(set->records[i]);
    *dropped = set->record_count - kept;
    set->record_count = kept;
}

/* compare.py takes a mean over all it reads, and figures of two claims, or exact and approximate
 * ones, have none. */
static bool is_kind(const struct result *r, const char *claim, const char *class)
{
    char *own = export_cell(export_column_find(&export_cases, "class"), r);
    bool is = own && !strcmp(own, class) && !strcmp(result_text(r, "claim"), claim);
    free(own);
    return is;
}

/* Measured and exact ones stay, where there are some; else all must be of one kind. */
static enum status drop_other_kinds(struct export_set *set, int64_t *dropped, struct fault *fault)
{
    char *class = set->record_count
                      ? export_cell(export_column_find(&export_cases, "class"), set->records[0])
                      : NULL;
    const char *claim = class ? result_text(set->records[0], "claim") : "";
    int64_t alike = 0, plain = 0, kept = 0;
    for (int64_t i = 0; class && i < set->record_count; i++) {
        alike += is_kind(set->records[i], claim, class);
        plain += is_kind(set->records[i], "measured", "exact");
    }
    free(class);
    *dropped = 0;
    if (alike == set->record_count)
        return ST_OK;
    if (!plain)
        return fault_set(fault, ST_BAD_INPUT,
                         "Google Benchmark's format has no place for claim and class, and these "
                         "cases differ in them; choose with --where claim=C or --where class=C");
    for (int64_t i = 0; i < set->record_count; i++)
        if (is_kind(set->records[i], "measured", "exact"))
            set->records[kept++] = set->records[i];
        else
            result_drop(set->records[i]);
    *dropped = set->record_count - kept;
    set->record_count = kept;
    return ST_OK;
}

static enum status drop_older(struct export_set *set, int64_t *dropped, struct fault *fault)
{
    char **names = names_of(set, fault);
    bool *newest = names ? calloc((size_t)set->record_count + 1, sizeof *newest) : NULL;
    int64_t kept = 0;
    if (!newest) {
        free_names(names, set->record_count);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the names of benchmarks");
    }
    for (int64_t i = 0; i < set->record_count; i++)
        newest[i] = is_newest(set, names, i);
    free_names(names, set->record_count);
    for (int64_t i = 0; i < set->record_count; i++)
        if (newest[i])
            set->records[kept++] = set->records[i];
        else
            result_drop(set->records[i]);
    free(newest);
    *dropped = set->record_count - kept;
    set->record_count = kept;
    return ST_OK;
}

enum status export_gbench_choose(struct export_set *set, struct export_left_out *left_out,
                                 struct fault *fault)
{
    drop_untimed(set, &left_out->untimed);
    TRY(drop_other_kinds(set, &left_out->other_kinds, fault));
    for (int64_t i = 1; i < set->record_count; i++)
        if (strcmp(result_text(set->records[i], "run.machine"),
                   result_text(set->records[0], "run.machine")))
            return fault_set(fault, ST_BAD_INPUT,
                             "Google Benchmark's format holds one machine, and these results are "
                             "of %s and %s; choose one with --where machine=NAME",
                             result_text(set->records[0], "run.machine"),
                             result_text(set->records[i], "run.machine"));
    return drop_older(set, &left_out->older, fault);
}

/* ---- the document ---------------------------------------------------------------------------- */

static void write_context(const struct result *r, struct json *j)
{
    int64_t threads;
    json_open_object(j, "context");
    json_text(j, "date", result_text(r, "created_utc"));
    json_text(j, "host_name", result_text(r, "run.machine"));
    json_text(j, "executable", "patchmark");
    if (result_int(r, "run.host.cpu.threads", &threads))
        json_int(j, "num_cpus", threads);
    json_open_array(j, "caches");
    json_end(j);
    json_text(j, "patchmark_commit", result_text(r, "run.tool.commit"));
    json_text(j, "patchmark_note",
              "times are of the wall clock or the device; cpu_time repeats "
              "real_time, for it is not measured");
    json_end(j);
}

/* Members that repetitions and aggregates share. */
struct family {
    const struct result *r;
    const char *name;
    int64_t index, repetitions, threads, iterations;
};

static void open_entry(const struct family *f, const char *type, const char *aggregate,
                       struct json *j)
{
    char name[1400];
    snprintf(name, sizeof name, "%s%s%s", f->name, aggregate ? "_" : "",
             aggregate ? aggregate : "");
    json_open_object(j, NULL);
    json_text(j, "name", name);
    json_int(j, "family_index", f->index);
    json_int(j, "per_family_instance_index", 0);
    json_text(j, "run_name", f->name);
    json_text(j, "run_type", type);
    json_int(j, "repetitions", f->repetitions);
}

static void close_entry(double time, const struct family *f, struct json *j)
{
    json_int(j, "threads", f->threads);
    json_int(j, "iterations", f->iterations);
    json_number(j, "real_time", time);
    json_number(j, "cpu_time", time);
    json_text(j, "time_unit", "ns");
    json_end(j);
}

static void write_aggregate(const struct family *f, const char *name, const char *unit,
                            double value, struct json *j)
{
    if (isnan(value))
        return;
    open_entry(f, "aggregate", name, j);
    json_text(j, "aggregate_name", name);
    json_text(j, "aggregate_unit", unit);
    close_entry(value, f, j);
}

/* Threads belong to the recipe, and the name has them; in this format they are copies of the
 * benchmark that run beside each other, of which there is one. */
static void write_family(const struct result *r, const char *name, int64_t index, struct json *j)
{
    struct family f = {r, name, index, result_items(r, "timing.samples"), 1, 1};
    double mean = result_number(r, "timing.mean");
    result_int(r, "timing.runs_per_sample", &f.iterations);
    for (int64_t i = 0; i < f.repetitions; i++) {
        open_entry(&f, "iteration", NULL, j);
        json_int(j, "repetition_index", i);
        close_entry(result_item(r, "timing.samples", i), &f, j);
    }
    if (!f.repetitions)
        result_int(r, "timing.n", &f.repetitions);
    write_aggregate(&f, "mean", "time", mean, j);
    write_aggregate(&f, "median", "time", result_number(r, "timing.median"), j);
    write_aggregate(&f, "stddev", "time", result_number(r, "timing.cv") * mean, j);
    write_aggregate(&f, "cv", "percentage", result_number(r, "timing.cv"), j);
}

enum status export_gbench(const struct export_set *set, const char *kind, FILE *out,
                          struct fault *fault)
{
    struct json j;
    char **names = names_of(set, fault);
    (void)kind;
    if (!names)
        return ST_NO_MEMORY;
    json_init(&j, true);
    json_open_object(&j, NULL);
    write_context(set->records[0], &j);
    json_open_array(&j, "benchmarks");
    for (int64_t i = 0; i < set->record_count; i++)
        write_family(set->records[i], names[i], i, &j);
    json_end(&j);
    json_end(&j);
    free_names(names, set->record_count);
    enum status status =
        j.failed ? fault_set(fault, ST_NO_MEMORY, "no memory for the export") : ST_OK;
    if (status == ST_OK)
        fprintf(out, "%s\n", j.text);
    json_free(&j);
    return status;
}
