// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sweep.h   A list of cases that survives its program. Beside the record file X.jsonl.part stands
 * X.jsonl.journal, which says what the sweep is and which cases are done; a case is done once its
 * records and its line in the journal are on disk. What is left of a killed sweep is gone on with
 * by `run --resume`, and the case that was under way is run again from its beginning.
 *
 * Lines of a journal: sweep VERSION | record NAME | run_id ID | machine NAME | build COMMIT ... |
 * word ARGUMENT (of the command line, in order) | option --NAME=VALUE (all of them, as in force) |
 * case KEY (in order) | begun BYTES CASES SAMPLES (of the record file, and bytes of the samples beside
 * it) | done NUMBER STATE BYTES CASES SAMPLES | resumed UTC */
#ifndef PATCHMARK_SWEEP_H
#define PATCHMARK_SWEEP_H

#include "records/record.h"
#include "sweep/run_cases.h"

/* What was asked for. Two that agree are the same sweep. */
struct sweep_plan {
    int argc;
    char **argv; /* of the command line, behind `run` */
    const struct option *options;
    const struct case_list *list; /* with keys */
    const char *results;          /* folder */
};

struct sweep;

/* ---- going on with one ---- */

/* The journal to go on with: `path`, or, where it is NULL, the newest of this machine in `results`
 * that no process holds. Reads it; nothing is resumed yet. */
enum status sweep_find(const char *path, const char *results, struct sweep **out,
                       struct fault *fault);
/* The words it was begun with; owned by the sweep. */
void sweep_words(const struct sweep *s, int *argc, char ***argv);
/* Whether a command line says no more than --resume, and where output goes. */
bool sweep_alone(int argc, char **argv);
/* Refuses a plan that is not the one it was begun with, naming what differs; else opens its record
 * file behind the last case done. */
enum status sweep_resume(struct sweep *s, const struct sweep_plan *plan, struct fault *fault);

/* ---- beginning one ---- */

enum status sweep_begin(const struct sweep_plan *plan, struct sweep **out, struct fault *fault);

/* ---- running it ---- */

struct record_file *sweep_records(struct sweep *s);
/* The state in which a case ended before this process began, NULL: it is to be run. Cases count from
 * 0. */
const char *sweep_state(const struct sweep *s, int number);
int sweep_done_before(const struct sweep *s);
int sweep_session(const struct sweep *s); /* 1, and one more each time it was gone on with */
/* The case's records are written: from here on it is done. */
enum status sweep_done(struct sweep *s, int number, const char *state, struct fault *fault);
/* All are done: the record file gets its name, *path (owned by the sweep), and the journal goes. */
enum status sweep_finish(struct sweep *s, const char **path, struct fault *fault);
/* Stopped by `status`, whose sentence is in *fault: adds the command that goes on. Where no case
 * was done nothing is kept. */
void sweep_stop(struct sweep *s, enum status status, struct fault *fault);
void sweep_free(struct sweep *s);

#endif
