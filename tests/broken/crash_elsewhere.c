// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* crash_elsewhere.c   Planted fault: one of two replicas writes through a null pointer after it has
 * been right for a while. */
#include "honest.h"

#include "elsewhere.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    static int runs;
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    if (++runs > 60 && is_elsewhere())
        *(volatile int *)0 = 1;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_crash_elsewhere, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_crash_elsewhere);
