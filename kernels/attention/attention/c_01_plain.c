// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention/c_01_plain.c
 * Idea:     a block of queries walks over blocks of keys with a running maximum and sum per query;
 *           keys and values of the block are brought to packed f32 once for all its queries.
 * Differs:  the first of its op.   Bound: multiply-adds of the baseline's registers, then expf.
 * Source:   FlashAttention-2 (arXiv 2307.08691) section 3, online softmax. */
#include "attention/attention/attention.h"
#include "target/c.h"

#include <omp.h>

#define QUERIES 16
#define KEYS 64

/* What one thread works in: f32 copies of a block of queries, keys and values, and the sums. */
struct work_area {
    float *q, *k, *v, *sum; /* [QUERIES][D], [KEYS][D], [KEYS][D], [QUERIES][D] */
    float largest[QUERIES], total[QUERIES];
};

static int64_t thread_elems(const struct attention_problem *p)
{
    return (2 * QUERIES + 2 * KEYS) * c_blocks(p->D, 16) * 16;
}

static int64_t item_count(const struct attention_problem *p)
{
    return p->B * p->N * c_blocks(p->Sq, QUERIES);
}

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->q) || !c_is(&p->k, p->q.elem) || !c_is(&p->v, p->q.elem) ||
        !c_is(&p->o, p->q.elem))
        need->reason = "q, k, v and o must be of one type f32, bf16 or f16";
    else if (!c_is_f32_or_absent(&p->bias))
        need->reason = "bias must be f32";
    need->scratch_bytes = (size_t)(c_slots(need, item_count(p)) * thread_elems(p)) * sizeof(float);
    return !need->reason;
}

static void gather(float *to, const struct tensor *t, int64_t row, int64_t rows, int64_t n,
                   int64_t D)
{
    for (int64_t r = 0; r < rows; r++)
        c_load_row(to + r * D, t, (row + r) * t->stride + n * D, D);
}

/* score[j] = scale q . k[j] + bias[j] for the keys of the block */
static void scores_of(const struct attention_problem *p, const float *q, const float *k,
                      const float *bias, int64_t keys, float score[KEYS])
{
    for (int64_t j = 0; j < keys; j += 4) {
        int64_t group = c_min(4, keys - j);
        const float *row[4];
        float dot[4];
        for (int64_t i = 0; i < 4; i++)
            row[i] = k + (j + c_min(i, group - 1)) * p->D;
        c_dot4(q, row, p->D, dot);
        for (int64_t i = 0; i < group; i++)
            score[j + i] = (float)p->scale * dot[i] + (bias ? bias[j + i] : 0);
    }
}

/* Adds a block of keys to query i. Without a finite score so far the shift is 0: what weighs
 * nothing then is told apart from an infinite score, which makes NaN of the whole row. */
static void absorb(const struct attention_problem *p, struct work_area *w, int64_t i, int64_t keys,
                   float score[KEYS])
{
    float largest = w->largest[i], total = 0;
    for (int64_t j = 0; j < keys; j++)
        largest = score[j] > largest ? score[j] : largest;
    float shift = largest == -INFINITY ? 0 : largest;
    for (int64_t j = 0; j < keys; j++) {
        score[j] = expf(score[j] - shift);
        total += score[j];
    }
    float *sum = w->sum + i * p->D;
    if (largest != w->largest[i]) {
        float shrink = expf(w->largest[i] - shift);
        w->total[i] *= shrink;
        for (int64_t d = 0; d < p->D; d++)
            sum[d] *= shrink;
        w->largest[i] = largest;
    }
    w->total[i] += total;
    c_add_rows(sum, score, w->v, keys, p->D, p->D);
}

static void attend(const struct attention_problem *p, int64_t b, int64_t n, int64_t i0,
                   int64_t queries, struct work_area *w)
{
    gather(w->q, &p->q, b * p->Sq + i0, queries, n, p->D);
    memset(w->sum, 0, (size_t)(queries * p->D) * sizeof(float));
    for (int64_t i = 0; i < queries; i++)
        w->largest[i] = -INFINITY, w->total[i] = 0;

    for (int64_t j = 0; j < p->Sk; j += KEYS) {
        int64_t keys = c_min(KEYS, p->Sk - j);
        gather(w->k, &p->k, b * p->Sk + j, keys, n, p->D);
        gather(w->v, &p->v, b * p->Sk + j, keys, n, p->D);
        for (int64_t i = 0; i < queries; i++) {
            const float *bias = NULL;
            float score[KEYS];
            if (tensor_given(&p->bias))
                bias = (const float *)p->bias.data + n * (p->Sq + p->Sk - 1) + j - (i0 + i) +
                       p->Sq - 1;
            scores_of(p, w->q + i * p->D, w->k, bias, keys, score);
            absorb(p, w, i, keys, score);
        }
    }
    for (int64_t i = 0; i < queries; i++) {
        float *sum = w->sum + i * p->D;
        for (int64_t d = 0; d < p->D; d++)
            sum[d] /= w->total[i];
        c_store_row(&p->o, (b * p->Sq + i0 + i) * p->o.stride + n * p->D, sum, p->D);
    }
}

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    int64_t blocks = c_blocks(p->Sq, QUERIES), items = item_count(p), D = p->D;

#pragma omp parallel num_threads(c_threads(exec, items))
    {
        struct work_area w;
        w.q = (float *)exec->scratch + omp_get_thread_num() * thread_elems(p);
        w.k = w.q + QUERIES * D;
        w.v = w.k + KEYS * D;
        w.sum = w.v + KEYS * D;
#pragma omp for schedule(static)
        for (int64_t item = 0; item < items; item++) {
            int64_t i = item % blocks * QUERIES;
            attend(p, item / blocks / p->N, item / blocks % p->N, i, c_min(QUERIES, p->Sq - i), &w);
        }
    }
    return ST_OK;
}

VARIANT(attention, c_01_plain, .needs = 0, .numerics = NUM_F32);
