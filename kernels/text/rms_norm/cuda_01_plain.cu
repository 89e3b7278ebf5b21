// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rms_norm/cuda_01_plain.cu
 * Idea:     a block per row, two walks over it, four elements at a time where strides allow: sum of
 *           squares, then products; the first brings the row into the cache for the second.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   arXiv 1910.07467.
 * Floor:    S=512, C=4096 from f32 to bf16 are 13 MB, 2.6 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "target/cuda_rows.h"
#include "text/rms_norm/rms_norm.h"

static bool plan(const struct rms_norm_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->x, ELEM_F32) || !cuda_is(&p->weight, ELEM_F32))
        need->reason = "x and weight must be f32";
    else if (!cuda_is_float(&p->y))
        need->reason = "y must be f32, bf16 or f16";
    return !need->reason;
}

template <typename Y, int N>
static __global__ void __launch_bounds__(ROWS_THREADS) rms_norm(const struct rms_norm_problem p)
{
    __shared__ float warps[32];
    const float *weight = (const float *)p.weight.data;
    const int64_t first = threadIdx.x * N, step = blockDim.x * N;
    for (int64_t s = blockIdx.x; s < p.S; s += gridDim.x) {
        const float *x = (const float *)p.x.data + s * p.x.stride;
        Y *y = (Y *)p.y.data + s * p.y.stride;
        float squares = cuda_block_sum(cuda_squares_of<N>(x, 0, first, step, p.C), warps);
        float r = cuda_norm_factor(squares, p.C, (float)p.eps);
        /* y may be x: a thread writes only what it alone reads */
        for (int64_t c = first; c < p.C; c += step) {
            float v[N], gain[N];
            cuda_load(v, x + c);
            cuda_load(gain, weight + c);
            for (int i = 0; i < N; i++)
                v[i] = v[i] * r * gain[i];
            cuda_store(y + c, v);
        }
    }
}

template <typename Y> static void launch(const struct rms_norm_problem *p, const struct exec *exec)
{
    const bool fours =
        p->C % 4 == 0 && cuda_in_fours(&p->x) && cuda_in_fours(&p->weight) && cuda_in_fours(&p->y);
    const int threads = cuda_row_threads(fours ? p->C / 4 : p->C);
    if (fours)
        LAUNCH((rms_norm<Y, 4>), cuda_grid(p->S, 1), threads, 0, exec->stream, *p);
    else
        LAUNCH((rms_norm<Y, 1>), cuda_grid(p->S, 1), threads, 0, exec->stream, *p);
}

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->y.elem, Y, launch<Y>(p, exec));
    return LAUNCHED();
}

VARIANT(rms_norm, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
