// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duplicate_up.h   Repeat channels and unfold them into cells of ft frames, fs lines, fs columns.
 *   y[t ft + i - skip][r fs + j][q fs + k][o] = x[t][r][q][n / R] (+ aux of y's place)
 *   with n = ((o ft + i) fs + j) fs + k, or, columns first, ((o ft + i) fs + k) fs + j.
 *   R = O ft fs fs / C; the first `skip` frames are left out. R = 1 undoes average_down with G = 1.
 * Shapes: x [T][H][W][C]; aux, y [T ft - skip][H fs][W fs][O], aux optional; one type f32, bf16 or
 *   f16. ft, fs 1 or 2; skip 0 or 1, less than T ft; C divides O ft fs fs. Packed.
 * Aliasing: y == aux allowed. Alignment: 64 bytes at each base.
 * Numerics: f32 maths, one rounding; exact without aux. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: DupUp3D and unpatchify of the Wan 2.2 video autoencoder. */
#ifndef PATCHMARK_DUPLICATE_UP_H
#define PATCHMARK_DUPLICATE_UP_H

#include "op.h"

struct duplicate_up_problem {
    int64_t T, H, W, C, O;
    int64_t ft, fs;
    int64_t skip;
    int64_t order; /* enum cell_order of average_down.h: 0 lines, 1 columns first */
    struct tensor x, aux, y;
};

#endif
