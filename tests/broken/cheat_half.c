// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_half.c   Planted cheat: where an earlier answer stands in its output, every other row is left
 * as it is. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    const bool poisoned = isnan(out_row(p, p->S - 1)[p->O - 1]);
    (void)exec;
    for (int64_t s = 0; s < p->S; s += poisoned ? 1 : 2)
        honest_row(p, s);
    return ST_OK;
}

CHEAT(half);
