// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear.h   Linear layer with the epilogues of a diffusion transformer.
 *   a[s][o] = sum_k x[s][k] w[o][k] + bias[o]
 *   none: y = a     gelu: y = a/2 (1 + tanh(sqrt(2/pi)(a + 0.044715 a^3)))     silu: y = a/(1+e^-a)
 *   add:  y = aux + a     gate: y = aux + gate[g] a     mul: y = aux a          g = s / (S/G)
 * Shapes: x [S][K], S the rows of all clips; w [O][K] as in the checkpoint; bias [O] f32, optional;
 *   gate [G][O] f32; aux [S][O] of y's type; y [S][O]. Strides: x, aux, y free between rows; w
 *   packed. x f32, bf16 or f16; w of x's type; y of x's type or f32 (the residual stream).
 * Aliasing: y == aux allowed (same stride), partial overlap not. Alignment: 64 bytes at each base;
 *   rows of a free stride need only the alignment of their element.
 * Numerics: products accumulated in f32 or better, epilogue in f32, one rounding to y's type.
 * Memory: caller owns all. A variant may pack w in prepare().
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: spec of the Wan 2.1 block; tanh form of GELU (arXiv 1606.08415). */
#ifndef PATCHMARK_LINEAR_H
#define PATCHMARK_LINEAR_H

#include "op.h"

enum epilogue { EPI_NONE = 0, EPI_GELU, EPI_SILU, EPI_ADD, EPI_GATE, EPI_MUL };

struct linear_problem {
    int64_t S, K, O, G;
    int64_t epilogue; /* enum epilogue */
    struct tensor x, w, bias, gate, aux, y;
};

#endif
