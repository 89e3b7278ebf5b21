// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* neonbf16.c   Products of 2 x 4 by 4 x 2 bf16 (BFMMLA), added to 2 x 2 sums in f32. */
#include "peak/peak.h"

#if defined __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#include <arm_neon.h>

enum { PRODUCTS = 16, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    bfloat16x8_t a =
        vcombine_bf16(vcvt_bf16_f32(vdupq_n_f32(gain)), vcvt_bf16_f32(vdupq_n_f32(gain)));
    bfloat16x8_t b =
        vcombine_bf16(vcvt_bf16_f32(vdupq_n_f32(lift)), vcvt_bf16_f32(vdupq_n_f32(lift)));
    float32x4_t v[CHAINS];
    float lane[4], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = vdupq_n_f32((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = vbfmmlaq_f32(v[i], a, b);
    for (int i = 0; i < CHAINS; i++) {
        vst1q_f32(lane, v[i]);
        sum += lane[0] + lane[3];
    }
    return sum;
}

const struct peak_probe peak_neonbf16 = {"neon_bf16", CPU_NEON_BF16, ELEM_BF16,
                                         2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_neonbf16 = {"neon_bf16", CPU_NEON_BF16, ELEM_BF16, 0, NULL};
#endif
