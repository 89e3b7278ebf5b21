// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_cached_by_content.c   Planted cheat: keeps the results of inputs that it has met, told apart
 * by all of their values. */
#include <stdlib.h>

#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    static uint64_t known;
    static float *kept;
    const uint64_t hash = hash_inputs(p);
    (void)exec;
    if (!kept)
        kept = malloc((size_t)(p->S * p->O) * sizeof *kept);
    if (hash != known) {
        honest(p);
        copy_out(p, kept);
        known = hash;
    }
    copy_in(p, kept);
    return ST_OK;
}

CHEAT(cached_by_content);
