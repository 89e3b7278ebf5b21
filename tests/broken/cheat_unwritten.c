// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_unwritten.c   Planted cheat: of many rows one is left as it was found, where a sample of them
 * hardly looks. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        if (s != p->S / 3)
            honest_row(p, s);
    return ST_OK;
}

CHEAT(unwritten);
