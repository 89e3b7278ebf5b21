// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_01_flash.c
 * Idea:     online softmax over blocks of 96 queries x 256 keys that stay in the second cache; both
 *           products run on the 6 x 16 register tile, exp2 on 8 scores at once by a polynomial.
 * Differs:  from a plain loop: scores never leave the caches, keys and values are packed once per
 *           head for all its row blocks, log2(e) and the scale are folded into the queries.
 * Bound:    4 B N Sq Sk D flops at the FMA peak. For a vector of scores 2 D FMAs meet about 14
 *           other operations, one in eighteen at D = 128; packing adds O(S D) to O(S^2 D).
 * Source:   FlashAttention-2 (arXiv 2307.08691) section 3; online softmax (arXiv 1805.02867). */
#include "target/avx2.h"

#include "attention/attention/flash.h"

VARIANT(attention, avx2_01_flash, .needs = CPU_AVX2, .numerics = NUM_F32, .knob = FLASH_KNOBS);
