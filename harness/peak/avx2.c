// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2.c   Two FMAs a cycle at a latency of four or five need ten chains; sixteen registers hold
 * twelve and the two operands. */
#include "peak/peak.h"

#if defined __AVX2__ && defined __FMA__
#include <immintrin.h>

enum { LANES = 8, CHAINS = 12 };

static float run(int64_t rounds, float gain, float lift)
{
    __m256 g = _mm256_set1_ps(gain), l = _mm256_set1_ps(lift), v[CHAINS];
    float lane[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm256_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm256_fmadd_ps(v[i], g, l);
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_ps(lane, v[i]);
        sum += lane[0] + lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avx2 = {"avx2", CPU_AVX2, ELEM_F32, 2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_avx2 = {"avx2", CPU_AVX2, ELEM_F32, 0, NULL};
#endif
