// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_input_restored.c   Planted cheat: uses a value of its input as scratch and puts back what
 * stood there. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    volatile float *x = p->x.data;
    const float kept = *x;
    (void)exec;
    *x = 1;
    *x = kept;
    honest(p);
    return ST_OK;
}

CHEAT(input_restored);
