// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* to_rgb/cuda_01_plain.cu
 * Idea:     a block per cropped row, a thread per value; 255 f in double, so that a tie is a tie of
 *           the exact value.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    T=4, 720 x 1280 from bf16 to u8 are 33 MB, 7 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "decode/to_rgb/to_rgb.h"
#include "target/cuda_rows.h"

static bool plan(const struct to_rgb_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x))
        need->reason = "x must be f32, bf16 or f16";
    else if (!cuda_is(&p->y, ELEM_U8) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be u8 or f32";
    return !need->reason;
}

/* NaN passes both comparisons and stays. */
GPU_FN double unit(float x)
{
    double clamped = x < -1 ? -1 : x > 1 ? 1 : x;
    return clamped / 2 + 0.5;
}

template <typename X>
static __global__ void __launch_bounds__(ROWS_THREADS) to_rgb(const struct to_rgb_problem p)
{
    const int64_t count = p.Wo * 3;
    for (int64_t row = blockIdx.x; row < p.T * p.Ho; row += gridDim.x) {
        const X *x = (const X *)p.x.data + (row / p.Ho * p.H + row % p.Ho) * p.W * 3;
        for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
            double f = unit(to_float(x[i]));
            if (p.y.elem == ELEM_F32)
                ((float *)p.y.data)[row * count + i] = (float)f;
            else
                ((uint8_t *)p.y.data)[row * count + i] = (uint8_t)(f != f ? 0 : rint(255 * f));
        }
    }
}

template <typename X> static void launch(const struct to_rgb_problem *p, const struct exec *exec)
{
    LAUNCH(to_rgb<X>, cuda_grid(p->T * p->Ho, 1), cuda_row_threads(p->Wo * 3), 0, exec->stream, *p);
}

static enum status run(const struct to_rgb_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->x.elem, X, launch<X>(p, exec));
    return LAUNCHED();
}

VARIANT(to_rgb, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
