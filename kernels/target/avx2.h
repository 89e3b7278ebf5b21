// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2.h   AVX2 and FMA behind the vector words that algorithm headers are written in:
 *   vec          LANES floats           tile   TILE_ROWS x TILE_COLS sums held in registers
 *   partial      loads and stores that touch the first n lanes only, 0 <= n <= LANES
 * What the words build up to, exponentials, tiles and packing, is in target/x86.h. Another target
 * gives the same words another width, and the algorithm headers stay as they are. */
#ifndef PATCHMARK_TARGET_AVX2_H
#define PATCHMARK_TARGET_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* 6 x 2 sums, 2 vectors of b and 1 of a fill 15 of the 16 registers. */
enum { LANES = 8, TILE_ROWS = 6, TILE_VECS = 2, TILE_COLS = LANES * TILE_VECS };
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5)

typedef __m256 vec;

static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_all(float a) { return _mm256_set1_ps(a); }
static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); } /* a b + c */
/* Where one operand is NaN, both give b. */
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }

static inline __m256i vec_first(int n)
{
    static const int32_t window[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + LANES - n));
}

static inline vec vec_load_partial(const float *p, int n)
{
    return n == LANES ? vec_load(p) : _mm256_maskload_ps(p, vec_first(n));
}

static inline void vec_store_partial(float *p, int n, vec a)
{
    if (n == LANES)
        vec_store(p, a);
    else
        _mm256_maskstore_ps(p, vec_first(n), a);
}

static inline float vec_sum(vec a)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

static inline float vec_largest(vec a)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

/* The low nine bits of each lane as sign and exponent of a float. */
static inline vec vec_exponent(vec a)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}

#include "target/x86.h"

#endif
