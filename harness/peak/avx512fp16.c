// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512fp16.c   As avx512.c, with 32 half floats to a register. */
#include "peak/peak.h"

#if defined __AVX512FP16__
#include <immintrin.h>

enum { LANES = 32, CHAINS = 16 };

static float run(int64_t rounds, float gain, float lift)
{
    __m512h g = _mm512_set1_ph((_Float16)gain), l = _mm512_set1_ph((_Float16)lift), v[CHAINS];
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = _mm512_set1_ph((_Float16)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            v[i] = _mm512_fmadd_ph(v[i], g, l);
    for (int i = 0; i < CHAINS; i++)
        sum += (float)v[i][0] + (float)v[i][LANES - 1];
    return sum;
}

const struct peak_probe peak_avx512fp16 = {"avx512_fp16", CPU_AVX512_FP16, ELEM_F16,
                                           2.0 * LANES *CHAINS, run};
#else
const struct peak_probe peak_avx512fp16 = {"avx512_fp16", CPU_AVX512_FP16, ELEM_F16, 0, NULL};
#endif
