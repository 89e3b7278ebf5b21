// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* write_past_end.c   Planted fault: the last row is stored in whole vectors of 8. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    float *last = row_out(p, p->S - 1);
    for (int64_t c = p->C; c < (p->C + 7) / 8 * 8; c++)
        last[c] = 0;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_write_past_end, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_write_past_end);
