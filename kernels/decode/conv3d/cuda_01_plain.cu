// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d/cuda_01_plain.cu
 * Idea:     an implicit matrix product: a block multiplies 64 output pixels by 64 or 128 outputs,
 *           tap by tap, slices of channels passing through shared memory as f32.
 * Differs:  the first of its op on a GPU; no copy of the input is made.
 *           Bound: f32 multiply-adds outside tensor cores.
 * Source:   the direct algorithm of the contract; tiling as in linear.
 * Floor:    2 27 C O flops per pixel: T=4, 720 x 1280, C=O=96 are 1.83 TFLOP, 27 ms at 67 TFLOPS.
 * Outcome:  not yet run on a GPU. */
#include "decode/conv3d/conv3d.h"
#include "target/cuda_conv.h"

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->w, p->x.elem) ||
        (p->P > 0 && !cuda_is(&p->past, p->x.elem)))
        need->reason = "x, past and w must be of one type f32, bf16 or f16";
    else if (!cuda_is(&p->y, p->x.elem) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!cuda_is_f32_or_absent(&p->bias))
        need->reason = "bias must be f32";
    else if (tensor_given(&p->aux) && !cuda_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    need->packed_bytes = cuda_conv_packed_bytes(p->O, p->C, p->kt * p->kh * p->kw);
    return !need->reason;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct conv3d_problem *p = (const struct conv3d_problem *)problem;
    return cuda_conv_prepare(&p->w, p->O, p->C, p->kt * p->kh * p->kw, exec->stream, packed);
}

static enum status run(const struct conv3d_problem *p, const struct exec *exec)
{
    const struct cuda_conv v = {.H = p->H,
                                .W = p->W,
                                .C = p->C,
                                .O = p->O,
                                .kt = p->kt,
                                .kh = p->kh,
                                .kw = p->kw,
                                .st = p->st,
                                .sh = p->sh,
                                .sw = p->sw,
                                .lead = p->lead,
                                .P = p->P,
                                .pad_top = p->pad_top,
                                .pad_left = p->pad_left,
                                .To = conv3d_To(p),
                                .Ho = conv3d_Ho(p),
                                .Wo = conv3d_Wo(p),
                                .x = p->x,
                                .past = p->past,
                                .bias = p->bias,
                                .aux = p->aux,
                                .y = p->y,
                                .w = (const float *)exec->packed};
    CUDA_TYPED(p->x.elem, X, return cuda_conv_run<X>(&v, exec->stream));
}

VARIANT(conv3d, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32, .prepare = prepare);
