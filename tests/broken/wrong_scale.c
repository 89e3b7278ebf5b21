// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wrong_scale.c   Planted fault: everything is too large by one part in ten thousand. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        scale_row(p, s, square_sum(row_in(p, s), p->C) * 0.9998, p->C);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_wrong_scale, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_wrong_scale);
