// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* slow_elsewhere.c   Planted fault: right, but one of two replicas sleeps in every call. */
#include "honest.h"

#include <time.h>

#include "elsewhere.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    if (is_elsewhere())
        nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_slow_elsewhere, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_slow_elsewhere);
