// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512vnni.c   As avxvnni.c, 16 lanes wide. */
#include "peak/peak.h"

#if defined __AVX512VNNI__
#include <immintrin.h>

enum { PRODUCTS = 64, LANES = 16, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    __m512i a = _mm512_set1_epi8((char)(2 * gain)), b = _mm512_set1_epi8((char)(-2 * lift)),
            v[CHAINS];
    int32_t lane[LANES];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm512_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm512_dpbusd_epi32(v[i], a, b);
    for (int i = 0; i < CHAINS; i++) {
        _mm512_storeu_si512((void *)lane, v[i]);
        sum += (float)lane[0] + (float)lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avx512vnni = {"avx512_vnni", CPU_AVX512_VNNI, ELEM_I8,
                                           2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_avx512vnni = {"avx512_vnni", CPU_AVX512_VNNI, ELEM_I8, 0, NULL};
#endif
