// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention.h   Softmax attention of every query over every key.
 *   o[b][i][n] = sum_j p_ij v[b][j][n],  p_i. = softmax_j(scale q[b][i][n].k[b][j][n] + bias)
 *   bias = bias[n][j - i + Sq - 1] where given (relative position, text encoder), else 0.
 *   No mask: every key takes part.
 * Shapes: q, o [B][Sq][N][D]; k, v [B][Sk][N][D]; bias [N][Sq + Sk - 1] f32, optional.
 *   Strides: q, k, v, o free between tokens (>= N D), N and D packed (so q, k, v may be parts of
 *   one packed projection). q, k, v, o of one type f32, bf16 or f16. Any Sq, Sk, N, D >= 1.
 * Aliasing: none. Alignment: 64 bytes at each base; with a free stride only 4 bytes at each row.
 * Numerics: scores, softmax and sums in f32 or better, probabilities may be rounded to the input
 *   type; the row maximum is subtracted. An infinite score gives NaN where exact arithmetic does.
 * Memory: caller owns all; scores are never stored as Sq x Sk except by _00_ library variants.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: FlashAttention-2 (arXiv 2307.08691) section 3. */
#ifndef PATCHMARK_ATTENTION_H
#define PATCHMARK_ATTENTION_H

#include "op.h"

struct attention_problem {
    int64_t B, Sq, Sk, N, D;
    double scale;
    struct tensor q, k, v, bias, o;
};

#endif
