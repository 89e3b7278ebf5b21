// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* overstated_work.c   Planted fault: right, but claims more work than any machine does in its
 * time. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    return ST_OK;
}

static void work(const void *problem, const int64_t *knob, struct work *work)
{
    (void)problem;
    (void)knob;
    work->flops = 1e15;
}

VARIANT(rms_norm, broken_90_overstated_work, .numerics = NUM_F32, .work = work);
PLUGIN(&variant_rms_norm_broken_90_overstated_work);
