// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope/c_01_plain.c
 * Idea:     token by token: sum of squares, then norm and rotation of each head in one pass.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   RoFormer (arXiv 2104.09864) section 3.4.2. */
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "target/c.h"

static bool plan(const struct qk_norm_rope_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    else if (p->norm != QK_NORM_NONE && !c_is(&p->weight, ELEM_F32))
        need->reason = "weight must be f32";
    else if (p->norm == QK_NORM_LAYER && !c_is(&p->bias, ELEM_F32))
        need->reason = "bias must be f32";
    else if (p->rope && (!c_is(&p->cos, ELEM_F32) || !c_is(&p->sin, ELEM_F32)))
        need->reason = "cos and sin must be f32";
    else if (p->rope && p->D % 2)
        need->reason = "rotation needs an even head width D";
    return !need->reason;
}

static enum status run(const struct qk_norm_rope_problem *p, const struct exec *exec)
{
    const struct c_norm_rope how = {.N = p->N,
                                    .D = p->D,
                                    .all = p->norm == QK_NORM_ALL,
                                    .head = p->norm == QK_NORM_HEAD || p->norm == QK_NORM_LAYER,
                                    .rope = p->rope,
                                    .own = p->rope >= QK_ROPE_PAIRS_OWN,
                                    .halves = p->rope == QK_ROPE_HALVES_OWN,
                                    .centred = p->norm == QK_NORM_LAYER,
                                    .eps = p->eps,
                                    .weight = p->weight.data,
                                    .cos = p->cos.data,
                                    .sin = p->sin.data,
                                    .bias = p->bias.data};
    int64_t tokens = p->B * p->S;

#pragma omp parallel for num_threads(c_threads(exec, tokens)) schedule(static)
    for (int64_t s = 0; s < tokens; s++)
        c_norm_rope_token(&how, s % p->S, &p->x, s * p->x.stride, &p->y, s * p->y.stride);
    return ST_OK;
}

VARIANT(qk_norm_rope, c_01_plain, .needs = 0, .numerics = NUM_F32);
