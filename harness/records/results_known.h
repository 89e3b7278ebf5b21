// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* results_known.h   Records met before under another file name. A copy of a file would count as a
 * second measurement, and one that was edited as evidence. */
#ifndef PATCHMARK_RESULTS_KNOWN_H
#define PATCHMARK_RESULTS_KNOWN_H

#include "records/results_read.h"

struct results_known {
    void *tree; /* of search.h; starts as NULL */
};

/* *copy: the line (its bytes as they stand) was met before as the same kind and case of the same
 * run. ST_BAD_INPUT where that one differed. Records without a run_id and a number are never
 * copies. */
enum status results_known_meet(struct results_known *known, const struct result *r,
                               const char *line, size_t bytes, bool *copy, struct fault *fault);
void results_known_free(struct results_known *known);

#endif
