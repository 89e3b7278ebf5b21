// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_flat.c   One row a record: csv and jsonl; and json, which keeps records whole. */
#include "records/export.h"

#include <stdlib.h>
#include <string.h>

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "no memory for a row of the export");
}

/* ---- csv (RFC 4180) -------------------------------------------------------------------------- */

/* Spreadsheets take a cell that begins so for a formula, in full width too, and run it. */
static bool is_formula(const char *text)
{
    static const char *const wide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
                                       "\xEF\xBC\xA0"}; /* = + - @ */
    text += strspn(text, " ");
    bool found = *text && strchr("=+-@\t\r\n", *text);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        found = found || !strncmp(text, wide[i], 3);
    return found;
}

static void print_csv(const char *text, bool number, FILE *out)
{
    bool formula = !number && is_formula(text);
    size_t n = strlen(text);
    bool bare = !formula && !text[strcspn(text, ",;\"'\t\r\n")];
    if (bare && (n == 0 || (text[0] != ' ' && text[n - 1] != ' '))) {
        fputs(text, out);
        return;
    }
    fputs(formula ? "\"'" : "\"", out);
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (const char[]){*text, '\0'}, out);
    putc('"', out);
}

static enum status csv_row(const struct export_table *table, const struct result *r, FILE *out,
                           struct fault *fault)
{
    for (int i = 0; i < table->count; i++) {
        char *cell = export_cell(&table->columns[i], r);
        if (!cell)
            return no_memory(fault);
        if (i)
            putc(',', out);
        print_csv(cell, table->columns[i].type != EXPORT_TEXT, out);
        free(cell);
    }
    fputs("\r\n", out);
    return ST_OK;
}

static enum status csv_table(const struct export_table *table, const struct export_set *set,
                             const char *kind, FILE *out, struct fault *fault)
{
    for (int i = 0; i < table->count; i++)
        fprintf(out, "%s%s", i ? "," : "", table->columns[i].name);
    fputs("\r\n", out);
    for (int64_t i = 0; i < set->record_count && !ferror(out); i++)
        if (!strcmp(set->records[i]->kind, kind))
            TRY(csv_row(table, set->records[i], out, fault));
    return ST_OK;
}

enum status export_csv(const struct export_set *set, const char *kind, FILE *out,
                       struct fault *fault)
{
    struct export_table table;
    TRY(export_table_of(set, kind, &table, fault));
    enum status status = csv_table(&table, set, kind, out, fault);
    export_table_free(&table);
    return status;
}

/* ---- jsonl: the same columns, absent ones null ----------------------------------------------- */

static enum status jsonl_row(const struct export_table *table, const struct result *r, FILE *out,
                             struct fault *fault)
{
    struct json j;
    bool whole = true;
    json_init(&j, false);
    json_open_object(&j, NULL);
    for (int i = 0; i < table->count; i++) {
        const struct export_column *c = &table->columns[i];
        char *cell = export_cell(c, r);
        whole = whole && cell;
        if (!cell || !*cell)
            json_none(&j, c->name);
        else if (c->type == EXPORT_TEXT)
            json_text(&j, c->name, cell);
        else
            json_raw(&j, c->name, cell);
        free(cell);
    }
    json_end(&j);
    whole = whole && !j.failed;
    if (whole)
        fprintf(out, "%s\n", j.text);
    json_free(&j);
    return whole ? ST_OK : no_memory(fault);
}

enum status export_jsonl(const struct export_set *set, const char *kind, FILE *out,
                         struct fault *fault)
{
    struct export_table table;
    TRY(export_table_of(set, kind, &table, fault));
    enum status status = ST_OK;
    for (int64_t i = 0; i < set->record_count && status == ST_OK && !ferror(out); i++)
        if (!strcmp(set->records[i]->kind, kind))
            status = jsonl_row(&table, set->records[i], out, fault);
    export_table_free(&table);
    return status;
}

/* ---- json: whole records, by kind ------------------------------------------------------------ */

static enum status json_record(const struct result *r, bool first, FILE *out, struct fault *fault)
{
    struct json j;
    json_init(&j, false);
    result_write(r, "", &j, NULL);
    bool failed = j.failed;
    if (!failed)
        fprintf(out, "%s\n    %s", first ? "" : ",", j.text);
    json_free(&j);
    return failed ? no_memory(fault) : ST_OK;
}

static enum status json_records(struct result *const *records, int64_t count, const char *kind,
                                FILE *out, struct fault *fault)
{
    struct json name;
    json_init(&name, false);
    json_text(&name, NULL, kind);
    bool failed = name.failed, first = true;
    if (!failed)
        fprintf(out, ",\n  %s: [", name.text);
    json_free(&name);
    if (failed)
        return no_memory(fault);
    for (int64_t i = 0; i < count && !ferror(out); i++)
        if (!strcmp(records[i]->kind, kind)) {
            TRY(json_record(records[i], first, out, fault));
            first = false;
        }
    fputs(first ? "]" : "\n  ]", out);
    return ST_OK;
}

enum status export_json(const struct export_set *set, const char *kind, FILE *out,
                        struct fault *fault)
{
    fputs("{\n  \"format\": \"patchmark export 1\"", out);
    TRY(json_records(set->runs, set->run_count, "run", out, fault));
    for (const char *k = NULL; (k = export_next_kind(set, k));)
        if ((!kind || !strcmp(k, kind)) && strcmp(k, "run"))
            TRY(json_records(set->records, set->record_count, k, out, fault));
    fputs("\n}\n", out);
    return ST_OK;
}
