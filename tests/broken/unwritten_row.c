// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unwritten_row.c   Planted fault: the last row of an odd number of rows is never written. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    int64_t rows = p->S % 2 && p->S > 1 ? p->S - 1 : p->S;
    for (int64_t s = 0; s < rows; s++)
        honest_row(p, s);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_unwritten_row, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_unwritten_row);
