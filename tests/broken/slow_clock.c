// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* slow_clock.c   Planted fault: right, but it patches the timer of its process. */
#include "honest.h"

#include "slow_clock.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    slow_clock_start();
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_slow_clock, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_slow_clock);
