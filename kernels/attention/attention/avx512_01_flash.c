// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512_01_flash.c
 * Idea:     flash.h on 16 lanes and the 12 x 32 register tile.
 * Differs:  from avx2_01_flash: twice the flops an instruction, in products and softmax alike.
 * Bound:    as avx2_01_flash, at the AVX-512 peak; D below 32 leaves part of a value panel idle.
 * Source:   as avx2_01_flash. */
#include "target/avx512.h"

#include "attention/attention/flash.h"

VARIANT(attention, avx512_01_flash, .needs = CPU_AVX512, .numerics = NUM_F32, .knob = FLASH_KNOBS);
