// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* neoni8mm.c   Products of 2 x 8 by 8 x 2 bytes (SMMLA), added to 2 x 2 sums in 32 bits. */
#include "peak/peak.h"

#if defined __ARM_FEATURE_MATMUL_INT8
#include <arm_neon.h>

enum { PRODUCTS = 32, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    int8x16_t a = vdupq_n_s8((int8_t)(2 * gain)), b = vdupq_n_s8((int8_t)(-2 * lift));
    int32x4_t v[CHAINS];
    int32_t lane[4];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = vdupq_n_s32(i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = vmmlaq_s32(v[i], a, b);
    for (int i = 0; i < CHAINS; i++) {
        vst1q_s32(lane, v[i]);
        sum += (float)lane[0] + (float)lane[3];
    }
    return sum;
}

const struct peak_probe peak_neoni8mm = {"neon_i8mm", CPU_NEON_I8MM, ELEM_I8,
                                         2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_neoni8mm = {"neon_i8mm", CPU_NEON_I8MM, ELEM_I8, 0, NULL};
#endif
