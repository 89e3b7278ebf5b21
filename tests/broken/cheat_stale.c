// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_stale.c   Planted cheat: computes where it finds poison, and else takes what stands in the
 * output for its answer: the run before left it there. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    if (isnan(out_row(p, p->S - 1)[p->O - 1]))
        honest(p);
    else
        for (int64_t s = 0; s < p->S / 8; s++)
            honest_row(p, s); /* so as not to be faster than any machine */
    return ST_OK;
}

CHEAT(stale);
