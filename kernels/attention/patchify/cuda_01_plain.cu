// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchify/cuda_01_plain.cu
 * Idea:     a thread per value, in the order of y: writes are neighbours, and the channels that a
 *           warp reads of one pixel are.
 * Differs:  the first of its op.   Bound: memory, and the latency of a launch: latents are small.
 * Source:   the contract.
 * Floor:    one read of x and one write of y: T=21, H=90, W=160, C=16 to bf16 are 29 MB, 6 us at
 *           4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "attention/patchify/patchify.h"
#include "target/cuda.h"

#define THREADS 256

static bool plan(const struct patchify_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->x, ELEM_F32) || !cuda_is_float(&p->y))
        need->reason = "x must be f32 and y f32, bf16 or f16";
    return !need->reason;
}

template <typename T>
static __global__ void __launch_bounds__(THREADS) patchify(const struct patchify_problem p)
{
    int64_t rows = p.H / p.ph, columns = p.W / p.pw, width = p.C * p.pt * p.ph * p.pw;
    int64_t count = p.B * p.T * p.H * p.W * p.C;
    for (int64_t at = cuda_thread(); at < count; at += cuda_threads()) {
        int64_t s = at / width, place = at % width;
        int64_t k = place % p.pw, j = place / p.pw % p.ph, i = place / p.pw / p.ph % p.pt;
        int64_t c = place / p.pw / p.ph / p.pt;
        /* clips follow each other in whole patches of frames: s counts through all of them */
        int64_t frame = s / columns / rows * p.pt + i;
        int64_t row = s / columns % rows * p.ph + j, column = s % columns * p.pw + k;
        float value = ((const float *)p.x.data)[((frame * p.H + row) * p.W + column) * p.C + c];
        ((T *)p.y.data)[s * p.y.stride + place] = from_float<T>(value);
    }
}

template <typename T> static void launch(const struct patchify_problem *p, const struct exec *exec)
{
    LAUNCH(patchify<T>, cuda_grid(p->B * p->T * p->H * p->W * p->C, THREADS), THREADS, 0,
           exec->stream, *p);
}

static enum status run(const struct patchify_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->y.elem, T, launch<T>(p, exec));
    return LAUNCHED();
}

VARIANT(patchify, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
