// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* average_down.h   Fold cells of ft frames, fs lines and fs columns into channels, and average
 * neighbours of them.
 *   in = `lead` zero frames, then x;  y[t][r][q][o] = 1/G sum_{g<G} in[t ft + i][r fs + j][q fs + k][c]
 *   (+ aux[t][r][q][o])
 *   with ((c ft + i) fs + j) fs + k = o G + g, or, columns first, ((c ft + i) fs + k) fs + j.
 *   G = C ft fs fs / O. G = 1 folds alone: nothing is lost, and duplicate_up undoes it.
 * Shapes: x [T][H][W][C]; aux, y [(lead + T)/ft][H/fs][W/fs][O], aux optional; one type f32, bf16
 *   or f16. ft, fs 1 or 2; lead 0 or 1; O divides C ft fs fs, ft lead + T, fs H and W. Packed.
 * Aliasing: y == aux allowed. Alignment: 64 bytes at each base.
 * Numerics: f32 maths, one rounding. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: AvgDown3D and patchify of the Wan 2.2 video autoencoder. */
#ifndef PATCHMARK_AVERAGE_DOWN_H
#define PATCHMARK_AVERAGE_DOWN_H

#include "op.h"

/* Which of a cell's two axes in space is slower among its channels. */
enum cell_order { CELL_LINES = 0, CELL_COLUMNS };

struct average_down_problem {
    int64_t T, H, W, C, O;
    int64_t ft, fs;
    int64_t lead;
    int64_t order; /* enum cell_order */
    struct tensor x, aux, y;
};

#endif
