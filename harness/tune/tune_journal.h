// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_journal.h   Which buckets of a search are decided, so that one that was interrupted or killed
 * goes on where it was: results/<machine>/tune-<search>.journal, a line per bucket, appended with one
 * write and synced, behind the table's own change. A line that was torn by a kill is dropped and its
 * bucket searched again. The search is named by a hash over what it was asked for and over every
 * kernel's source. The file is removed when all is decided. */
#ifndef PATCHMARK_TUNE_JOURNAL_H
#define PATCHMARK_TUNE_JOURNAL_H

#include "tune/tune.h"

struct tune_journal {
    char path[4200];
    int fd; /* -1: none */
};

/* Opens or begins the search's journal in `folder` and takes in what it says of the list's buckets:
 * their decision, counts and figures, resumed set; nothing where `afresh` forgets it. *resumed: how
 * many. */
enum status tune_journal_open(const char *folder, const char *place, const char *what,
                              const struct tune_options *options, struct bucket_list *list,
                              struct tune_journal *j, bool afresh, int *resumed,
                              struct fault *fault);
enum status tune_journal_add(struct tune_journal *j, const struct bucket *b, struct fault *fault);
/* finished: the file goes. */
void tune_journal_close(struct tune_journal *j, bool finished);

#endif
