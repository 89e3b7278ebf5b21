// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* x86.h   Exponentials, matrix tiles and packing, built from the vector words of the header that
 * includes this one: target/avx2.h or target/avx512.h. */
#ifndef PATCHMARK_TARGET_X86_H
#define PATCHMARK_TARGET_X86_H

/* ---- exponentials ---------------------------------------------------------------------------- */

/* Adding it rounds to an integer n and leaves n + 127, a biased exponent, in the low nine bits. */
#define VEC_ROUNDER (0x1.8p23f + 127.0f)

/* 2^(n + r), |r| <= 1/2: minimax polynomial of degree 6 with constant term 1. n = -127 gives 0,
 * n = 128 infinity. */
static inline vec vec_exp2_parts(vec rounded, vec r)
{
    vec p = vec_fma(r, vec_all(1.53533619e-4f), vec_all(1.33988750e-3f));
    p = vec_fma(p, r, vec_all(9.61843692e-3f));
    p = vec_fma(p, r, vec_all(5.55033237e-2f));
    p = vec_fma(p, r, vec_all(2.40226477e-1f));
    p = vec_fma(p, r, vec_all(6.93147182e-1f));
    p = vec_fma(p, r, vec_all(1.0f));
    return vec_mul(p, vec_exponent(rounded));
}

/* 2^x for x <= 0: minus infinity gives 0, NaN stays NaN, results below 2^-126 become 0. */
static inline vec vec_exp2_down(vec x)
{
    x = vec_max(vec_all(-127.0f), x);
    const vec rounded = vec_add(x, vec_all(VEC_ROUNDER));
    return vec_exp2_parts(rounded, vec_sub(x, vec_sub(rounded, vec_all(VEC_ROUNDER))));
}

/* e^x for any x; log2(e) in two parts keeps the relative error flat for large |x|. */
static inline vec vec_exp(vec x)
{
    x = vec_min(vec_all(88.8f), vec_max(vec_all(-88.0f), x));
    const vec rounded = vec_fma(x, vec_all(1.44269502f), vec_all(VEC_ROUNDER));
    const vec n = vec_sub(rounded, vec_all(VEC_ROUNDER));
    const vec r = vec_fma(x, vec_all(1.44269502f), vec_sub(vec_zero(), n));
    return vec_exp2_parts(rounded, vec_fma(x, vec_all(1.92596303e-8f), r));
}

static inline vec vec_silu(vec x)
{
    return vec_div(x, vec_add(vec_all(1.0f), vec_exp(vec_sub(vec_zero(), x))));
}

/* x/2 (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
static inline vec vec_gelu(vec x)
{
    const vec slope = vec_fma(vec_mul(x, x), vec_all(-0.0713548163f), vec_all(-1.59576912f));
    return vec_div(x, vec_add(vec_all(1.0f), vec_exp(vec_mul(x, slope))));
}

/* ---- matrix tiles ---------------------------------------------------------------------------- */

/* c[r][0..TILE_COLS) = (add ? c : 0) + sum_k a[r lda + k] b[k TILE_COLS + 0..], r < rows.
 * rows is a constant at every use, so the sums live in registers. */
static inline __attribute__((always_inline)) void tile_of(const int rows, int64_t depth,
                                                          const float *a, int64_t lda,
                                                          const float *b, float *c, int64_t ldc,
                                                          bool add)
{
    vec sum[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        sum[r][0] = add ? vec_load(c + r * ldc) : vec_zero();
        sum[r][1] = add ? vec_load(c + r * ldc + LANES) : vec_zero();
    }
    for (int64_t k = 0; k < depth; k++) {
        const vec b0 = vec_load(b), b1 = vec_load(b + LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const vec ar = vec_all(a[r * lda]);
            sum[r][0] = vec_fma(ar, b0, sum[r][0]);
            sum[r][1] = vec_fma(ar, b1, sum[r][1]);
        }
        a++;
        b += TILE_COLS;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        vec_store(c + r * ldc, sum[r][0]);
        vec_store(c + r * ldc + LANES, sum[r][1]);
    }
}

static __attribute__((noinline, unused)) void tile_multiply(int rows, int64_t depth, const float *a,
                                                            int64_t lda, const float *b, float *c,
                                                            int64_t ldc, bool add)
{
#define TILE_CASE(N)                                                                               \
    case N: tile_of(N, depth, a, lda, b, c, ldc, add); break;
    switch (rows) {
        TILE_CASES(TILE_CASE)
    default: tile_of(TILE_ROWS, depth, a, lda, b, c, ldc, add);
    }
#undef TILE_CASE
}

