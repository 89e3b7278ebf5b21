// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_hidden_nan.c   Planted cheat: one value in one of many rows is NaN, where a sample of them
 * hardly looks. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    honest(p);
    out_row(p, p->S / 3)[p->O / 2] = NAN;
    return ST_OK;
}

CHEAT(hidden_nan);
