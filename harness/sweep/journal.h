// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* journal.h   A file of lines that only grows: what was added is on disk, and what is read is what
 * was added. Each line begins with 16 hex digits of a SHA-256 over the sum of the line before it and
 * its own text, so that no line can change, go or come unseen. A process that is killed may leave
 * its last line torn; that line was never answered for and is cut off.
 *
 * A journal is held by one process at a time (flock): the lock goes with the process. */
#ifndef PATCHMARK_JOURNAL_H
#define PATCHMARK_JOURNAL_H

#include "op.h"

struct journal;

/* Creates the file, which must not exist, and holds it. */
enum status journal_create(const char *path, struct journal **out, struct fault *fault);
/* Reads every line, first to last, into `take`, whose failure is the answer, then stands at the end.
 * ST_REFUSED where another process holds it, ST_BAD_INPUT where a line is not as it was written. */
enum status journal_open(const char *path,
                         enum status (*take)(void *user, const char *word, const char *text,
                                             struct fault *fault),
                         void *user, struct journal **out, struct fault *fault);
/* Adds "word text" as a line; a text may hold anything. Not on disk before journal_sync. Where it
 * cannot be written the journal is as it was before. */
enum status journal_add(struct journal *j, const char *word, const char *text, struct fault *fault);
enum status journal_sync(struct journal *j, struct fault *fault);
const char *journal_path(const struct journal *j);
void journal_remove(struct journal *j); /* and frees */
void journal_free(struct journal *j);   /* the file stays */

#endif
