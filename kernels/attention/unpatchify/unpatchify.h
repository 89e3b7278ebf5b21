// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unpatchify.h   Put token rows back into a latent video.
 *   y[b][f pt + i][y ph + j][x pw + k][c] = x[s][((i ph + j) pw + k) C + c]   (channel fastest)
 *                                   or      x[s][((c pt + i) ph + j) pw + k]  (channel slowest)
 *   with s = ((b T/pt + f) H/ph + y) W/pw + x. Channel slowest undoes patchify; channel fastest does
 *   not, as in the published models that have it.
 * Shapes: x [S][pt ph pw C] f32, bf16 or f16; y [B][T][H][W][C] f32. pt, ph, pw divide T, H, W.
 *   Strides: x free; y packed.
 * Aliasing: none. Alignment: 64 bytes at each base.
 * Numerics: moves data, exact. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: the heads of the Wan 2.1 (fastest) and HunyuanVideo (slowest) transformers. */
#ifndef PATCHMARK_UNPATCHIFY_H
#define PATCHMARK_UNPATCHIFY_H

#include "op.h"

enum unpatchify_channel { UNPATCHIFY_FASTEST = 0, UNPATCHIFY_SLOWEST };

struct unpatchify_problem {
    int64_t B, T, H, W, C;
    int64_t pt, ph, pw;
    struct tensor x, y;
    int64_t channel; /* enum unpatchify_channel */
};

#endif