/* ---- dot products ---------------------------------------------------------------------------- */

enum { DOT_ROWS = 4, DOT_COLS = 3 };

/* n lanes at k of every row of a against every row of b. */
static inline __attribute__((always_inline)) void dots_step(vec sum[DOT_ROWS][DOT_COLS],
                                                            const float *const a[DOT_ROWS],
                                                            const float *const b[DOT_COLS],
                                                            int64_t k, int n)
{
    vec w[DOT_COLS];
#pragma GCC unroll 4
    for (int j = 0; j < DOT_COLS; j++)
        w[j] = vec_load_partial(b[j] + k, n);
#pragma GCC unroll 4
    for (int r = 0; r < DOT_ROWS; r++) {
        const vec x = vec_load_partial(a[r] + k, n);
#pragma GCC unroll 4
        for (int j = 0; j < DOT_COLS; j++)
            sum[r][j] = vec_fma(x, w[j], sum[r][j]);
    }
}

/* sum[r][j LANES + 0..] += lane-wise products of a[r][0..depth) and b[j][0..depth): DOT_ROWS x
 * DOT_COLS dot products for outputs too narrow for a tile; the caller adds up the lanes. */
static __attribute__((noinline, unused)) void dots_add(int64_t depth,
                                                       const float *const a[DOT_ROWS],
                                                       const float *const b[DOT_COLS],
                                                       float *const sum[DOT_ROWS])
{
    const float *const rows[DOT_ROWS] = {a[0], a[1], a[2], a[3]};
    const float *const cols[DOT_COLS] = {b[0], b[1], b[2]};
    vec s[DOT_ROWS][DOT_COLS];
#pragma GCC unroll 16
    for (int i = 0; i < DOT_ROWS * DOT_COLS; i++)
        s[i / DOT_COLS][i % DOT_COLS] = vec_load(sum[i / DOT_COLS] + i % DOT_COLS * LANES);
    int64_t k = 0;
    for (; k + LANES <= depth; k += LANES)
        dots_step(s, rows, cols, k, LANES);
    if (k < depth)
        dots_step(s, rows, cols, k, (int)(depth - k));
#pragma GCC unroll 16
    for (int i = 0; i < DOT_ROWS * DOT_COLS; i++)
        vec_store(sum[i / DOT_COLS] + i % DOT_COLS * LANES, s[i / DOT_COLS][i % DOT_COLS]);
}

/* ---- packing --------------------------------------------------------------------------------- */

static inline void transpose_8x8(const float *from, int64_t from_stride, float *to,
                                 int64_t to_stride)
{
    __m256 r[8], t[4];
    for (int i = 0; i < 4; i++) { /* halves of rows i and i + 4 side by side */
        const __m256 low = _mm256_loadu_ps(from + i * from_stride);
        const __m256 high = _mm256_loadu_ps(from + (i + 4) * from_stride);
        r[i] = _mm256_permute2f128_ps(low, high, 0x20);
        r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
    for (int i = 0; i < 8; i += 4) { /* then 4 x 4 within each half */
        t[0] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
        t[2] = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        t[3] = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        _mm256_storeu_ps(to + i * to_stride, _mm256_shuffle_ps(t[0], t[2], 0x44));
        _mm256_storeu_ps(to + (i + 1) * to_stride, _mm256_shuffle_ps(t[0], t[2], 0xee));
        _mm256_storeu_ps(to + (i + 2) * to_stride, _mm256_shuffle_ps(t[1], t[3], 0x44));
        _mm256_storeu_ps(to + (i + 3) * to_stride, _mm256_shuffle_ps(t[1], t[3], 0xee));
    }
}

/* to[d][j] = from[j][d]: up to TILE_COLS rows turned into one panel, missing rows filled with 0. */
static inline void panel_pack(const float *from, int64_t stride, int64_t rows, int64_t depth,
                              float *to)
{
    for (int64_t j = 0; j < TILE_COLS; j += 8) {
        int64_t d = 0;
        for (; j + 8 <= rows && d + 8 <= depth; d += 8)
            transpose_8x8(from + j * stride + d, stride, to + d * TILE_COLS + j, TILE_COLS);
        for (; d < depth; d++)
            for (int64_t i = j; i < j + 8; i++)
                to[d * TILE_COLS + i] = i < rows ? from[i * stride + d] : 0.0f;
    }
}

#endif
