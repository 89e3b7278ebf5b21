// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_silu/cuda_01_plain.cu
 * Idea:     a warp per pixel, two walks over its channels, four at a time where their number
 *           allows: sum of squares, then norm and SiLU; the first brings the pixel into the cache
 *           for the second.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    4 frames of 720 x 1280, C=96 of bf16 are 1.4 GB, 0.29 ms at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "decode/norm_silu/norm_silu.h"
#include "target/cuda_norm.h"

static bool plan(const struct norm_silu_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    else if (!cuda_is(&p->gamma, ELEM_F32))
        need->reason = "gamma must be f32";
    return !need->reason;
}

static enum status run(const struct norm_silu_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->x.elem, T,
               cuda_norm_launch<T, T>(p->x.data, p->gamma.data, p->y.data, p->S, p->C, p->silu,
                                      exec->stream));
    return LAUNCHED();
}

VARIANT(norm_silu, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
