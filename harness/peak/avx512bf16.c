// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512bf16.c   Dot products of pairs of bf16 (VDPBF16PS), added to 16 lanes of f32. */
#include "peak/peak.h"

#if defined __AVX512BF16__
#include <immintrin.h>

enum { PRODUCTS = 32, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    __m512 wide = _mm512_set1_ps(gain), low = _mm512_set1_ps(lift), v[CHAINS];
    __m512bh a = _mm512_cvtne2ps_pbh(wide, wide), b = _mm512_cvtne2ps_pbh(low, low);
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm512_dpbf16_ps(v[i], a, b);
    for (int i = 0; i < CHAINS; i++)
        sum += v[i][0] + v[i][15];
    return sum;
}

const struct peak_probe peak_avx512bf16 = {"avx512_bf16", CPU_AVX512_BF16, ELEM_BF16,
                                           2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_avx512bf16 = {"avx512_bf16", CPU_AVX512_BF16, ELEM_BF16, 0, NULL};
#endif
