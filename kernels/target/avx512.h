// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512.h   AVX-512 behind the vector words of target/avx2.h. */
#ifndef PATCHMARK_TARGET_AVX512_H
#define PATCHMARK_TARGET_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* 12 x 2 sums, 2 vectors of b and 1 of a fill 27 of the 32 registers; 12 divides the blocks of 24
 * to 192 rows that algorithms choose from, 14 would not. */
enum { LANES = 16, TILE_ROWS = 12, TILE_VECS = 2, TILE_COLS = LANES * TILE_VECS };
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

typedef __m512 vec;

static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_all(float a) { return _mm512_set1_ps(a); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); } /* a b + c */
/* Where one operand is NaN, both give b. */
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }

static inline __mmask16 vec_first(int n) { return (__mmask16)((1u << n) - 1); }

static inline vec vec_load_partial(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(vec_first(n), p);
}

static inline void vec_store_partial(float *p, int n, vec a)
{
    _mm512_mask_storeu_ps(p, vec_first(n), a);
}

static inline float vec_sum(vec a) { return _mm512_reduce_add_ps(a); }
static inline float vec_largest(vec a) { return _mm512_reduce_max_ps(a); }

/* The low nine bits of each lane as sign and exponent of a float. */
static inline vec vec_exponent(vec a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
}

#include "target/x86.h"

#endif
