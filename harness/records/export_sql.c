// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_sql.c   Tables for sqlite3: runs, cases, samples, and one for each other kind of record.
 * Reading the same export twice changes nothing: a row replaces the one of the same run and case. */
#include "records/export.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES_PER_INSERT 100

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "no memory for a row of the export");
}

static void print_quoted(const char *text, char quote, FILE *out)
{
    putc(quote, out);
    for (; *text; text++) {
        if (*text == quote)
            putc(quote, out);
        putc(*text, out);
    }
    putc(quote, out);
}

static enum status print_value(const struct export_column *c, const struct result *r, FILE *out,
                               struct fault *fault)
{
    char *cell = export_cell(c, r);
    if (!cell)
        return no_memory(fault);
    if (!*cell)
        fputs("NULL", out);
    else if (c->type == EXPORT_TEXT)
        print_quoted(cell, '\'', out);
    else
        fputs(cell, out);
    free(cell);
    return ST_OK;
}

/* Columns, and what tells rows apart: the run, and the case within it. */
static void create(const struct export_table *table, const char *name, FILE *out)
{
    static const char *const types[] = {
        [EXPORT_TEXT] = "TEXT", [EXPORT_INT] = "INTEGER", [EXPORT_REAL] = "REAL"};
    fputs("CREATE TABLE IF NOT EXISTS ", out);
    print_quoted(name, '"', out);
    fputs(" (", out);
    for (int i = 0; i < table->count; i++) {
        fputs(i ? ",\n  " : "\n  ", out);
        print_quoted(table->columns[i].name, '"', out);
        fprintf(out, " %s", types[table->columns[i].type]);
    }
    bool run = export_column_find(table, "run_id"), one = export_column_find(table, "case");
    if (run)
        fprintf(out, ",\n  PRIMARY KEY (\"run_id\"%s)", one ? ", \"case\"" : "");
    fputs("\n);\n", out);
}

static enum status insert(const struct export_table *table, const char *name,
                          const struct result *r, FILE *out, struct fault *fault)
{
    fputs("INSERT OR REPLACE INTO ", out);
    print_quoted(name, '"', out);
    fputs(" (", out);
    for (int i = 0; i < table->count; i++) {
        fputs(i ? "," : "", out);
        print_quoted(table->columns[i].name, '"', out);
    }
    fputs(") VALUES (", out);
    for (int i = 0; i < table->count; i++) {
        fputs(i ? "," : "", out);
        TRY(print_value(&table->columns[i], r, out, fault));
    }
    fputs(");\n", out);
    return ST_OK;
}

static enum status rows(const struct export_table *table, const char *name,
                        struct result *const *records, int64_t count, const char *kind, FILE *out,
                        struct fault *fault)
{
    create(table, name, out);
    for (int64_t i = 0; i < count && !ferror(out); i++)
        if (!strcmp(records[i]->kind, kind))
            TRY(insert(table, name, records[i], out, fault));
    return ST_OK;
}

/* Raw samples, where the record itself keeps them. */
static enum status samples_of(const struct result *r, FILE *out, struct fault *fault)
{
    int64_t count = result_items(r, "timing.samples"), number = 0;
    const char *run = result_text(r, "run_id");
    if (!*run || !result_int(r, "case", &number))
        return ST_OK;
    for (int64_t i = 0; i < count; i++) {
        bool opens = i % SAMPLES_PER_INSERT == 0;
        struct json value;
        json_init(&value, false);
        json_number(&value, NULL, result_item(r, "timing.samples", i));
        if (value.failed) {
            json_free(&value);
            return no_memory(fault);
        }
        if (opens)
            fprintf(out, "%sINSERT OR REPLACE INTO \"samples\" VALUES ", i ? ";\n" : "");
        fputs(opens ? "(" : ",(", out);
        print_quoted(run, '\'', out);
        fprintf(out, ",%lld,%lld,%s)", (long long)number, (long long)i, value.text);
        json_free(&value);
    }
    if (count)
        fputs(";\n", out);
    return ST_OK;
}

static enum status samples(const struct export_set *set, FILE *out, struct fault *fault)
{
    fputs("CREATE TABLE IF NOT EXISTS \"samples\" (\n  \"run_id\" TEXT,\n  \"case\" INTEGER,\n"
          "  \"number\" INTEGER,\n  \"ns\" REAL,\n"
          "  PRIMARY KEY (\"run_id\", \"case\", \"number\")\n);\n",
          out);
    for (int64_t i = 0; i < set->record_count && !ferror(out); i++)
        if (!strcmp(set->records[i]->kind, "case"))
            TRY(samples_of(set->records[i], out, fault));
    return ST_OK;
}

/* "compare" -> "compare_records": no name of ours is a word of SQL. */
static enum status other(const struct export_set *set, const char *kind, FILE *out,
                         struct fault *fault)
{
    struct export_table table;
    char *name;
    TRY(export_table_of(set, kind, &table, fault));
    enum status status = no_memory(NULL);
    if (asprintf(&name, "%s_records", kind) > 0) {
        status = rows(&table, name, set->records, set->record_count, kind, out, fault);
        free(name);
    }
    export_table_free(&table);
    return status;
}

enum status export_sql(const struct export_set *set, const char *kind, FILE *out,
                       struct fault *fault)
{
    fputs("-- patchmark export; read it with: sqlite3 FILE.db\nBEGIN;\n", out);
    TRY(rows(&export_runs, "runs", set->runs, set->run_count, "run", out, fault));
    if (!kind || !strcmp(kind, "case")) {
        TRY(rows(&export_cases, "cases", set->records, set->record_count, "case", out, fault));
        TRY(samples(set, out, fault));
    }
    for (const char *k = NULL; (k = export_next_kind(set, k));)
        if ((!kind || !strcmp(k, kind)) && strcmp(k, "run") && strcmp(k, "case"))
            TRY(other(set, k, out, fault));
    fputs("COMMIT;\n", out);
    return ST_OK;
}
