// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unpatchify/cuda_01_plain.cu
 * Idea:     a thread per value, in the order of y; one row of a patch is one run in x too where the
 *           channel is fastest, else every ph-th run of pw: the rows between come from the cache.
 * Differs:  the first of its op.   Bound: memory, and the latency of a launch: latents are small.
 * Source:   the contract.
 * Floor:    one read of x and one write of y: T=21, H=90, W=160, C=16 from bf16 are 29 MB, 6 us at
 *           4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "attention/unpatchify/unpatchify.h"
#include "target/cuda.h"

#define THREADS 256

static bool plan(const struct unpatchify_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, ELEM_F32))
        need->reason = "x must be f32, bf16 or f16 and y f32";
    return !need->reason;
}

template <typename T>
static __global__ void __launch_bounds__(THREADS) unpatchify(const struct unpatchify_problem p)
{
    int64_t rows = p.H / p.ph, columns = p.W / p.pw;
    int64_t count = p.B * p.T * p.H * p.W * p.C;
    for (int64_t at = cuda_thread(); at < count; at += cuda_threads()) {
        int64_t c = at % p.C, pixel = at / p.C;
        int64_t column = pixel % p.W, row = pixel / p.W % p.H;
        int64_t frame = pixel / p.W / p.H; /* counts through the clips, whole patches each */
        int64_t s = (frame / p.pt * rows + row / p.ph) * columns + column / p.pw;
        int64_t place = (frame % p.pt * p.ph + row % p.ph) * p.pw + column % p.pw;
        int64_t from =
            p.channel == UNPATCHIFY_SLOWEST ? c * (p.pt * p.ph * p.pw) + place : place * p.C + c;
        ((float *)p.y.data)[at] = to_float(((const T *)p.x.data)[s * p.x.stride + from]);
    }
}

template <typename T>
static void launch(const struct unpatchify_problem *p, const struct exec *exec)
{
    LAUNCH(unpatchify<T>, cuda_grid(p->B * p->T * p->H * p->W * p->C, THREADS), THREADS, 0,
           exec->stream, *p);
}

static enum status run(const struct unpatchify_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->x.elem, T, launch<T>(p, exec));
    return LAUNCHED();
}

VARIANT(unpatchify, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
