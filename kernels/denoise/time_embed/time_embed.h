// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* time_embed.h   Sinusoidal embedding of diffusion times.
 *   w_i = exp(-ln(10000) i / (C/2 - drop)), i < C/2
 *   y[s] = [cos(t[s] w_0) ... cos(t[s] w_{C/2-1}), sin(t[s] w_0) ... sin(t[s] w_{C/2-1})]
 * Shapes: t [S] f32 (the scheduler's time, 0..1000); y [S][C] f32, bf16 or f16; C even; drop 0 or
 * 1.
 *   Strides: y free between rows.
 * Aliasing: none. Alignment: 64 bytes at each base.
 * Numerics: w_i and the angle in f64, one rounding to the output type. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: Wan 2.1 and the original DiT use drop 0. */
#ifndef PATCHMARK_TIME_EMBED_H
#define PATCHMARK_TIME_EMBED_H

#include "op.h"

struct time_embed_problem {
    int64_t S, C;
    int64_t drop;
    struct tensor t, y;
};

#endif
