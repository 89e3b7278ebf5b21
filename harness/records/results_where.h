// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* results_where.h   --where FIELD=VALUE, which chooses among records. FIELD is a column of export or a
 * path within a record; VALUE may have * and ? in it. Given several times, all must hold. */
#ifndef PATCHMARK_RESULTS_WHERE_H
#define PATCHMARK_RESULTS_WHERE_H

#include "records/results_read.h"

#define RESULTS_WHERE_OPTION                                                                       \
    {                                                                                              \
        "--where", "FIELD=VALUE", OPTION_EACH, NULL,                                               \
            "only these; FIELD a column or a path as in results/SCHEMA.md, * in VALUE",            \
            results_where_add                                                                      \
    }

enum status results_where_add(const char *text, struct fault *fault);
int results_where_count(void);
bool results_where_passes(const struct result *r);
/* ST_BAD_INPUT where no record so far had one of the fields: a slip of the pen, with names like it. */
enum status results_where_met(struct fault *fault);

#endif
