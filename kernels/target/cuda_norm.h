// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cuda_norm.h   norm_silu.h on a GPU, a warp to a pixel, between any two element types. */
#ifndef PATCHMARK_TARGET_CUDA_NORM_H
#define PATCHMARK_TARGET_CUDA_NORM_H

#include "target/cuda_rows.h"

enum { NORM_THREADS = 256 };

/* Pixels of C channels, x to y; y may be x, for a lane writes only what it alone reads. */
template <typename X, typename Y, int N>
static __global__ void __launch_bounds__(NORM_THREADS, 6)
    cuda_norm(const X *x, const float *gamma, Y *y, int64_t pixels, int64_t C, bool silu)
{
    const int64_t first = threadIdx.x % 32 * N, step = 32 * N;
    for (int64_t pixel = cuda_thread() / 32; pixel < pixels; pixel += cuda_threads() / 32) {
        const X *from = x + pixel * C;
        float length = sqrtf(cuda_warp_sum(cuda_squares_of<N>(from, 0, first, step, C)));
        float r = sqrtf((float)C) / (length < 1e-12f ? 1e-12f : length);
        for (int64_t c = first; c < C; c += step) {
            float n[N], gain[N];
            cuda_load(n, from + c);
            cuda_load(gain, gamma + c);
            for (int i = 0; i < N; i++)
                n[i] = n[i] * r * gain[i];
            for (int i = 0; silu && i < N; i++)
                n[i] = cuda_silu(n[i]);
            cuda_store(y + pixel * C + c, n);
        }
    }
}

template <typename X, typename Y>
static void cuda_norm_launch(const void *x, const void *gamma, void *y, int64_t pixels, int64_t C,
                             bool silu, void *stream)
{
    const int blocks = cuda_grid(pixels, NORM_THREADS / 32);
    if ((cuda_divisor(x, y) | cuda_divisor(gamma, y)) % 16 == 0 && C % 4 == 0)
        LAUNCH((cuda_norm<X, Y, 4>), blocks, NORM_THREADS, 0, stream, (const X *)x,
               (const float *)gamma, (Y *)y, pixels, C, silu);
    else
        LAUNCH((cuda_norm<X, Y, 1>), blocks, NORM_THREADS, 0, stream, (const X *)x,
               (const float *)gamma, (Y *)y, pixels, C, silu);
}

#endif
