// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_conv3d.h   Composite: norm_silu (with SiLU) in front of conv3d.
 *   y = conv3d(norm_silu(past), norm_silu(x)) with everything else as in conv3d.h. x and past hold
 *   the values before the norm; the zero frames and the border stay zero.
 *   Without a variant it expands into norm_silu (past and x) and conv3d.
 * Shapes, aliasing, alignment: conv3d.h, norm_silu.h; stride 1 only; y must not overlap x or past.
 * Numerics: a fused variant may keep the normalised values in f32; the expansion rounds them.
 * Memory: caller owns all. Threads: exec.threads. Errors: none after plan() said yes.
 * Source: the residual block of the Wan 2.1 video autoencoder. */
#ifndef PATCHMARK_NORM_CONV3D_H
#define PATCHMARK_NORM_CONV3D_H

#include "op.h"

struct norm_conv3d_problem {
    int64_t T, H, W, C, O;
    int64_t kt, kh, kw;
    int64_t lead, P;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    struct tensor x, past, gamma, w, bias, aux, y;
};

static inline int64_t norm_conv3d_To(const struct norm_conv3d_problem *p)
{
    return p->lead + p->T - p->kt + 1;
}
static inline int64_t norm_conv3d_Ho(const struct norm_conv3d_problem *p)
{
    return p->H + p->pad_top + p->pad_bottom - p->kh + 1;
}
static inline int64_t norm_conv3d_Wo(const struct norm_conv3d_problem *p)
{
    return p->W + p->pad_left + p->pad_right - p->kw + 1;
}

#endif
