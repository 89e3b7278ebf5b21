// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_conv3d/c_01_plain.c
 * Idea:     norm and SiLU of past and x once, kept in scratch as f32, then the tiles of the plain
 *           convolution over them.
 * Differs:  from norm_silu and conv3d one after the other: nothing is rounded or converted between.
 *           Bound: the width of the baseline's registers.
 * Source:   the residual block of the Wan 2.1 video autoencoder. */
#include "decode/norm_conv3d/norm_conv3d.h"
#include "target/c.h"

static struct c_conv conv_of(const struct norm_conv3d_problem *p, const struct exec *exec)
{
    struct c_conv v = {.H = p->H,
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
                       .w = exec->packed};
    v.past = (struct tensor){.data = exec->scratch, .stride = p->C, .elem = ELEM_F32};
    v.x = v.past;
    v.x.data = (float *)exec->scratch + p->P * p->H * p->W * p->C;
    return v;
}

static bool plan(const struct norm_conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->w, p->x.elem) || (p->P > 0 && !c_is(&p->past, p->x.elem)))
        need->reason = "x, past and w must be of one type f32, bf16 or f16";
    else if (!c_is(&p->y, p->x.elem) && !c_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!c_is(&p->gamma, ELEM_F32) || !c_is_f32_or_absent(&p->bias))
        need->reason = "gamma and bias must be f32";
    else if (tensor_given(&p->aux) && !c_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    need->scratch_bytes = (size_t)((p->P + p->T) * p->H * p->W * p->C) * sizeof(float);
    need->packed_bytes = (size_t)(p->O * p->kt * p->kh * p->kw * p->C) * sizeof(float);
    return !need->reason;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct norm_conv3d_problem *p = problem;
    c_conv_pack(&p->w, p->O, p->C, p->kt * p->kh * p->kw, exec, packed);
    return ST_OK;
}

static enum status run(const struct norm_conv3d_problem *p, const struct exec *exec)
{
    const struct c_conv v = conv_of(p, exec);
    int64_t past = p->P * p->H * p->W, pixels = past + p->T * p->H * p->W;
    int64_t items = c_conv_items(&v);

#pragma omp parallel for num_threads(c_threads(exec, pixels)) schedule(static)
    for (int64_t s = 0; s < pixels; s++) {
        const struct tensor *from = s < past ? &p->past : &p->x;
        c_norm_silu_pixel(from, (s < past ? s : s - past) * p->C, p->gamma.data, p->C, true,
                          &v.past, s * p->C);
    }
    /* f32 input is read in place: the tiles leave their buffer alone */
#pragma omp parallel for num_threads(c_threads(exec, items)) schedule(static)
    for (int64_t item = 0; item < items; item++)
        c_conv_tile(&v, item, exec->scratch);
    return ST_OK;
}

VARIANT(norm_conv3d, c_01_plain, .needs = 0, .numerics = NUM_F32, .prepare = prepare);
