// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_leaks.c   Planted fault: every run takes memory and gives none back. */
#include <stdlib.h>

#include "honest_linear.h"

enum { TAKEN = 8 << 20 };

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    honest(p);
    volatile char *taken = malloc(TAKEN);
    for (int i = 0; taken && i < TAKEN; i += 4096)
        taken[i] = 1;
    return ST_OK;
}

CHEAT(leaks);
