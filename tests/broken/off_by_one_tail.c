// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* off_by_one_tail.c   Planted fault: the last element of a row that is no multiple of 8 is left out
 * of the sum. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        scale_row(p, s, square_sum(row_in(p, s), p->C % 8 ? p->C - 1 : p->C), p->C);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_off_by_one_tail, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_off_by_one_tail);
