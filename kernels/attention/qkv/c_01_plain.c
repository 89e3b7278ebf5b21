// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv/c_01_plain.c
 * Idea:     a few tokens by all outputs of one projection into scratch, then norm and rotation on
 *           the way out, so that nothing is rounded in between.
 * Differs:  from linear and qk_norm_rope one after the other: one pass over q and k less.
 *           Bound: the width of the baseline's registers.
 * Source:   Wan 2.1 self attention. */
#include "attention/qkv/qkv.h"
#include "target/c.h"

#include <omp.h>

#define TOKENS 16

/* The projections in turn: weight, bias, the norm's weight and bias, and output of q, k, v. */
struct projection {
    const struct tensor *w, *bias;
    const float *gain, *offset;
    const struct tensor *y;
    bool normed;
};

static int64_t item_count(const struct qkv_problem *p) { return 3 * c_blocks(p->B * p->S, TOKENS); }

static bool plan(const struct qkv_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->q, p->x.elem) || !c_is(&p->k, p->x.elem) ||
        !c_is(&p->v, p->x.elem))
        need->reason = "x, q, k and v must be of one type f32, bf16 or f16";
    else if (!c_is_float(&p->wq) || !c_is(&p->wk, p->wq.elem) || !c_is(&p->wv, p->wq.elem))
        need->reason = "wq, wk and wv must be of one type f32, bf16 or f16";
    else if (!c_is_f32_or_absent(&p->bq) || !c_is_f32_or_absent(&p->bk) ||
             !c_is_f32_or_absent(&p->bv))
        need->reason = "bq, bk and bv must be f32";
    else if (p->norm != QK_NORM_NONE && (!c_is(&p->nq, ELEM_F32) || !c_is(&p->nk, ELEM_F32)))
        need->reason = "nq and nk must be f32";
    else if (p->norm == QK_NORM_LAYER && (!c_is(&p->nbq, ELEM_F32) || !c_is(&p->nbk, ELEM_F32)))
        need->reason = "nbq and nbk must be f32";
    else if (p->rope && (!c_is(&p->cos, ELEM_F32) || !c_is(&p->sin, ELEM_F32)))
        need->reason = "cos and sin must be f32";
    else if (p->rope && p->D % 2)
        need->reason = "rotation needs an even head width D";
    need->scratch_bytes =
        (size_t)(c_slots(need, item_count(p)) * TOKENS * p->N * p->D) * sizeof(float);
    return !need->reason;
}

static void project(const struct qkv_problem *p, const struct projection *to, int64_t s0,
                    int64_t tokens, float *acc)
{
    int64_t width = p->N * p->D;
    bool layer = p->norm == QK_NORM_LAYER;
    const struct c_norm_rope how = {.N = p->N,
                                    .D = p->D,
                                    .all = to->normed && p->norm == QK_NORM_ALL,
                                    .head = to->normed && (p->norm == QK_NORM_HEAD || layer),
                                    .rope = to->normed && p->rope,
                                    .own = p->rope >= QK_ROPE_PAIRS_OWN,
                                    .halves = to->normed && p->rope == QK_ROPE_HALVES_OWN,
                                    .centred = to->normed && layer,
                                    .eps = p->eps,
                                    .weight = to->gain,
                                    .cos = p->cos.data,
                                    .sin = p->sin.data,
                                    .bias = to->offset};
    const struct tensor sums = {.data = acc, .stride = width, .elem = ELEM_F32};

    for (int64_t o = 0; o < width; o += C_TILE_OUTS)
        c_matmul_tile(&p->x, s0, tokens, to->w, o, c_min(C_TILE_OUTS, width - o), p->C, acc + o,
                      width);
    for (int64_t s = 0; s < tokens; s++) {
        if (tensor_given(to->bias))
            for (int64_t o = 0; o < width; o++)
                acc[s * width + o] += ((const float *)to->bias->data)[o];
        c_norm_rope_token(&how, (s0 + s) % p->S, &sums, s * width, to->y, (s0 + s) * to->y->stride);
    }
}

static enum status run(const struct qkv_problem *p, const struct exec *exec)
{
    const struct projection to[3] = {{&p->wq, &p->bq, p->nq.data, p->nbq.data, &p->q, true},
                                     {&p->wk, &p->bk, p->nk.data, p->nbk.data, &p->k, true},
                                     {&p->wv, &p->bv, NULL, NULL, &p->v, false}};
    int64_t tokens = p->B * p->S, blocks = c_blocks(tokens, TOKENS), items = item_count(p);

#pragma omp parallel num_threads(c_threads(exec, items))
    {
        float *acc = (float *)exec->scratch + omp_get_thread_num() * TOKENS * p->N * p->D;
#pragma omp for schedule(static)
        for (int64_t item = 0; item < items; item++) {
            int64_t s = item % blocks * TOKENS;
            project(p, &to[item / blocks], s, c_min(TOKENS, tokens - s), acc);
        }
    }
    return ST_OK;
}

VARIANT(qkv, c_01_plain, .needs = 0, .numerics = NUM_F32);
