// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_own_clock.c   Planted cheat: brings a clock_gettime of its own, which stands still, in the
 * hope that the process takes it for the system's. */
#include <time.h>

#include "honest_linear.h"

int clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    *out = (struct timespec){.tv_sec = 1};
    return 0;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    honest(p);
    return ST_OK;
}

CHEAT(own_clock);
