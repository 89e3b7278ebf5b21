// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check.h   One variant, one problem, one set of data: run it between guard bands on poisoned
 * outputs and hold it against the reference (design section 3). Used by verify, and by kernels
 * before a clock runs. */
#ifndef PATCHMARK_CHECK_H
#define PATCHMARK_CHECK_H

#include "guarded.h"
#include "operands.h"
#include "registry.h"

struct check_result {
    enum status status;             /* ST_OK, ST_WRONG, ST_NONFINITE, ST_NO_MEMORY, ... */
    double worst;                   /* largest |got - ref| over its tolerance */
    double l2;                      /* relative L2 error over what was checked, worst output */
    double max_abs;
    double checked_ratio;           /* checked values / all values */
    int64_t nonfinite;              /* non-finite outputs that the reference does not have */
    char text[512];                 /* where and what, for a failure */
};

/* A variant bound to operands: scratch, packed weights, state, handle. */
struct bound {
    const struct variant *variant;
    struct operands *operands;
    struct problem problem;         /* what run() sees: weights that are packed have no data */
    int64_t knob[KNOB_MAX];
    struct need need;
    struct exec exec;
    struct guarded scratch, packed, state;
};

enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault);
/* Packs the weights and takes the operands' addresses: call it after every operands_fill. */
enum status bound_prepare(struct bound *b, struct fault *fault);
enum status bound_run(struct bound *b);
void bound_free(struct bound *b);

/* Runs it on other data first, then twice on the operands' present data, which it leaves as it was,
 * and compares: both runs bit by bit, the last one with the reference. seconds limits the
 * reference's time: past it rows are sampled (64 random ones, drawn after the run, and every kind
 * of edge). */
void check_bound(struct bound *b, uint64_t seed, double seconds, struct check_result *out);

#endif
