// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rms_norm/c_01_plain.c
 * Idea:     row by row: sum of squares, then one pass of products.
 * Differs:  the first of its op.   Bound: memory, the row is read from cache the second time.
 * Source:   arXiv 1910.07467. */
#include "target/c.h"
#include "text/rms_norm/rms_norm.h"

static bool plan(const struct rms_norm_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->x, ELEM_F32) || !c_is(&p->weight, ELEM_F32))
        need->reason = "x and weight must be f32";
    else if (!c_is_float(&p->y))
        need->reason = "y must be f32, bf16 or f16";
    return !need->reason;
}

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    const float *weight = (const float *)p->weight.data;

#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++) {
        const float *x = (const float *)p->x.data + s * p->x.stride;
        double mean = c_sum_squares(&p->x, s * p->x.stride, p->C) / (double)p->C;
        double r = 1 / sqrt(mean + p->eps);
        for (int64_t c = 0; c < p->C; c += C_CHUNK) {
            int64_t part = c_min(C_CHUNK, p->C - c);
            float y[C_CHUNK];
            for (int64_t j = 0; j < part; j++)
                y[j] = (float)(x[c + j] * r) * weight[c + j];
            c_store_row(&p->y, s * p->y.stride + c, y, part);
        }
    }
    return ST_OK;
}

VARIANT(rms_norm, c_01_plain, .needs = 0, .numerics = NUM_F32);
