// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d/c_01_plain.c
 * Idea:     weights turned so that a row of taps and its channels is one contiguous dot product
 *           with the input row; four outputs at a time, a run of pixels per pass over the weights.
 * Differs:  the first of its op; no copy of the input is made.
 *           Bound: the width of the baseline's registers.
 * Source:   the direct algorithm of the contract. */
#include "decode/conv3d/conv3d.h"
#include "target/c.h"

#include <omp.h>

static struct c_conv conv_of(const struct conv3d_problem *p, const void *packed)
{
    return (struct c_conv){.H = p->H,
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
                           .w = packed};
}

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->w, p->x.elem) || (p->P > 0 && !c_is(&p->past, p->x.elem)))
        need->reason = "x, past and w must be of one type f32, bf16 or f16";
    else if (!c_is(&p->y, p->x.elem) && !c_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!c_is_f32_or_absent(&p->bias))
        need->reason = "bias must be f32";
    else if (tensor_given(&p->aux) && !c_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    struct c_conv v = conv_of(p, NULL);
    int64_t elems = c_slots(need, c_conv_items(&v)) * c_conv_buffer_elems(&v);
    need->scratch_bytes = (size_t)elems * sizeof(float);
    need->packed_bytes = (size_t)(p->O * p->kt * p->kh * p->kw * p->C) * sizeof(float);
    return !need->reason;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct conv3d_problem *p = problem;
    c_conv_pack(&p->w, p->O, p->C, p->kt * p->kh * p->kw, exec, packed);
    return ST_OK;
}

static enum status run(const struct conv3d_problem *p, const struct exec *exec)
{
    const struct c_conv v = conv_of(p, exec->packed);
    int64_t items = c_conv_items(&v), buffer_elems = c_conv_buffer_elems(&v);

#pragma omp parallel num_threads(c_threads(exec, items))
    {
        float *buffer = NULL;
        if (buffer_elems > 0)
            buffer = (float *)exec->scratch + omp_get_thread_num() * buffer_elems;
#pragma omp for schedule(static)
        for (int64_t item = 0; item < items; item++)
            c_conv_tile(&v, item, buffer);
    }
    return ST_OK;
}

VARIANT(conv3d, c_01_plain, .needs = 0, .numerics = NUM_F32, .prepare = prepare);
