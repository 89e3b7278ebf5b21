// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* neon_f64.c   As neon.c, in double. */
#include "peak/peak.h"

#if defined __ARM_NEON && defined __aarch64__
#include <arm_neon.h>

enum { LANES = 2, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    float64x2_t g = vdupq_n_f64((double)gain), l = vdupq_n_f64((double)lift), v[CHAINS];
    double lane[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = vdupq_n_f64(i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = vfmaq_f64(l, v[i], g);
    for (int i = 0; i < CHAINS; i++) {
        vst1q_f64(lane, v[i]);
        sum += lane[0] + lane[LANES - 1];
    }
    return (float)sum;
}

const struct peak_probe peak_neon_f64 = {"neon", CPU_NEON, ELEM_F64, 2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_neon_f64 = {"neon", CPU_NEON, ELEM_F64, 0, NULL};
#endif
