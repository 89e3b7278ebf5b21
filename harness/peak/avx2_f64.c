// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_f64.c   As avx2.c, in double. */
#include "peak/peak.h"

#if defined __AVX2__ && defined __FMA__
#include <immintrin.h>

enum { LANES = 4, CHAINS = 12 };

static float run(int64_t rounds, float gain, float lift)
{
    __m256d g = _mm256_set1_pd((double)gain), l = _mm256_set1_pd((double)lift), v[CHAINS];
    double lane[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm256_set1_pd(i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm256_fmadd_pd(v[i], g, l);
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_pd(lane, v[i]);
        sum += lane[0] + lane[LANES - 1];
    }
    return (float)sum;
}

const struct peak_probe peak_avx2_f64 = {"avx2", CPU_AVX2, ELEM_F64, 2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_avx2_f64 = {"avx2", CPU_AVX2, ELEM_F64, 0, NULL};
#endif
