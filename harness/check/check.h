// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check.h   One variant, one problem, one set of data: run it between guard bands on poisoned
 * outputs and hold it against the reference (design section 3). Used by verify, and by kernels
 * before a clock runs. */
#ifndef PATCHMARK_CHECK_H
#define PATCHMARK_CHECK_H

#include "variant/bound.h"

struct check_result {
    enum status status; /* ST_OK, ST_WRONG, ST_NONFINITE, ST_NO_MEMORY, ... */
    double worst;       /* largest |got - ref| over its tolerance */
    double l2;          /* relative L2 error over what was checked, worst output */
    double max_abs;
    double checked_ratio; /* checked values / all values */
    int64_t nonfinite;    /* non-finite outputs that the reference does not have */
    char text[512];       /* where and what, for a failure */
};

/* Runs it on other data first, then twice on the operands' present data, which it leaves as it was,
 * and compares: both runs bit by bit, the last one with the reference. seconds limits the
 * reference's time: past it rows are sampled, every kind of edge and 64 random ones drawn after the
 * run; fewer of both where one row takes very long. */
void check_bound(struct bound *b, uint64_t seed, double seconds, struct check_result *out);

/* Likewise where there are hundreds of problems to check: sampled rows take sample_seconds, but for
 * the 8 that there are in any case. */
void check_bound_within(struct bound *b, uint64_t seed, double seconds, double sample_seconds,
                        struct check_result *out);

/* Fills the operands anew from the seed, packs the weights and runs it once, on poison and between
 * guard bands; what it leaves is not compared. */
enum status check_replay(struct bound *b, uint64_t seed, struct fault *fault);

/* One number over all values of all outputs as they stand in host memory. */
uint64_t check_outputs_hash(const struct operands *operands);

#endif
