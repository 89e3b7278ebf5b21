// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_int8.c   Without dot products of bytes: pairs multiplied into 16 bits (VPMADDUBSW), added there. The
 * running sum is an operand, or the product would be made once. */
#include "peak/peak.h"

#if defined __AVX2__
#include <immintrin.h>

enum { PRODUCTS = 32, LANES = 8, CHAINS = 12 };

static float run(int64_t rounds, float gain, float lift)
{
    __m256i a = _mm256_set1_epi8((char)(2 * gain)), v[CHAINS];
    int32_t lane[LANES];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm256_set1_epi8((char)(i + 2 * lift));
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm256_add_epi16(v[i], _mm256_maddubs_epi16(a, v[i]));
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_si256((void *)lane, v[i]);
        sum += (float)lane[0] + (float)lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avx2_int8 = {"avx2", CPU_AVX2, ELEM_I8, 2.0 * PRODUCTS *CHAINS, run};
#else
const struct peak_probe peak_avx2_int8 = {"avx2", CPU_AVX2, ELEM_I8, 0, NULL};
#endif
