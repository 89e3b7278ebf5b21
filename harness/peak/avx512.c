// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512.c   As avx2.c, with registers to spare: sixteen chains cover any latency. */
#include "peak/peak.h"

#if defined __AVX512F__
#include <immintrin.h>

enum { LANES = 16, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    __m512 g = _mm512_set1_ps(gain), l = _mm512_set1_ps(lift), v[CHAINS];
    float lane[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm512_fmadd_ps(v[i], g, l);
    for (int i = 0; i < CHAINS; i++) {
        _mm512_storeu_ps(lane, v[i]);
        sum += lane[0] + lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avx512 = {"avx512", CPU_AVX512, ELEM_F32, 2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_avx512 = {"avx512", CPU_AVX512, ELEM_F32, 0, NULL};
#endif
