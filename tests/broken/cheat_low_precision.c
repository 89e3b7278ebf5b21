// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_low_precision.c   Planted cheat: says f32 and multiplies bf16. */
#include "honest_linear.h"

static float rounded(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x8000) & 0xffff0000;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        for (int64_t o = 0; o < p->O; o++) {
            const float *x = (const float *)p->x.data + s * p->x.stride;
            const float *w = (const float *)p->w.data + o * p->K;
            float sum = 0;
            for (int64_t k = 0; k < p->K; k++)
                sum += rounded(x[k]) * rounded(w[k]);
            out_row(p, s)[o] = sum;
        }
    return ST_OK;
}

CHEAT(low_precision);
