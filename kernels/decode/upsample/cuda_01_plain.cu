// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample/cuda_01_plain.cu
 * Idea:     a block per output row; pixels are moved as units of up to 16 bytes, whatever their
 *           type, neighbouring threads along the channels.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    T=4, 360 x 640, C=192 to 720 x 1280 of bf16 are 1.8 GB, 0.37 ms at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "decode/upsample/upsample.h"
#include "target/cuda_rows.h"

static bool plan(const struct upsample_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

/* One row of y. A pixel of y has `units` units, one of x ft times as many. */
template <typename U>
GPU_FN void upsample_row(const struct upsample_problem *p, int64_t row, int64_t units)
{
    const int64_t height = p->H * p->fs, frame = row / height;
    const int64_t from = frame / p->ft * p->H + row % height / p->fs;
    const int width = (int)(p->W * p->fs), fs = (int)p->fs;
    const U *x = (const U *)p->x.data + (from * p->W * p->ft + frame % p->ft) * units;
    U *y = (U *)p->y.data + row * width * units;
    for (int q = threadIdx.y; q < width; q += blockDim.y)
        for (int64_t i = threadIdx.x; i < units; i += blockDim.x)
            y[q * units + i] = x[q / fs * p->ft * units + i];
}

template <typename U>
static __global__ void __launch_bounds__(ROWS_THREADS)
    upsample(const struct upsample_problem p, int64_t units)
{
    const int64_t rows = p.T * p.ft * p.H * p.fs;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x)
        upsample_row<U>(&p, row, units);
}

static enum status run(const struct upsample_problem *p, const struct exec *exec)
{
    const int64_t pixel_bytes = p->C * cuda_elem_bytes(p->x.elem);
    const int blocks = cuda_grid(p->T * p->ft * p->H * p->fs, 1);
    CUDA_UNIT(cuda_divisor(p->x.data, p->y.data) | pixel_bytes, U, {
        const int64_t units = pixel_bytes / (int64_t)sizeof(U);
        const dim3 block = cuda_rows_of(p->W, units).block;
        LAUNCH(upsample<U>, blocks, block, 0, exec->stream, *p, units);
    });
    return LAUNCHED();
}

VARIANT(upsample, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
