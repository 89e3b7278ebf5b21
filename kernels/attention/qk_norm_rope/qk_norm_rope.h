// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope.h   Norm of queries or keys, then rotation by 3-D position.
 *   norm all:  r = 1 / sqrt(mean over all N D of x[s]^2 + eps),  u = x[s] r weight    weight [N D]
 *   norm head: the same over each head's D                                              weight [D]
 *   norm none: u = x[s]
 *   norm layer: u = (h - mean) / sqrt(var + eps) weight + bias over each head's D, variance biased
 *   rope:      y[a] = u[a] cos[s'][t] - u[b] sin[s'][t]     pair i < D/2 of every head
 *              y[b] = u[a] sin[s'][t] + u[b] cos[s'][t]     s' = s modulo the S of a clip
 *     pairs:      a = 2i, b = 2i+1,   t = i          every head alike
 *     pairs_own:  a = 2i, b = 2i+1,   t = n D/2 + i  head n has angles of its own
 *     halves_own: a = i,  b = i+D/2,  t = n D/2 + i
 *   without rope: y = u
 * Shapes: x, y [B][S][N][D]; weight f32; bias [D] f32, with norm layer alone; cos, sin f32
 *   (made from f64) [S][D/2], with own angles [S][N D/2]; D even with rope.
 *   Strides: x and y free between tokens (>= N D), N and D packed; x, y of one type f32, bf16, f16.
 * Aliasing: y == x allowed, partial overlap not. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better, one rounding to the output type. Variance is not computed as
 *   E[x^2] - E[x]^2. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: RoFormer (arXiv 2104.09864) section 3.4.2; Wan 2.1 normalises over all heads at once;
 *   LTX-Video rotates the whole width before it is cut into heads, LTX-2 does so by halves;
 *   CogVideoX has a layer norm of each head. */
#ifndef PATCHMARK_QK_NORM_ROPE_H
#define PATCHMARK_QK_NORM_ROPE_H

#include "op.h"

enum qk_norm { QK_NORM_ALL = 0, QK_NORM_HEAD, QK_NORM_NONE, QK_NORM_LAYER };
enum qk_rope { QK_ROPE_NONE = 0, QK_ROPE_PAIRS, QK_ROPE_PAIRS_OWN, QK_ROPE_HALVES_OWN };

/* Columns of cos and sin. */
static inline int64_t qk_rope_angles(int64_t rope, int64_t N, int64_t D)
{
    return rope >= QK_ROPE_PAIRS_OWN ? N * (D / 2) : D / 2;
}

struct qk_norm_rope_problem {
    int64_t B, S, N, D;
    int64_t norm; /* enum qk_norm */
    int64_t rope; /* enum qk_rope */
    double eps;
    struct tensor x, weight, cos, sin, y;
    struct tensor bias;
};

#endif
