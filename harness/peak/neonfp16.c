// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* neonfp16.c   As neon.c, with eight half floats to a register. */
#include "peak/peak.h"

#if defined __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
#include <arm_neon.h>

enum { PRODUCTS = 8, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    float16x8_t g = vdupq_n_f16((float16_t)gain), l = vdupq_n_f16((float16_t)lift), v[CHAINS];
    float16_t lane[8];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = vdupq_n_f16((float16_t)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = vfmaq_f16(l, v[i], g);
    for (int i = 0; i < CHAINS; i++) {
        vst1q_f16(lane, v[i]);
        sum += (float)lane[0] + (float)lane[7];
    }
    return sum;
}

const struct peak_probe peak_neonfp16 = {"neon_fp16", CPU_NEON_FP16, ELEM_F16,
                                         2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_neonfp16 = {"neon_fp16", CPU_NEON_FP16, ELEM_F16, 0, NULL};
#endif
