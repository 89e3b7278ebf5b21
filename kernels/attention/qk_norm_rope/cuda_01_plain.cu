// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope/cuda_01_plain.cu
 * Idea:     a block takes a token, a warp a head: neighbouring lanes hold neighbouring values, and
 *           the two of a rotated pair change places by a shuffle.
 * Differs:  the first of its op; x is read twice, the second time from cache.   Bound: memory.
 * Source:   RoFormer (arXiv 2104.09864) section 3.4.2.
 * Floor:    one read and one write of x: S=32760, N=12, D=128 in bf16 are 201 MB, 42 us at
 *           4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "target/cuda.h"

#define THREADS 128

static bool plan(const struct qk_norm_rope_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    else if (p->norm != QK_NORM_NONE && !cuda_is(&p->weight, ELEM_F32))
        need->reason = "weight must be f32";
    else if (p->norm == QK_NORM_LAYER && !cuda_is(&p->bias, ELEM_F32))
        need->reason = "bias must be f32";
    else if (p->rope && (!cuda_is(&p->cos, ELEM_F32) || !cuda_is(&p->sin, ELEM_F32)))
        need->reason = "cos and sin must be f32";
    else if (p->rope && p->D % 2)
        need->reason = "rotation needs an even head width D";
    return !need->reason;
}

template <typename T>
static __global__ void __launch_bounds__(THREADS, 8)
    qk_norm_rope(const struct cuda_norm_rope how, int64_t S, int64_t tokens, const T *x,
                 int64_t x_stride, T *y, int64_t y_stride)
{
    DYN_SHARED(float, warps);
    for (int64_t s = blockIdx.x; s < tokens; s += gridDim.x)
        cuda_norm_rope_token(&how, s % S, x + s * x_stride, y + s * y_stride, warps);
}

template <typename T>
static void launch(const struct qk_norm_rope_problem *p, const struct exec *exec)
{
    struct cuda_norm_rope how = {.N = p->N,
                                 .D = p->D,
                                 .all = p->norm == QK_NORM_ALL,
                                 .head = p->norm == QK_NORM_HEAD || p->norm == QK_NORM_LAYER,
                                 .rope = p->rope != QK_ROPE_NONE,
                                 .own = p->rope >= QK_ROPE_PAIRS_OWN,
                                 .halves = p->rope == QK_ROPE_HALVES_OWN,
                                 .centred = p->norm == QK_NORM_LAYER,
                                 .eps = (float)p->eps,
                                 .weight = (const float *)p->weight.data,
                                 .cos = (const float *)p->cos.data,
                                 .sin = (const float *)p->sin.data,
                                 .bias = (const float *)p->bias.data};
    LAUNCH(qk_norm_rope<T>, cuda_grid(p->B * p->S, 1), THREADS, 32 * sizeof(float), exec->stream,
           how, p->S, p->B * p->S, (const T *)p->x.data, p->x.stride, (T *)p->y.data, p->y.stride);
}

static enum status run(const struct qk_norm_rope_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->x.elem, T, launch<T>(p, exec));
    return LAUNCHED();
}

VARIANT(qk_norm_rope, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
