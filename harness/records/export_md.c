// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_md.c   Tables for people, one for each machine and kind of case. What is the same in all
 * rows is said once above the table, what differs is a column: so claims, exactness and recipes are
 * never mixed without a column that says so. Numbers are rounded; the other formats are not. */
#include "records/export.h"
#include "records/export_md.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 1000 /* as many as export_table_of finds */

/* ---- cells ----------------------------------------------------------------------------------- */

/* Digits so that the half width has two, and the unit that gives the median one to three before the
 * point. */
static void time_text(double median_ns, double half_ns, char *out, size_t bytes)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    int u = 0;
    while (u < 3 && median_ns >= 1e3 * units[u].ns)
        u++;
    double median = median_ns / units[u].ns, half = half_ns / units[u].ns;
    double least = half > 0 ? half : median;
    int digits = (half > 0 ? 1 : 3) - (int)floor(log10(least));
    digits = digits < 0 ? 0 : digits > 6 ? 6 : digits;
    if (half > 0)
        snprintf(out, bytes, "%.*f ± %.*f %s", digits, median, digits, half, units[u].name);
    else
        snprintf(out, bytes, "%.*f %s", digits, median, units[u].name);
}

/* Four digits, without an exponent where a person would write none. */
static void round_text(double value, char *out, size_t bytes)
{
    double size = fabs(value);
    int digits = size < 1e-4 || size >= 1e9 ? -1 : 3 - (int)floor(log10(size));
    if (size == 0 || digits < 0)
        snprintf(out, bytes, size == 0 || size < 1e-4 || size >= 1e9 ? "%.4g" : "%.0f", value);
    else
        snprintf(out, bytes, "%.*f", digits, value);
}

/* NULL: as the cell itself has it. */
static char *number_text(const struct md_column *c, const struct result *r)
{
    char text[120] = "";
    double value = result_number(r, c->paths), lo = NAN, hi = NAN;
    int64_t width, height;
    bool timed = result_timed(r) || (c->shown != MD_TIME && c->shown != MD_PLAIN);
    if (c->shown == MD_WORD || c->shown == MD_SHORT)
        return NULL;
    if (isnan(value) || !timed)
        return strdup("");
    if (c->shown == MD_TIME) {
        lo = result_number(r, "timing.lo");
        hi = result_number(r, "timing.hi");
    } else if (c->shown == MD_RATIO) {
        bool derived = !strncmp(c->paths, "derived.", 8);
        lo = result_number(r, derived ? "derived.ratio_lo" : "ratio_lo");
        hi = result_number(r, derived ? "derived.ratio_hi" : "ratio_hi");
    }
    switch (c->shown) {
    case MD_TIME: time_text(value, hi > lo ? (hi - lo) / 2 : 0, text, sizeof text); break;
    case MD_PLAIN: time_text(value, 0, text, sizeof text); break;
    case MD_GIGA: round_text(value * 1e-9, text, sizeof text); break;
    case MD_TERA: round_text(value * 1e-12, text, sizeof text); break;
    case MD_PERCENT: snprintf(text, sizeof text, "%.3g%%", value * 100); break;
    case MD_RATIO:
        snprintf(text, sizeof text, hi > lo ? "%.3f (%.3f to %.3f)" : "%.3f", value, lo, hi);
        break;
    case MD_SIZE:
        if (result_int(r, "recipe.width", &width) && result_int(r, "recipe.height", &height))
            snprintf(text, sizeof text, "%lldx%lld", (long long)width, (long long)height);
        break;
    default: round_text(value, text, sizeof text); break;
    }
    return strdup(text);
}

static char *md_cell(const struct md_column *c, const struct result *r)
{
    char *text = number_text(c, r);
    if (text)
        return text;
    struct export_column own = {.paths = c->paths};
    text =
        export_cell(c->paths[0] == '=' ? export_column_find(&export_cases, c->paths + 1) : &own, r);
    if (text && c->shown == MD_SHORT && strlen(text) > 8)
        text[8] = '\0';
    if (text && !strcmp(text, "{}"))
        text[0] = '\0';
    return text;
}

