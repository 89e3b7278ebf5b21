// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/openblas_00_sgemm.c
 * Idea:     the library's sgemm on its own threads, a block of rows at a time; bias and epilogue
 *           in a loop of ours behind it.
 * Differs:  the baseline that the others are measured against.   Bound: the library's.
 * Source:   OpenBLAS; the BLAS standard. */
#include "denoise/linear/linear.h"

#include <cblas.h>
#include <math.h>

#define ROWS 1024 /* per call: bounds the scratch, and weights are packed anew for each call */

static bool needs_aux(const struct linear_problem *p)
{
    return p->epilogue == EPI_ADD || p->epilogue == EPI_GATE || p->epilogue == EPI_MUL;
}

static int64_t block_rows(const struct linear_problem *p) { return p->S < ROWS ? p->S : ROWS; }

static bool is_f32(const struct tensor *t)
{
    return t->elem == ELEM_F32 && t->scale_layout == SCALE_NONE;
}

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!is_f32(&p->x) || !is_f32(&p->w) || !is_f32(&p->y))
        need->reason = "sgemm takes x, w and y in f32 only";
    else if ((tensor_given(&p->bias) && !is_f32(&p->bias)) || (needs_aux(p) && !is_f32(&p->aux)) ||
             (p->epilogue == EPI_GATE && !is_f32(&p->gate)))
        need->reason = "bias, gate and aux must be f32";
    else if (p->K > INT32_MAX || p->O > INT32_MAX || p->x.stride > INT32_MAX ||
             p->y.stride > INT32_MAX)
        need->reason = "sgemm counts in 32 bits";
    if (needs_aux(p))
        need->scratch_bytes = (size_t)(block_rows(p) * p->O) * sizeof(float);
    return !need->reason;
}

static float sigmoid(float a)
{
    float power = expf(-fabsf(a));
    return (a >= 0 ? 1 : power) / (1 + power);
}

/* y of row s from the sums a, which lie in y itself where no aux is needed */
static void epilogue(const struct linear_problem *p, int64_t s, const float *a)
{
    float *y = (float *)p->y.data + s * p->y.stride;
    const float *bias = p->bias.data;
    const float *aux = needs_aux(p) ? (const float *)p->aux.data + s * p->aux.stride : NULL;
    const float *gate = NULL;
    if (p->epilogue == EPI_GATE)
        gate = (const float *)p->gate.data + s / (p->S / p->G) * p->gate.stride;
    for (int64_t o = 0; o < p->O; o++) {
        float v = a[o] + (tensor_given(&p->bias) ? bias[o] : 0);
        switch ((enum epilogue)p->epilogue) {
        case EPI_NONE: y[o] = v; break;
        case EPI_GELU: y[o] = v * sigmoid(1.5957691216057308f * (v + 0.044715f * v * v * v)); break;
        case EPI_SILU: y[o] = v * sigmoid(v); break;
        case EPI_ADD: y[o] = aux[o] + v; break;
        case EPI_GATE: y[o] = aux[o] + gate[o] * v; break;
        case EPI_MUL: y[o] = aux[o] * v; break;
        }
    }
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    bool plain = p->epilogue == EPI_NONE && !tensor_given(&p->bias);
    /* other variants of the library may have asked for one thread since open() */
    openblas_set_num_threads(exec->threads);
    for (int64_t s = 0; s < p->S; s += ROWS) {
        int64_t rows = p->S - s < ROWS ? p->S - s : ROWS;
        float *sums = needs_aux(p) ? exec->scratch : (float *)p->y.data + s * p->y.stride;
        int64_t stride = needs_aux(p) ? p->O : p->y.stride;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)p->O,
                    (blasint)p->K, 1, (const float *)p->x.data + s * p->x.stride,
                    (blasint)p->x.stride, p->w.data, (blasint)p->K, 0, sums, (blasint)stride);
        if (plain)
            continue;
#pragma omp parallel for num_threads(exec->threads) schedule(static)
        for (int64_t r = 0; r < rows; r++)
            epilogue(p, s + r, sums + r * stride);
    }
    return ST_OK;
}

/* The library starts its threads here rather than inside the first timed run. */
static enum status open(const struct exec *exec, void **handle)
{
    openblas_set_num_threads(exec->threads);
    *handle = NULL;
    return ST_OK;
}

VARIANT(linear, openblas_00_sgemm, .needs = 0, .numerics = NUM_F32, .open = open);
