// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_silu.h   The video autoencoder's channel norm, with or without SiLU behind it.
 *   n = x / max(||x||_2, 1e-12) sqrt(C) gamma      over the C channels of one pixel, no eps in the
 *   root y = n / (1 + e^-n) with silu, else n
 * Shapes: x, y [S][C] f32, bf16 or f16, one type; gamma [C] f32; S pixels. Packed.
 * Aliasing: y == x allowed. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better, one rounding. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: RMS_norm of the Wan 2.1 video autoencoder. */
#ifndef PATCHMARK_NORM_SILU_H
#define PATCHMARK_NORM_SILU_H

#include "op.h"

struct norm_silu_problem {
    int64_t S, C;
    int64_t silu; /* 0 or 1 */
    struct tensor x, gamma, y;
};

#endif
