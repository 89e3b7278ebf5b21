// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* nan_swallowed.c   Planted fault: a clamp behind the norm turns NaN and infinity into numbers. */
#include <float.h>

#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++) {
        float *y = row_out(p, s);
        honest_row(p, s);
        for (int64_t c = 0; c < p->C; c++)
            y[c] = fminf(fmaxf(y[c], -FLT_MAX), FLT_MAX);
    }
    return ST_OK;
}

VARIANT(rms_norm, broken_90_nan_swallowed, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_nan_swallowed);
