// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512_01_implicit.c
 * Idea:     implicit.h on 16 lanes: twelve pixels of a row against thirty-two outputs.
 * Differs:  from avx2_01_implicit: twice the flops an instruction; O of 16 or less fills half
 *           a panel.
 * Bound:    as avx2_01_implicit, at the AVX-512 peak.
 * Source:   as avx2_01_implicit. */
#include "target/avx512.h"

#include "decode/conv3d/implicit.h"

VARIANT(conv3d, avx512_01_implicit, .needs = CPU_AVX512, .numerics = NUM_F32,
        .knob = IMPLICIT_KNOBS, .prepare = prepare);
