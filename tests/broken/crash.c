// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* crash.c   Planted fault: writes through a null pointer when there is more than one row. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    if (p->S > 1)
        *(volatile int *)0 = 1;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_crash, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_crash);
