// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample.h   Nearest upsampling in space and unfolding of channels into frames.
 *   y[t ft + i][r][q][c] = x[t][r / fs][q / fs][i C + c]      i < ft, r < H fs, q < W fs
 * Shapes: x [T][H][W][ft C]; y [T ft][H fs][W fs][C]; ft, fs 1 or 2; one type f32, bf16 or f16.
 *   Packed. Aliasing: none. Alignment: 64 bytes at each base.
 * Numerics: moves data, exact. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: upsample2d and upsample3d of the Wan 2.1 video autoencoder. */
#ifndef PATCHMARK_UPSAMPLE_H
#define PATCHMARK_UPSAMPLE_H

#include "op.h"

struct upsample_problem {
    int64_t T, H, W, C;
    int64_t ft, fs;
    struct tensor x, y;
};

#endif
