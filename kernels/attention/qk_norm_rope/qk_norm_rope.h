// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope.h   Norm of queries or keys, then rotation by 3-D position.
 *   norm all:  r = 1 / sqrt(mean over all N D of x[s]^2 + eps),  u = x[s] r weight    weight [N D]
 *   norm head: the same over each head's D                                              weight [D]
 *   norm none: u = x[s]
 *   norm layer: u = (h - mean) / sqrt(var + eps) weight + bias over each head's D, variance biased
 *   rope:      y[2i]   = u[2i] cos[s'][i] - u[2i+1] sin[s'][i]        i < D/2, every head alike
 *              y[2i+1] = u[2i] sin[s'][i] + u[2i+1] cos[s'][i]        s' = s modulo the S of a clip
 *   without rope: y = u
 * Shapes: x, y [B][S][N][D]; weight f32; bias [D] f32, with norm layer alone; cos, sin [S][D/2] f32
 *   (made from f64), D even with rope.
 *   Strides: x and y free between tokens (>= N D), N and D packed; x, y of one type f32, bf16, f16.
 * Aliasing: y == x allowed, partial overlap not. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better, one rounding to the output type. Variance is not computed as
 *   E[x^2] - E[x]^2. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: RoFormer (arXiv 2104.09864) section 3.4.2; Wan 2.1 normalises over all heads at once,
 *   CogVideoX has a layer norm of each head. */
#ifndef PATCHMARK_QK_NORM_ROPE_H
#define PATCHMARK_QK_NORM_ROPE_H

#include "op.h"

enum qk_norm { QK_NORM_ALL = 0, QK_NORM_HEAD, QK_NORM_NONE, QK_NORM_LAYER };

struct qk_norm_rope_problem {
    int64_t B, S, N, D;
    int64_t norm; /* enum qk_norm */
    int64_t rope; /* 0 or 1 */
    double eps;
    struct tensor x, weight, cos, sin, y;
    struct tensor bias;
};

#endif
