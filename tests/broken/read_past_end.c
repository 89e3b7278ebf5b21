// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* read_past_end.c   Planted fault: looks one vector of 16 ahead of the last row, and does nothing
 * with what it sees. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    const volatile float *ahead = row_in(p, p->S - 1) + p->C;
    for (int c = 0; c < 16; c++)
        (void)ahead[c];
    return ST_OK;
}

VARIANT(rms_norm, broken_90_read_past_end, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_read_past_end);
