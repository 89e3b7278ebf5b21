// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rms_norm.h   Root-mean-square norm of a row.
 *   y[s] = x[s] / sqrt(mean(x[s]^2) + eps) weight
 * Shapes: x [S][C] f32; weight [C] f32; y [S][C] f32, bf16 or f16. Strides: x, y free between rows.
 * Aliasing: y == x allowed when y is f32. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better, one rounding. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: arXiv 1910.07467; the norm of T5 and UMT5. */
#ifndef PATCHMARK_RMS_NORM_H
#define PATCHMARK_RMS_NORM_H

#include "op.h"

struct rms_norm_problem {
    int64_t S, C;
    double eps;
    struct tensor x, weight, y;
};

#endif
