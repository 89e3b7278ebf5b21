// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elementwise.h   The small row-wise operations between the large ones; also every copy.
 *   copy:   y = a                     (converts between element types)
 *   add:    y = a + b[g]              g = s / (S/G)
 *   silu:   y = a / (1 + e^-a)
 *   affine: y = a b[g] + c[g]
 *   gelu_erf: y = a/2 (1 + erf(a / sqrt(2)))
 *   sum:    y = a + b[s]
 * Shapes: a, y [S][C]; b, c [G][C] f32, but for sum b [S][C] of a's type. Strides: all free between
 *   rows.
 *   a, y each f32, bf16 or f16; copy also i32 and u8 to the same type.
 * Aliasing: y == a allowed with the same type and stride, partial overlap not.
 * Alignment: 64 bytes at each base. Numerics: f32 maths, one rounding. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes. */
#ifndef PATCHMARK_ELEMENTWISE_H
#define PATCHMARK_ELEMENTWISE_H

#include "op.h"

enum elementwise_kind {
    ELEMENTWISE_COPY = 0,
    ELEMENTWISE_ADD,
    ELEMENTWISE_SILU,
    ELEMENTWISE_AFFINE,
    ELEMENTWISE_GELU_ERF,
    ELEMENTWISE_SUM
};

struct elementwise_problem {
    int64_t S, C, G;
    int64_t kind; /* enum elementwise_kind */
    struct tensor a, b, c, y;
};

#endif
