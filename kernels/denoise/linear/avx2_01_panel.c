// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_01_panel.c
 * Idea:     weights packed once into 16-wide K-major panels; a 6 x 16 tile of sums stays in
 *           registers over 256 steps of K, rows of x are read in place, every epilogue runs on the
 *           tile while it is in the first cache.
 * Differs:  from a plain loop: 8 loads feed 12 FMAs, a panel step of 16 KB serves all row strips of
 *           a block, and the activation costs no pass of its own.
 * Bound:    2 S K O flops at the FMA peak where S is above about 40 rows; below, one read of the
 *           packed weights, 4 K O bytes, at memory bandwidth. The tile issues 12 FMAs and 8 loads
 *           in 6 cycles, so close to the peak is expected, less the first touch of each step.
 * Source:   Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008). */
#include "target/avx2.h"

#include "denoise/linear/panel.h"

VARIANT(linear, avx2_01_panel, .needs = CPU_AVX2, .numerics = NUM_F32, .knob = PANEL_KNOBS,
        .prepare = prepare);
