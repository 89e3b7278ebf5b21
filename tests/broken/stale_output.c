// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* stale_output.c   Planted fault: hands out what the run before computed. */
#include "honest.h"

#define KEPT 65536

static float kept[KEPT];

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++) {
        honest_row(p, s);
        float *y = row_out(p, s);
        for (int64_t c = 0; c < p->C; c++) {
            float now = y[c], *slot = &kept[(s * p->C + c) % KEPT];
            y[c] = *slot;
            *slot = now;
        }
    }
    return ST_OK;
}

VARIANT(rms_norm, broken_90_stale_output, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_stale_output);
