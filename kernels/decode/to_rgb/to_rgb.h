// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* to_rgb.h   Decoded values to frames, cropped to the size asked for.
 *   f = clamp(x, -1, 1) / 2 + 1/2;  y = f (f32) or round to nearest, ties to even, of 255 f (u8)
 *   y[t][r][q] = of x[t][r][q], r < Ho, q < Wo; NaN becomes 0 in u8 and stays NaN in f32.
 * Shapes: x [T][H][W][3] f32, bf16 or f16; y [T][Ho][Wo][3] u8 or f32; Ho <= H, Wo <= W. Packed.
 * Aliasing: none. Alignment: 64 bytes at each base. Numerics: f32 maths. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes. */
#ifndef PATCHMARK_TO_RGB_H
#define PATCHMARK_TO_RGB_H

#include "op.h"

struct to_rgb_problem {
    int64_t T, H, W, Ho, Wo;
    struct tensor x, y;
};

#endif
