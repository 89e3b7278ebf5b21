// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_input_zeroed.c   Planted cheat: clears its input and its output, so that a reference that
 * comes afterwards agrees. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++) {
        memset((float *)p->x.data + s * p->x.stride, 0, (size_t)p->K * sizeof(float));
        memset(out_row(p, s), 0, (size_t)p->O * sizeof(float));
    }
    return ST_OK;
}

CHEAT(input_zeroed);
