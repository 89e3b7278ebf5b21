// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* talks.c   Planted fault: right, but it prints what a worker would say of a very fast clip. */
#include "honest.h"

#include <stdio.h>

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    printf("sample 1000 300 400 300 1 1 1 0 400\nready\nbye\n{\"forged\": true}\n");
    fflush(stdout);
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_talks, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_talks);