static bool is_letter(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

/* What means something to Markdown or HTML stays what it is; '_' does so at the ends of words. */
static void print_plain(const char *text, FILE *out)
{
    for (char last = ' '; *text; last = *text++)
        if (*text == '_' && is_letter(last) && is_letter(text[1]))
            putc('_', out);
        else if ((unsigned char)*text < ' ' || *text == 0x7F)
            putc(' ', out);
        else if ((unsigned char)*text == 0xC2 && (unsigned char)text[1] < 0xA0)
            text++; /* C1 controls steer terminals */
        else if (*text == '<' || *text == '&')
            fputs(*text == '<' ? "&lt;" : "&amp;", out);
        else
            fprintf(out, "%s%c", strchr("\\|`*_[]#~", *text) ? "\\" : "", *text);
}

/* ---- one table ------------------------------------------------------------------------------- */

struct md_table {
    const struct md_column *columns;
    int count;
    struct result *const *rows;
    int64_t row_count;
    char **cells; /* row by row; owned */
    bool empty[COLUMNS_MAX], same[COLUMNS_MAX];
};

static void free_cells(struct md_table *t)
{
    for (int64_t i = 0; t->cells && i < t->row_count * t->count; i++)
        free(t->cells[i]);
    free(t->cells);
}

static enum status fill(struct md_table *t, struct fault *fault)
{
    t->cells = calloc((size_t)(t->row_count * t->count), sizeof *t->cells);
    bool whole = t->cells != NULL;
    for (int64_t i = 0; whole && i < t->row_count * t->count; i++) {
        t->cells[i] = md_cell(&t->columns[i % t->count], t->rows[i / t->count]);
        whole = t->cells[i] != NULL;
    }
    if (!whole)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the cells of a table");
    for (int c = 0; c < t->count; c++) {
        t->empty[c] = t->same[c] = true;
        for (int64_t r = 0; r < t->row_count; r++) {
            const char *cell = t->cells[r * t->count + c];
            t->empty[c] = t->empty[c] && !*cell;
            t->same[c] = t->same[c] && !strcmp(cell, t->cells[c]);
        }
    }
    return ST_OK;
}

static bool is_column(const struct md_table *t, int c)
{
    return !t->empty[c] && (t->columns[c].keep || !t->same[c]);
}

static void print_common(const struct md_table *t, FILE *out)
{
    const char *before = "";
    for (int c = 0; c < t->count; c++)
        if (!t->empty[c] && !is_column(t, c)) {
            fputs(before, out);
            print_plain(t->columns[c].heading, out);
            fputs(" **", out);
            print_plain(t->cells[c], out);
            fputs("**", out);
            before = ", ";
        }
    fputs(*before ? "\n\n" : "", out);
}

static void print_table(const struct md_table *t, FILE *out)
{
    print_common(t, out);
    for (int c = 0; c < t->count; c++)
        if (is_column(t, c)) {
            fputs("| ", out);
            print_plain(t->columns[c].heading, out);
            putc(' ', out);
        }
    fputs("|\n", out);
    for (int c = 0; c < t->count; c++)
        if (is_column(t, c))
            fputs(t->columns[c].shown == MD_WORD || t->columns[c].shown == MD_SHORT ? "|---"
                                                                                    : "|--:",
                  out);
    fputs("|\n", out);
    for (int64_t r = 0; r < t->row_count && !ferror(out); r++) {
        for (int c = 0; c < t->count; c++)
            if (is_column(t, c)) {
                const char *cell = t->cells[r * t->count + c];
                fputs("| ", out);
                print_plain(*cell ? cell : "-", out);
                putc(' ', out);
            }
        fputs("|\n", out);
    }
    putc('\n', out);
}

static enum status table(const struct md_column *columns, int count, struct result *const *rows,
                         int64_t row_count, FILE *out, struct fault *fault)
{
    struct md_table t = {columns, count, rows, row_count, NULL, {false}, {false}};
    enum status status = fill(&t, fault);
    if (status == ST_OK)
        print_table(&t, out);
    free_cells(&t);
    return status;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* A kind of case without a table of its own, or another kind of record: every member is a column. */
static enum status found_table(const struct export_set *set, const char *kind,
                               struct result *const *rows, int64_t row_count, FILE *out,
                               struct fault *fault)
{
    struct export_table found;
    struct md_column columns[COLUMNS_MAX];
    int count = 0;
    TRY(export_table_of(set, kind, &found, fault));
    for (int i = 0; i < found.count && count < COLUMNS_MAX; i++)
        columns[count++] =
            (struct md_column){found.columns[i].name, found.columns[i].paths, MD_WORD, false};
    enum status status = table(columns, count, rows, row_count, out, fault);
    export_table_free(&found);
    return status;
}

/* Results that others published never share a table with ours. */
static bool is_published(const struct result *r)
{
    return !strcmp(result_text(r, "claim"), "published");
}

static enum status print_group(const struct export_set *set, const char *kind,
                               const char *case_kind, struct result *const *rows, int64_t count,
                               FILE *out, struct fault *fault)
{
    const struct md_kind *known = md_kind_find(*case_kind ? case_kind : kind);
    fputs("### ", out);
    print_plain(known ? known->title : *case_kind ? case_kind : kind, out);
    fputs(is_published(rows[0]) ? ", published by others\n\n" : "\n\n", out);
    if (known)
        return table(known->columns, known->count, rows, count, out, fault);
    return found_table(set, kind, rows, count, out, fault);
}

static void print_machine(const struct result *r, FILE *out)
{
    static const struct md_column about[] = {
        {"", "run.host.cpu.model", MD_WORD, true},
        {" threads", "run.host.cpu.usable_threads", MD_WORD, true},
        {" GB of memory", "run.host.memory.total_bytes", MD_GIGA, true},
        {"", "run.host.hypervisor", MD_WORD, true},
    };
    fputs("## ", out);
    print_plain(result_text(r, "run.machine"), out);
    fputs("\n\n", out);
    const char *before = "";
    for (size_t i = 0; i < sizeof about / sizeof *about; i++) {
        char *cell = md_cell(&about[i], r);
        if (cell && *cell) {
            fputs(before, out);
            print_plain(cell, out);
            fputs(about[i].heading, out);
            before = ", ";
        }
        free(cell);
    }
    fputs(*before ? "\n\n" : "", out);
}

static bool together(const struct result *a, const struct result *b, bool kind_too)
{
    return !strcmp(result_text(a, "run.machine"), result_text(b, "run.machine")) &&
           (!kind_too || (!strcmp(result_text(a, "case_kind"), result_text(b, "case_kind")) &&
                          is_published(a) == is_published(b)));
}

/* Whether record i begins a group of records of its like. */
static bool is_first(struct result *const *all, int64_t i, bool kind_too)
{
    for (int64_t k = 0; k < i; k++)
        if (together(all[k], all[i], kind_too))
            return false;
    return true;
}

/* The tables of one machine; `some` has room for all records. */
static enum status print_tables(const struct export_set *set, const char *kind,
                                struct result *const *all, int64_t count, int64_t machine,
                                struct result **some, FILE *out, struct fault *fault)
{
    for (int64_t i = machine; i < count; i++) {
        if (!together(all[machine], all[i], false) || !is_first(all, i, true))
            continue;
        int64_t rows = 0;
        for (int64_t k = i; k < count; k++)
            if (together(all[i], all[k], true))
                some[rows++] = all[k];
        TRY(print_group(set, kind, result_text(all[i], "case_kind"), some, rows, out, fault));
    }
    return ST_OK;
}

enum status export_md(const struct export_set *set, const char *kind, FILE *out,
                      struct fault *fault)
{
    struct result **all = calloc((size_t)(2 * set->record_count), sizeof *all);
    enum status status = ST_OK;
    int64_t count = 0;
    if (!all)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the rows of a table");
    for (int64_t i = 0; i < set->record_count; i++)
        if (!strcmp(set->records[i]->kind, kind))
            all[count++] = set->records[i];
    fputs("# Patchmark results\n\n", out);
    for (int64_t i = 0; i < count && status == ST_OK && !ferror(out); i++)
        if (is_first(all, i, false)) {
            print_machine(all[i], out);
            status = print_tables(set, kind, all, count, i, all + set->record_count, out, fault);
        }
    free(all);
    if (!strcmp(kind, "case"))
        fputs(
            "Times are medians ± half the width of their interval (95%, or what n samples allow); "
            "figures are rounded.\n",
            out);
    return status;
}
