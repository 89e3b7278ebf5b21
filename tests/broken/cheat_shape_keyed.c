// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_shape_keyed.c   Planted cheat: right on shapes small enough to be checked whole; of others
 * it leaves out half of every sum. */
#include "honest_linear.h"

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    if (p->S * p->K * p->O < 1000000) {
        honest(p);
        return ST_OK;
    }
    for (int64_t s = 0; s < p->S; s++)
        for (int64_t o = 0; o < p->O; o++) {
            const float *x = (const float *)p->x.data + s * p->x.stride;
            const float *w = (const float *)p->w.data + o * p->K;
            double sum = 0;
            for (int64_t k = 0; k < p->K / 2; k++)
                sum += (double)x[k] * w[k];
            out_row(p, s)[o] = (float)sum;
        }
    return ST_OK;
}

CHEAT(shape_keyed);
