// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512_int8.c   As avx2_int8.c, for processors with AVX-512 and without VNNI. */
#include "peak/peak.h"

#if defined __AVX512BW__
#include <immintrin.h>

enum { PRODUCTS = 64, LANES = 16, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    __m512i a = _mm512_set1_epi8((char)(2 * gain)), v[CHAINS];
    int32_t lane[LANES];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm512_set1_epi8((char)(i + 2 * lift));
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm512_add_epi16(v[i], _mm512_maddubs_epi16(a, v[i]));
    for (int i = 0; i < CHAINS; i++) {
        _mm512_storeu_si512((void *)lane, v[i]);
        sum += (float)lane[0] + (float)lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avx512_int8 = {"avx512", CPU_AVX512, ELEM_I8, 2.0 * PRODUCTS *CHAINS,
                                            run};
#else
const struct peak_probe peak_avx512_int8 = {"avx512", CPU_AVX512, ELEM_I8, 0, NULL};
#endif
