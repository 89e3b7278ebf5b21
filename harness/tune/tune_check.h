// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_check.h   `tune --check`: does the table still hold? */
#ifndef PATCHMARK_TUNE_CHECK_H
#define PATCHMARK_TUNE_CHECK_H

#include "tune/tune.h"

/* The table's lines for the list's buckets against the untuned choice, the largest shares first
 * within the budget; those that are SLOWER are dropped, *slower says how many. Of a model (`what` is
 * no file and no line), then whole clips with and without the table, each run in a process of its
 * own, in turn. */
enum status tune_check(const struct tune_options *options, const char *what, const char *place,
                       const char *path, const struct tuned *table, struct bucket_list *list,
                       int *slower, struct fault *fault);

#endif
