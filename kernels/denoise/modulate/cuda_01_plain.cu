// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* modulate/cuda_01_plain.cu
 * Idea:     a block per row, three walks over it, four elements at a time where strides allow:
 *           mean, squares about the mean, then scale and shift; the first brings the row into the
 *           cache for the others.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   adaptive layer norm of DiT (arXiv 2212.09748).
 * Floor:    S=32760, C=1536 from f32 to bf16 are 302 MB, 63 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "denoise/modulate/modulate.h"
#include "target/cuda_rows.h"

static bool plan(const struct modulate_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->x, ELEM_F32) || !cuda_is(&p->scale, ELEM_F32) || !cuda_is(&p->shift, ELEM_F32))
        need->reason = "x, scale and shift must be f32";
    else if (!cuda_is_float(&p->y))
        need->reason = "y must be f32, bf16 or f16";
    return !need->reason;
}

template <typename Y, int N>
GPU_FN void modulate_row(const struct modulate_problem *p, int64_t s, float *warps)
{
    const int64_t g = s / (p->S / p->G);
    const float *x = (const float *)p->x.data + s * p->x.stride;
    const float *scale = (const float *)p->scale.data + g * p->scale.stride;
    const float *shift = (const float *)p->shift.data + g * p->shift.stride;
    Y *y = (Y *)p->y.data + s * p->y.stride;

    const int64_t first = threadIdx.x * N, step = blockDim.x * N;
    float mean = 0;
    if (p->norm == MODULATE_LAYER)
        mean = cuda_block_sum(cuda_sum_of<N>(x, first, step, p->C), warps) / (float)p->C;
    float squares = cuda_block_sum(cuda_squares_of<N>(x, mean, first, step, p->C), warps);
    const float r = cuda_norm_factor(squares, p->C, (float)p->eps);

    /* y may be x: a thread writes only what it alone reads */
    const float one = p->form == MODULATE_ADALN ? 1 : 0;
    for (int64_t c = first; c < p->C; c += step) {
        float v[N], a[N], b[N];
        cuda_load(v, x + c);
        cuda_load(a, scale + c);
        cuda_load(b, shift + c);
        for (int i = 0; i < N; i++)
            v[i] = (v[i] - mean) * r * (one + a[i]) + b[i];
        cuda_store(y + c, v);
    }
}

template <typename Y, int N>
static __global__ void __launch_bounds__(ROWS_THREADS) modulate(const struct modulate_problem p)
{
    __shared__ float warps[32];
    for (int64_t s = blockIdx.x; s < p.S; s += gridDim.x)
        modulate_row<Y, N>(&p, s, warps);
}

template <typename Y> static void launch(const struct modulate_problem *p, const struct exec *exec)
{
    const bool fours = p->C % 4 == 0 && cuda_in_fours(&p->x) && cuda_in_fours(&p->scale) &&
                       cuda_in_fours(&p->shift) && cuda_in_fours(&p->y);
    const int threads = cuda_row_threads(fours ? p->C / 4 : p->C);
    if (fours)
        LAUNCH((modulate<Y, 4>), cuda_grid(p->S, 1), threads, 0, exec->stream, *p);
    else
        LAUNCH((modulate<Y, 1>), cuda_grid(p->S, 1), threads, 0, exec->stream, *p);
}

static enum status run(const struct modulate_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->y.elem, Y, launch<Y>(p, exec));
    return LAUNCHED();
}

VARIANT(modulate, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
