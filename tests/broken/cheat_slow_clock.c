// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_slow_clock.c   Planted cheat: patches the timer of its process. */
#include "honest_linear.h"
#include "slow_clock.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    slow_clock_start();
    honest(p);
    return ST_OK;
}

CHEAT(slow_clock);
