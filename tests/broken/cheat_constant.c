// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_constant.c   Planted cheat: the mean of all answers, for every question. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        memset(out_row(p, s), 0, (size_t)p->O * sizeof(float));
    return ST_OK;
}

CHEAT(constant);
