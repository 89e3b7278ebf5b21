// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cached_by_address.c   Planted fault: takes the same address for the same data and hands out the
 * result of the first time. */
#include "honest.h"

#define KEPT 65536

static float kept[KEPT];
static const void *seen;

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S && p->x.data != seen; s++) {
        honest_row(p, s);
        for (int64_t c = 0; c < p->C; c++)
            kept[(s * p->C + c) % KEPT] = row_out(p, s)[c];
    }
    for (int64_t s = 0; s < p->S; s++) {
        for (int64_t c = 0; c < p->C; c++)
            row_out(p, s)[c] = kept[(s * p->C + c) % KEPT];
    }
    seen = p->x.data;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_cached_by_address, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_cached_by_address);
