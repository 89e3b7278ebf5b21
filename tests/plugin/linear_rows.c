// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear_rows.c   An out-of-tree variant, as anyone may write one: `patchmark verify --plugin`.
 * Idea:     one dot product at a time, summed in double.
 * Differs:  from c_01_plain: no tiles, f32 and plain epilogues only.   Bound: latency of the sum.
 * Source:   the contract. */
#include "denoise/linear/linear.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (p->x.elem != ELEM_F32 || p->w.elem != ELEM_F32 || p->y.elem != ELEM_F32)
        need->reason = "x, w and y must be f32";
    else if (p->epilogue != EPI_NONE && p->epilogue != EPI_ADD)
        need->reason = "takes the epilogues none and add";
    return !need->reason;
}

static double dot(const float *x, const float *w, int64_t count)
{
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += (double)x[k] * w[k];
    return sum;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    const float *x = p->x.data, *w = p->w.data, *bias = p->bias.data, *aux = p->aux.data;
    float *y = p->y.data;
#pragma omp parallel for num_threads(exec->threads)
    for (int64_t s = 0; s < p->S; s++) {
        for (int64_t o = 0; o < p->O; o++) {
            double a = dot(x + s * p->x.stride, w + o * p->K, p->K);
            if (tensor_given(&p->bias))
                a += bias[o];
            if (p->epilogue == EPI_ADD)
                a += aux[s * p->aux.stride + o];
            y[s * p->y.stride + o] = (float)a;
        }
    }
    return ST_OK;
}

VARIANT(linear, rows_90_double, .numerics = NUM_F32);
PLUGIN(&variant_linear_rows_90_double);
