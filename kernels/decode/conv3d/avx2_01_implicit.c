// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_01_implicit.c
 * Idea:     implicit matrix product on the 6 x 16 register tile: six pixels of a row against
 *           sixteen outputs, the kw C floats of a kernel row read in place; up to three outputs by
 *           dot products of four pixels along the channels.
 * Differs:  from a plain loop: no patch matrix is built, weights are packed once into panels, a
 *           step of a panel serves a whole block of pixels from the first cache, bias and residual
 *           are part of the sums, border taps are skipped.
 * Bound:    2 To Ho Wo O C kt kh kw flops at the FMA peak. Sums are loaded and stored once per step
 *           of up to 384 products; short strips of narrow rows cost more.
 * Source:   the implicit form of im2col (cuDNN, arXiv 1410.0759), channels innermost. */
#include "target/avx2.h"

#include "decode/conv3d/implicit.h"

VARIANT(conv3d, avx2_01_implicit, .needs = CPU_AVX2, .numerics = NUM_F32, .knob = IMPLICIT_KNOBS,
        .prepare = prepare);
