// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512_01_panel.c
 * Idea:     panel.h on 16 lanes: 32-wide panels and a 12 x 32 tile of sums in 24 registers.
 * Differs:  from avx2_01_panel: twice the flops an instruction, 14 loads feed 24 FMAs.
 * Bound:    as avx2_01_panel, at the AVX-512 peak; up to twice as fast where two FMA units are 512
 *           bits wide, level with it where they are not. A panel step takes 32 KB of first cache.
 * Source:   as avx2_01_panel. */
#include "target/avx512.h"

#include "denoise/linear/panel.h"

VARIANT(linear, avx512_01_panel, .needs = CPU_AVX512, .numerics = NUM_F32, .knob = PANEL_KNOBS,
        .prepare = prepare);
