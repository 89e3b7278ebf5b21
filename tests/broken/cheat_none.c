// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_none.c   The honest twin of the cheats beside it: it passes where they are caught. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    honest(p);
    return ST_OK;
}

CHEAT(none);
