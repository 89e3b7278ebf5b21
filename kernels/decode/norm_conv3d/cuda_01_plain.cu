// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_conv3d/cuda_01_plain.cu
 * Idea:     norm and SiLU of past and x once, kept in scratch as f32, then the tiles of the plain
 *           convolution over them.
 * Differs:  from norm_silu and conv3d one after the other: nothing is rounded between.
 *           Bound: f32 multiply-adds outside tensor cores.
 * Source:   the residual block of the Wan 2.1 video autoencoder.
 * Floor:    that of conv3d: T=4, 720 x 1280, C=O=96 are 1.83 TFLOP, 27 ms at 67 TFLOPS.
 * Outcome:  not yet run on a GPU. */
#include "decode/norm_conv3d/norm_conv3d.h"
#include "target/cuda_conv.h"
#include "target/cuda_norm.h"

static bool plan(const struct norm_conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->w, p->x.elem) ||
        (p->P > 0 && !cuda_is(&p->past, p->x.elem)))
        need->reason = "x, past and w must be of one type f32, bf16 or f16";
    else if (!cuda_is(&p->y, p->x.elem) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!cuda_is(&p->gamma, ELEM_F32) || !cuda_is_f32_or_absent(&p->bias))
        need->reason = "gamma and bias must be f32";
    else if (tensor_given(&p->aux) && !cuda_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    need->scratch_bytes = (size_t)((p->P + p->T) * p->H * p->W * p->C) * sizeof(float);
    need->packed_bytes = cuda_conv_packed_bytes(p->O, p->C, p->kt * p->kh * p->kw);
    return !need->reason;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct norm_conv3d_problem *p = (const struct norm_conv3d_problem *)problem;
    return cuda_conv_prepare(&p->w, p->O, p->C, p->kt * p->kh * p->kw, exec->stream, packed);
}

/* x and past as f32 in scratch, past first */
static struct cuda_conv conv_of(const struct norm_conv3d_problem *p, const struct exec *exec)
{
    struct cuda_conv v = {.H = p->H,
                          .W = p->W,
                          .C = p->C,
                          .O = p->O,
                          .kt = p->kt,
                          .kh = p->kh,
                          .kw = p->kw,
                          .st = 1,
                          .sh = 1,
                          .sw = 1,
                          .lead = p->lead,
                          .P = p->P,
                          .pad_top = p->pad_top,
                          .pad_left = p->pad_left,
                          .To = norm_conv3d_To(p),
                          .Ho = norm_conv3d_Ho(p),
                          .Wo = norm_conv3d_Wo(p),
                          .bias = p->bias,
                          .aux = p->aux,
                          .y = p->y,
                          .w = (const float *)exec->packed};
    v.past.data = exec->scratch;
    v.x.data = (float *)exec->scratch + p->P * p->H * p->W * p->C;
    return v;
}

static enum status run(const struct norm_conv3d_problem *p, const struct exec *exec)
{
    const struct cuda_conv v = conv_of(p, exec);
    const int64_t frame = p->H * p->W;
    CUDA_TYPED(p->x.elem, X, {
        if (p->P > 0)
            cuda_norm_launch<X, float>(p->past.data, p->gamma.data, v.past.data, p->P * frame, p->C,
                                       true, exec->stream);
        cuda_norm_launch<X, float>(p->x.data, p->gamma.data, v.x.data, p->T * frame, p->C, true,
                                   exec->stream);
    });
    return cuda_conv_run<float>(&v, exec->stream);
}

VARIANT(norm_conv3d, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32, .prepare = prepare);
