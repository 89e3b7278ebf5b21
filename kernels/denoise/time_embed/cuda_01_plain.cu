// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* time_embed/cuda_01_plain.cu
 * Idea:     a thread per frequency, as written, in double.
 * Differs:  the first of its op on a GPU.   Bound: the launch; a handful of rows per step.
 * Source:   the contract.
 * Floor:    S=1, C=256 are 128 angles: nothing beside the launch.
 * Outcome:  not yet run on a GPU. */
#include "denoise/time_embed/time_embed.h"
#include "target/cuda.h"

#define THREADS 128

static bool plan(const struct time_embed_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->t, ELEM_F32) || !cuda_is_float(&p->y))
        need->reason = "t must be f32 and y f32, bf16 or f16";
    else if (p->C % 2 || p->C / 2 <= p->drop)
        need->reason = "C must be even and C/2 more than drop";
    return !need->reason;
}

template <typename Y>
static __global__ void __launch_bounds__(THREADS) time_embed(const struct time_embed_problem p)
{
    const double ln_10000 = 9.210340371976184;
    const float *t = (const float *)p.t.data;
    const int64_t half = p.C / 2;
    for (int64_t item = cuda_thread(); item < p.S * half; item += cuda_threads()) {
        int64_t s = item / half, i = item % half;
        double angle = t[s] * exp(-ln_10000 * (double)i / (double)(half - p.drop));
        Y *y = (Y *)p.y.data + s * p.y.stride + i;
        y[0] = from_float<Y>((float)cos(angle));
        y[half] = from_float<Y>((float)sin(angle));
    }
}

template <typename Y>
static void launch(const struct time_embed_problem *p, const struct exec *exec)
{
    LAUNCH(time_embed<Y>, cuda_grid(p->S * (p->C / 2), THREADS), THREADS, 0, exec->stream, *p);
}

static enum status run(const struct time_embed_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->y.elem, Y, launch<Y>(p, exec));
    return LAUNCHED();
}

VARIANT(time_embed, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
