// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention/openblas_00_composed.c
 * Idea:     sgemm, softmax, sgemm over blocks of queries; heads and blocks are spread over threads,
 *           each with a one-thread library, which uses the cores better than threads within a head.
 * Differs:  the composed baseline: scores of a block of queries go through memory.
 *           Bound: the library's, and expf.
 * Source:   the contract's definition; OpenBLAS. */
#include "attention/attention/attention.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>

#define QUERIES 128       /* per block at most: more scores leave the cache */
#define SCRATCH_ROWS 2048 /* rows of scores in scratch, all threads together */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static bool is_f32(const struct tensor *t)
{
    return t->elem == ELEM_F32 && t->scale_layout == SCALE_NONE;
}

static int64_t scratch_rows(const struct attention_problem *p)
{
    return least(p->B * p->N * p->Sq, SCRATCH_ROWS);
}

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!is_f32(&p->q) || !is_f32(&p->k) || !is_f32(&p->v) || !is_f32(&p->o))
        need->reason = "sgemm takes q, k, v and o in f32 only";
    else if (tensor_given(&p->bias) && !is_f32(&p->bias))
        need->reason = "bias must be f32";
    else if (p->Sk > INT32_MAX || p->q.stride > INT32_MAX || p->k.stride > INT32_MAX ||
             p->v.stride > INT32_MAX || p->o.stride > INT32_MAX)
        need->reason = "sgemm counts in 32 bits";
    need->scratch_bytes = (size_t)(scratch_rows(p) * p->Sk) * sizeof(float);
    return !need->reason;
}

/* Scores become weights that still lack the division by their sum, which is returned. */
static float weigh(float *score, const float *bias, int64_t count)
{
    float largest = -INFINITY, total = 0;
    for (int64_t j = 0; j < count; j++) {
        score[j] += bias ? bias[j] : 0;
        largest = score[j] > largest ? score[j] : largest;
    }
    for (int64_t j = 0; j < count; j++)
        score[j] = expf(score[j] - largest);
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < count; j++)
        total += score[j];
    return total;
}

static const float *row_of(const struct tensor *t, int64_t row, int64_t column)
{
    return (const float *)t->data + row * t->stride + column;
}

static void attend(const struct attention_problem *p, int64_t b, int64_t n, int64_t i0,
                   int64_t queries, float *score)
{
    blasint M = (blasint)queries, Sk = (blasint)p->Sk, D = (blasint)p->D;
    int64_t column = n * p->D;
    float *o = (float *)p->o.data + (b * p->Sq + i0) * p->o.stride + column;
    float total[QUERIES];

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, Sk, D, (float)p->scale,
                row_of(&p->q, b * p->Sq + i0, column), (blasint)p->q.stride,
                row_of(&p->k, b * p->Sk, column), (blasint)p->k.stride, 0, score, Sk);
    for (int64_t i = 0; i < queries; i++) {
        const float *bias = NULL;
        if (tensor_given(&p->bias))
            bias = (const float *)p->bias.data + n * (p->Sq + p->Sk - 1) + p->Sq - 1 - (i0 + i);
        total[i] = weigh(score + i * p->Sk, bias, p->Sk);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, D, Sk, 1, score, Sk,
                row_of(&p->v, b * p->Sk, column), (blasint)p->v.stride, 0, o, (blasint)p->o.stride);
    for (int64_t i = 0; i < queries; i++)
        for (int64_t d = 0; d < p->D; d++)
            o[i * p->o.stride + d] /= total[i];
}

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    int64_t rows = scratch_rows(p), threads = least(exec->threads, rows);
    int64_t queries = least(least(QUERIES, p->Sq), rows / threads);
    int64_t blocks = (p->Sq + queries - 1) / queries, items = p->B * p->N * blocks;

    /* the setting is the process's, and another variant of the library may have changed it */
    openblas_set_num_threads(1);
#pragma omp parallel for num_threads((int)least(threads, items)) schedule(static)
    for (int64_t item = 0; item < items; item++) {
        int64_t i = item % blocks * queries;
        float *score = (float *)exec->scratch + omp_get_thread_num() * queries * p->Sk;
        attend(p, item / blocks / p->N, item / blocks % p->N, i, least(queries, p->Sq - i), score);
    }
    return ST_OK;
}

static enum status open(const struct exec *exec, void **handle)
{
    (void)exec;
    openblas_set_num_threads(1);
    *handle = NULL;
    return ST_OK;
}

VARIANT(attention, openblas_00_composed, .needs = 0, .numerics = NUM_F32, .open = open);
