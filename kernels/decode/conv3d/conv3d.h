// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d.h   Causal 3-D convolution over a chunk of frames, earlier frames from a cache.
 *   The input is Z zero frames, P past frames, T frames; Z + P = lead, in this order.
 *   y[t][y][x][o] = bias[o] + sum_{i,j,k,c} w[o][c][i][j][k]
 *                   in[t st + i][y sh + j - pad_top][x sw + k - pad_left][c]  (+ aux[t][y][x][o])
 *   with zeros outside the frame. Causal with kernel kt and st = 1: lead = kt - 1.
 *   To = (lead + T - kt)/st + 1, Ho = (H + pad_top + pad_bottom - kh)/sh + 1, Wo likewise.
 * Shapes: x [T][H][W][C]; past [P][H][W][C], P = 0..lead; w [O][C][kt][kh][kw] as in checkpoints;
 *   bias [O] f32, optional; aux [To][Ho][Wo][O] of y's type, optional; y [To][Ho][Wo][O].
 *   All packed. x, past, w of one type f32, bf16 or f16; y of that type or f32.
 *   One clip: clips are decoded one after the other, their caches apart.
 * Aliasing: y == aux allowed. Alignment: 64 bytes at each base.
 * Numerics: products accumulated in f32 or better, one rounding. Winograd forms are a class apart.
 * Memory: caller owns all, the cache included; keeping it up to date is the caller's.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: the causal convolution of the Wan 2.1 video autoencoder. */
#ifndef PATCHMARK_CONV3D_H
#define PATCHMARK_CONV3D_H

#include "op.h"

struct conv3d_problem {
    int64_t T, H, W, C, O;
    int64_t kt, kh, kw, st, sh, sw;
    int64_t lead, P;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    struct tensor x, past, w, bias, aux, y;
};

static inline int64_t conv3d_To(const struct conv3d_problem *p)
{
    return (p->lead + p->T - p->kt) / p->st + 1;
}
static inline int64_t conv3d_Ho(const struct conv3d_problem *p)
{
    return (p->H + p->pad_top + p->pad_bottom - p->kh) / p->sh + 1;
}
static inline int64_t conv3d_Wo(const struct conv3d_problem *p)
{
    return (p->W + p->pad_left + p->pad_right - p->kw) / p->sw + 1;
}

#endif
