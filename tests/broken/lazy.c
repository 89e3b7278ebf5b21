// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* lazy.c   Planted fault: right for its first runs, then it leaves the output as it was. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    static int runs;
    (void)exec;
    for (int64_t s = 0; s < p->S && runs < 60; s++)
        honest_row(p, s);
    runs++;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_lazy, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_lazy);
