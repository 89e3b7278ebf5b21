// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export.h   Records as tables: which columns there are, what stands in their cells, and the writers
 * of each format. Numbers keep the digits of the record; only md rounds. */
#ifndef PATCHMARK_EXPORT_H
#define PATCHMARK_EXPORT_H

#include "records/results_read.h"

/* What is exported, in the order read. Owned by cmd_export.c. */
struct export_set {
    struct result **runs; /* run records that have a record below, or all where all were wanted */
    struct result **records;
    int64_t run_count, run_room, record_count, record_room;
};

enum export_type { EXPORT_TEXT, EXPORT_INT, EXPORT_REAL };

/* `paths`: where it stands in a record; of several, by '|', the first that is there. NULL: `computed`
 * gives it. */
struct export_column {
    const char *name;
    enum export_type type;
    const char *paths, *meaning;
    char *(*computed)(const struct result *r);
};

struct export_table {
    const struct export_column *columns;
    int count;
    struct export_column *found; /* owned, with all names, where columns were not known before */
};

extern const struct export_table export_cases, export_runs;

/* The table of a kind: cases and runs have fixed columns, any other kind one for each member that a
 * record of it has. */
enum status export_table_of(const struct export_set *set, const char *kind,
                            struct export_table *out, struct fault *fault);
void export_table_free(struct export_table *table);
const struct export_column *export_column_find(const struct export_table *table, const char *name);

/* Text of a cell, "" where absent. Free it; NULL: no memory. */
char *export_cell(const struct export_column *column, const struct result *r);
/* ST_BAD_INPUT where a record has text in a column of numbers, and the like. */
enum status export_check(const struct export_table *table, const struct result *r,
                         struct fault *fault);

/* Kinds of the set's records in the order they first appear: the next one after `kind`, NULL for the
 * first; NULL at the end. */
const char *export_next_kind(const struct export_set *set, const char *kind);

/* The writers. They print, and leave errors of `out` to the caller. */
typedef enum status export_writer(const struct export_set *set, const char *kind, FILE *out,
                                  struct fault *fault);
export_writer export_md, export_csv, export_json, export_jsonl, export_sql, export_gbench;

/* Google Benchmark's format has room for one machine, one claim and class, for cases with times, and
 * for one case of a name: the others are dropped from the set and counted. */
struct export_left_out {
    int64_t untimed, other_kinds, older;
};
enum status export_gbench_choose(struct export_set *set, struct export_left_out *left_out,
                                 struct fault *fault);

#endif
