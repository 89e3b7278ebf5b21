// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avxvnni.c   Dot products of four bytes (VPDPBUSD), added to 8 lanes of 32 bits. */
#include "peak/peak.h"

#if defined __AVXVNNI__
#include <immintrin.h>

enum { PRODUCTS = 32, LANES = 8, CHAINS = 12 };

static float run(int64_t rounds, float gain, float lift)
{
    __m256i a = _mm256_set1_epi8((char)(2 * gain)), b = _mm256_set1_epi8((char)(-2 * lift)),
            v[CHAINS];
    int32_t lane[LANES];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm256_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm256_dpbusd_avx_epi32(v[i], a, b);
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_si256((void *)lane, v[i]);
        sum += (float)lane[0] + (float)lane[LANES - 1];
    }
    return sum;
}

const struct peak_probe peak_avxvnni = {"avx_vnni", CPU_AVX_VNNI, ELEM_I8, 2.0 * PRODUCTS *CHAINS,
                                        run};
#else
const struct peak_probe peak_avxvnni = {"avx_vnni", CPU_AVX_VNNI, ELEM_I8, 0, NULL};
#endif
