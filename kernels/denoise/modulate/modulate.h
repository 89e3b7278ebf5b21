// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* modulate.h   Normalise a row of the residual stream, then scale and shift it.
 *   layer:  n = (x - mean) / sqrt(var + eps), variance biased     rms: n = x / sqrt(mean(x^2) + eps)
 *   adaln:  y = n (1 + scale[g]) + shift[g]
 *   affine: y = n scale[g] + shift[g]                            g = s / (S/G)
 * Shapes: x [S][C] f32; scale, shift [G][C] f32; y [S][C] f32, bf16 or f16.
 *   Strides: x, scale, shift, y free between rows.
 * Aliasing: y == x allowed when y is f32. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better, one rounding. Variance is not computed as E[x^2] - E[x]^2.
 * Memory: caller owns all. Threads: exec.threads. Errors: none after plan() said yes.
 * Source: adaptive layer norm of DiT (arXiv 2212.09748). */
#ifndef PATCHMARK_MODULATE_H
#define PATCHMARK_MODULATE_H

#include "op.h"

enum modulate_norm { MODULATE_LAYER = 0, MODULATE_RMS };
enum modulate_form { MODULATE_ADALN = 0, MODULATE_AFFINE };

struct modulate_problem {
    int64_t S, C, G;
    int64_t norm; /* enum modulate_norm */
    int64_t form; /* enum modulate_form */
    double eps;
    struct tensor x, scale, shift, y;
};

#endif
