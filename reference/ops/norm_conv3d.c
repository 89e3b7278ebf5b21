// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_conv3d.c   Definition of norm_conv3d.h, and the composite as calls of its parts. */
#include "decode/norm_conv3d/norm_conv3d.h"
#include "decode/norm_silu/norm_silu.h"
#include "ops/conv_row.h"
#include "ref.h"

static struct conv3d_problem conv3d_of(const struct norm_conv3d_problem *p)
{
    return (struct conv3d_problem){.T = p->T,
                                   .H = p->H,
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
                                   .pad_bottom = p->pad_bottom,
                                   .pad_right = p->pad_right,
                                   .x = p->x,
                                   .past = p->past,
                                   .w = p->w,
                                   .bias = p->bias,
                                   .aux = p->aux,
                                   .y = p->y};
}

void ref_norm_conv3d(const struct norm_conv3d_problem *p, int output, int64_t row, double *value,
                     double *mag)
{
    (void)output;
    struct conv3d_problem conv = conv3d_of(p);
    conv_row(&conv, &p->gamma, row, value, mag);
}

/* Normalises `frames` frames of from into new memory. */
static enum status normalise(struct ops *ops, const struct norm_conv3d_problem *p, int64_t frames,
                             const struct tensor *from, struct tensor *to, const char *name)
{
    struct norm_silu_problem norm = {
        .S = frames * p->H * p->W, .C = p->C, .silu = 1, .x = *from, .gamma = p->gamma};
    TRY(ops->alloc(ops, to, from->elem, norm.S, norm.C, name));
    norm.y = *to;
    return ops->norm_silu(ops, &norm);
}

enum status expand_norm_conv3d(struct ops *ops, const struct norm_conv3d_problem *p)
{
    struct conv3d_problem conv = conv3d_of(p);
    enum status status = ST_OK;
    conv.x = conv.past = (struct tensor){0};
    if (p->P > 0)
        status = normalise(ops, p, p->P, &p->past, &conv.past, "normalised past");
    if (status == ST_OK)
        status = normalise(ops, p, p->T, &p->x, &conv.x, "normalised frames");
    if (status == ST_OK)
        status = ops->conv3d(ops, &conv);
    if (tensor_given(&conv.x))
        ops->release(ops, &conv.x);
    if (tensor_given(&conv.past))
        ops->release(ops, &conv.past);
    return status;
}
