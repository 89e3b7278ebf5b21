// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_leaks.c   Planted fault: every run takes memory and gives none back. */
#include <stdlib.h>

#include "honest_linear.h"

enum { TAKEN = 8 << 20 };

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    static void *last;
    void **taken = malloc(TAKEN);
    (void)exec;
    honest(p);
    if (taken) {
        memset(taken, 1, TAKEN);
        *taken = last; /* the heap's own checkers have nothing to say */
        last = taken;
    }
    return ST_OK;
}

CHEAT(leaks);
