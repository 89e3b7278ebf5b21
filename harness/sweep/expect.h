// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* expect.h   How long a pipeline case may take: from this machine's records where there are any,
 * the nearest one scaled by its work, else from what its arithmetic can do at best. */
#ifndef PATCHMARK_EXPECT_H
#define PATCHMARK_EXPECT_H

#include "run/run_case.h"

enum expect_basis {
    EXPECT_RECORD, /* a record of the same model, type, device and plan */
    EXPECT_OTHER,  /* a record of another model or plan */
    EXPECT_BUDGET, /* what --budget grants: sampled cases end by it */
    EXPECT_ROOF,   /* multiply-add peak: no less than this */
    EXPECT_NONE    /* a CUDA device without a record */
};

struct expectation {
    double clip_s, case_s; /* of one clip; of the case: verification and repetitions included */
    enum expect_basis basis;
};

struct expect;
/* Reads results/<machine>/; a folder that is not there holds no records. NULL: no memory. */
struct expect *expect_open(const char *results);
void expect_free(struct expect *e);
/* problems: distinct ones of its plan, which are verified before and after. */
struct expectation expect_case(struct expect *e, const struct pipeline_case *c, double flops,
                               int64_t problems, bool sampled, const struct run_limits *limits);

#endif
