// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchify.h   Cut a latent video into spacetime patches, one row per token.
 *   S = B (T/pt) (H/ph) (W/pw);  token s = ((b T/pt + f) H/ph + y) W/pw + x  (time slowest)
 *   y[s][((c pt + i) ph + j) pw + k] = x[b][f pt + i][y ph + j][x pw + k][c]   (channel slowest)
 * Shapes: x [B][T][H][W][C] f32; y [S][C pt ph pw] f32, bf16 or f16. pt, ph, pw divide T, H, W.
 *   Strides: x packed; y free (>= C pt ph pw).
 * Aliasing: none. Alignment: 64 bytes at each base.
 * Numerics: moves data, one rounding to the output type. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: the patch embedding convolution of the Wan 2.1 transformer, kernel = stride = patch. */
#ifndef PATCHMARK_PATCHIFY_H
#define PATCHMARK_PATCHIFY_H

#include "op.h"

struct patchify_problem {
    int64_t B, T, H, W, C;
    int64_t pt, ph, pw;
    struct tensor x, y;
};

#endif
