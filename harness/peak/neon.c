// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* neon.c   Up to four FMAs a cycle at a latency of four: sixteen chains. */
#include "peak/peak.h"

#if defined __ARM_NEON && defined __aarch64__
#include <arm_neon.h>

enum { LANES = 4, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    float32x4_t g = vdupq_n_f32(gain), l = vdupq_n_f32(lift), v[CHAINS];
    float lane[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = vdupq_n_f32((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = vfmaq_f32(l, v[i], g);
    for (int i = 0; i < CHAINS; i++) {
        vst1q_f32(lane, v[i]);
        sum += lane[0] + lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_neon = {"neon", CPU_NEON, ELEM_F32, 2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_neon = {"neon", CPU_NEON, ELEM_F32, 0, NULL};
#endif
