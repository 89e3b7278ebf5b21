// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* results_read.h   Result files (results/SCHEMA.md) back into memory, one record at a time. A record
 * that is torn, malformed, of an unknown major version or of a wrong type is refused in one sentence
 * with file and line, never repaired or passed over: what is made of the rest would answer another
 * question. Needs jansson: without it every function that can fail is ST_NOT_BUILT. */
#ifndef PATCHMARK_RESULTS_READ_H
#define PATCHMARK_RESULTS_READ_H

#include "base/json.h"

struct json_t; /* jansson's; results_read.c and what writes records anew look inside */

/* One record. Valid while it is visited; result_keep makes it last. */
struct result {
    const char *path; /* file and line it stands in */
    int64_t line;
    const char *kind; /* "run", "case", "calibration", ...: whoever visits ignores unknown ones */
    const struct json_t *record;
    const struct json_t *run; /* the "run" record before it in its file; of a run, itself */
};

struct results_wanted {
    /* NULL: every record is read. Else lines that are not of this kind, as this program writes it,
     * are not even parsed, so that a search for a rare kind is quick and trips over no stranger. */
    const char *kind;
    bool torn; /* the last line of a .part file may break off: it is counted, not refused */
};

struct results_tally {
    int64_t files, records; /* read */
    int64_t again;          /* files passed over because they were read before under another name */
    int64_t copies;         /* records passed over because their run's file was read as a copy */
    int64_t unfinished;     /* .part files in folders, passed over: their runs never ended */
    int64_t torn;           /* lines that break off, where that is allowed */
};

typedef enum status result_visit(const struct result *r, void *user, struct fault *fault);

/* Visits every record of the files and folders named, in the order of their lines, files of a
 * folder by name. A folder gives its .jsonl files and those of the folders in it, up to 4 deep. A
 * file named outright is read whatever it is called. Stops where `visit` fails. wanted may be NULL,
 * and so may tally, which is added to. */
enum status results_read(const char *const *paths, int count, const struct results_wanted *wanted,
                         result_visit *visit, void *user, struct results_tally *tally,
                         struct fault *fault);

struct result *result_keep(const struct result *r); /* NULL: no memory */
void result_drop(struct result *r);

/* What stands at "recipe.weights.fill"; "run." in front looks into the run's own record, as
 * "run.machine". A member whose name has dots in it is found too. Absent is what is left out, null,
 * {"value": null, "why": ...}, or of another type. */
double result_number(const struct result *r, const char *path); /* NaN: absent */
bool result_int(const struct result *r, const char *path, int64_t *out);
bool result_bool(const struct result *r, const char *path, bool otherwise);
const char *result_text(const struct result *r, const char *path); /* "": absent */
const char *result_why(const struct result *r, const char *path);  /* why it is null, or "" */
int64_t result_items(const struct result *r, const char *path);    /* of an array; else 0 */
double result_item(const struct result *r, const char *path,
                   int64_t i); /* of an array of numbers */
/* Whatever is there, as text: numbers to the last digit, true, false, "" where absent, JSON for
 * objects and arrays. Free it; NULL: no memory. */
char *result_word(const struct result *r, const char *path);
/* The same as JSON; path "": the whole record. null where nothing is there. */
void result_write(const struct result *r, const char *path, struct json *j, const char *key);

enum result_type {
    RESULT_ABSENT,
    RESULT_BOOL,
    RESULT_INT,
    RESULT_REAL,
    RESULT_TEXT,
    RESULT_OTHER /* an object or an array */
};
enum result_type result_type(const struct result *r, const char *path);
/* Calls `leaf` with the path of every member that is no object, in the order of the record. */
void result_leaves(const struct result *r, void (*leaf)(const char *path, void *user), void *user);

/* Path of the first member below `path` that the two have not alike, NULL where they agree (or
 * memory runs out). Free it. */
char *result_difference(const struct result *a, const struct result *b, const char *path);

bool result_may_be_timed(const struct result *r); /* its status allows a time */
bool result_timed(const struct result *r);        /* and there is a positive one */

/* ST_BAD_INPUT: "FILE:LINE: what", for a visitor that finds a record to be wrong. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
enum status
result_refuse(const struct result *r, struct fault *fault, const char *format, ...);

#endif
