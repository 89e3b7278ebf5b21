// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* c.h   Helpers of the plain C variants: element conversion, work partition, and the inner loops
 * that several ops share. Portable C11 and OpenMP; the simd pragma lets any compiler use the
 * registers its baseline has. Maths is f32; row statistics are double, so that no square overflows.
 */
#ifndef PATCHMARK_TARGET_C_H
#define PATCHMARK_TARGET_C_H

#include "op.h"

#include <math.h>
#include <string.h>

#define C_CHUNK 256 /* elements converted at a time, even */

/* ---- partition ------------------------------------------------------------------------------- */

static inline int64_t c_min(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t c_max(int64_t a, int64_t b) { return a > b ? a : b; }

static inline int64_t c_blocks(int64_t count, int64_t block) { return (count + block - 1) / block; }

/* How many threads want scratch of their own. */
static inline int64_t c_slots(const struct need *need, int64_t items)
{
    return c_min(items, need->threads);
}

static inline int c_threads(const struct exec *exec, int64_t items)
{
    return (int)c_max(1, c_min(exec->threads, items));
}

/* ---- elements -------------------------------------------------------------------------------- */

static inline bool c_is(const struct tensor *t, enum elem elem)
{
    return t->elem == elem && t->scale_layout == SCALE_NONE;
}

static inline bool c_is_float(const struct tensor *t)
{
    return c_is(t, ELEM_F32) || c_is(t, ELEM_BF16) || c_is(t, ELEM_F16);
}

/* An optional operand: absent, or f32. */
static inline bool c_is_f32_or_absent(const struct tensor *t)
{
    return !tensor_given(t) || c_is(t, ELEM_F32);
}

static inline int64_t c_elem_bytes(enum elem elem)
{
    return elem == ELEM_U8 ? 1 : elem == ELEM_BF16 || elem == ELEM_F16 ? 2 : 4;
}

static inline float c_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t c_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float c_from_bf16(uint16_t stored) { return c_float_of((uint32_t)stored << 16); }

static inline uint16_t c_to_bf16(float value)
{
    uint32_t bits = c_bits_of(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)(value != value ? bits >> 16 | 0x40u : rounded);
}

/* A choice without a branch, so that loops over it can be vectorised. */
static inline uint32_t c_pick(bool first, uint32_t a, uint32_t b)
{
    uint32_t mask = 0u - (uint32_t)first;
    return (a & mask) | (b & ~mask);
}

/* The exponent is rebiased by a multiplication, which also normalises subnormals; infinity and NaN
 * then lack only the upper bits of theirs. */
static inline float c_from_f16(uint16_t stored)
{
    uint32_t magnitude = (uint32_t)(stored & 0x7fffu) << 13;
    uint32_t bits = c_bits_of(c_float_of(magnitude) * 0x1p112f);
    bits |= c_pick(magnitude >= 0x0f800000u, 0x7f800000u, 0);
    return c_float_of(bits | (uint32_t)(stored & 0x8000u) << 16);
}

/* Below the smallest normal, adding 1/2 lets the addition round at the subnormal's last bit. */
static inline uint16_t c_to_f16(float value)
{
    uint32_t bits = c_bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
    uint32_t subnormal = c_bits_of(c_float_of(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t half = c_pick(magnitude < 0x38800000u, subnormal, normal);
    half = c_pick(magnitude >= 0x47800000u, 0x7c00u, half);
    half = c_pick(magnitude > 0x7f800000u, 0x7e00u, half);
    return (uint16_t)(sign | half);
}

static inline float c_load(const struct tensor *t, int64_t index)
{
    if (t->elem == ELEM_BF16)
        return c_from_bf16(((const uint16_t *)t->data)[index]);
    if (t->elem == ELEM_F16)
        return c_from_f16(((const uint16_t *)t->data)[index]);
    return ((const float *)t->data)[index];
}

static inline void c_store(const struct tensor *t, int64_t index, float value)
{
    if (t->elem == ELEM_BF16)
        ((uint16_t *)t->data)[index] = c_to_bf16(value);
    else if (t->elem == ELEM_F16)
        ((uint16_t *)t->data)[index] = c_to_f16(value);
    else
        ((float *)t->data)[index] = value;
}

static inline void c_load_row(float *restrict to, const struct tensor *t, int64_t first,
                              int64_t count)
{
    const uint16_t *from = (const uint16_t *)t->data + first;
    if (t->elem == ELEM_F32) {
        memcpy(to, (const float *)t->data + first, (size_t)count * sizeof(float));
    } else if (t->elem == ELEM_BF16) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = c_from_bf16(from[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = c_from_f16(from[i]);
    }
}

static inline void c_store_row(const struct tensor *t, int64_t first, const float *restrict from,
                               int64_t count)
{
    uint16_t *to = (uint16_t *)t->data + first;
    if (t->elem == ELEM_F32) {
        memcpy((float *)t->data + first, from, (size_t)count * sizeof(float));
    } else if (t->elem == ELEM_BF16) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = c_to_bf16(from[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = c_to_f16(from[i]);
    }
}

/* The row as f32: in place where it is stored so, else converted into buffer. */
static inline const float *c_view(const struct tensor *t, int64_t first, int64_t count,
                                  float *buffer)
{
    if (t->elem == ELEM_F32)
        return (const float *)t->data + first;
    c_load_row(buffer, t, first, count);
    return buffer;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* Only e to a negative power: neither tail overflows, and small results keep their digits. */
static inline float c_sigmoid(float a)
{
    float power = expf(-fabsf(a));
    return (a >= 0 ? 1 : power) / (1 + power);
}

static inline float c_silu(float a) { return a * c_sigmoid(a); }

/* (1 + tanh z)/2 is the sigmoid of 2 z; 2 sqrt(2/pi) = 1.5957... */
static inline float c_gelu(float a)
{
    return a * c_sigmoid(1.5957691216057308f * (a + 0.044715f * a * a * a));
}

/* 1 + erf(z) is erfc(-z), which keeps its digits where erf is next to -1. */
static inline float c_gelu_erf(float a) { return 0.5f * a * erfcf(-0.70710678118654752f * a); }

/* ---- sums of products ------------------------------------------------------------------------ */

/* sum[o] = x . w[o] for four rows at once: each x is loaded once, four sums hide the latency. */
static inline void c_dot4(const float *x, const float *const w[4], int64_t count, float sum[4])
{
    const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < count; i++) {
        s0 += x[i] * w0[i];
        s1 += x[i] * w1[i];
        s2 += x[i] * w2[i];
        s3 += x[i] * w3[i];
    }
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

/* y += sum of p[j] row j, `rows` rows `stride` apart */
static inline void c_add_rows(float *restrict y, const float *p, const float *restrict row,
                              int64_t rows, int64_t stride, int64_t count)
{
    int64_t j = 0;
    for (; j + 4 <= rows; j += 4) {
        const float *r0 = row + j * stride, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
        const float p0 = p[j], p1 = p[j + 1], p2 = p[j + 2], p3 = p[j + 3];
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            y[i] += (p0 * r0[i] + p1 * r1[i]) + (p2 * r2[i] + p3 * r3[i]);
    }
    for (; j < rows; j++) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            y[i] += p[j] * row[j * stride + i];
    }
}

/* ---- matrix product -------------------------------------------------------------------------- */

#define C_TILE_ROWS 32 /* each weight is converted and fetched once for so many rows */
#define C_TILE_OUTS 64 /* and each x for so many outputs */
#define C_TILE_DEPTH 256

/* acc[r][o] = x[s + r] . w[o0 + o] for at most C_TILE_ROWS rows; those of acc acc_stride apart */
static inline void c_matmul_tile(const struct tensor *x, int64_t s, int64_t rows,
                                 const struct tensor *w, int64_t o0, int64_t outs, int64_t K,
                                 float *acc, int64_t acc_stride)
{
    float x_buffer[C_TILE_ROWS][C_TILE_DEPTH], w_buffer[4][C_TILE_DEPTH];
    const float *x_row[C_TILE_ROWS], *w_row[4];
    for (int64_t r = 0; r < rows; r++)
        memset(acc + r * acc_stride, 0, (size_t)outs * sizeof *acc);

    for (int64_t k = 0; k < K; k += C_TILE_DEPTH) {
        int64_t depth = c_min(C_TILE_DEPTH, K - k);
        for (int64_t r = 0; r < rows; r++)
            x_row[r] = c_view(x, (s + r) * x->stride + k, depth, x_buffer[r]);
        for (int64_t o = 0; o < outs; o += 4) {
            /* past the last output the last row is repeated and its sums are dropped */
            int64_t group = c_min(4, outs - o);
            for (int64_t i = 0; i < 4; i++)
                w_row[i] =
                    i < group ? c_view(w, (o0 + o + i) * K + k, depth, w_buffer[i]) : w_row[i - 1];
            for (int64_t r = 0; r < rows; r++) {
                float sum[4];
                c_dot4(x_row[r], w_row, depth, sum);
                for (int64_t i = 0; i < group; i++)
                    acc[r * acc_stride + o + i] += sum[i];
            }
        }
    }
}

/* ---- norms ----------------------------------------------------------------------------------- */

static inline double c_sum(const struct tensor *x, int64_t first, int64_t count)
{
    float buffer[C_CHUNK];
    double sum = 0;
    for (int64_t i = 0; i < count; i += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, count - i);
        const float *row = c_view(x, first + i, part, buffer);
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < part; j++)
            sum += row[j];
    }
    return sum;
}

static inline double c_sum_squares_about(double centre, const struct tensor *x, int64_t first,
                                         int64_t count)
{
    float buffer[C_CHUNK];
    double sum = 0;
    for (int64_t i = 0; i < count; i += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, count - i);
        const float *row = c_view(x, first + i, part, buffer);
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < part; j++)
            sum += (row[j] - centre) * (row[j] - centre);
    }
    return sum;
}

static inline double c_sum_squares(const struct tensor *x, int64_t first, int64_t count)
{
    return c_sum_squares_about(0, x, first, count);
}

/* qk_norm_rope.h for one token: x from x_first to y from y_first; s counts within the clip. */
struct c_norm_rope {
    int64_t N, D;
    bool all, head;         /* which norm, if any */
    bool rope, own, halves; /* whether to rotate; by each head's own angles; halves, not pairs */
    bool centred;           /* a head's mean is taken away, and bias is there */
    double eps;
    const float *weight, *cos, *sin, *bias;
};

/* u = (x - centre) r weight, and a bias where there is a centre */
struct c_norm_by {
    double r, centre;
};

/* `part` values from column `column` of a token on, normalised. */
static inline void c_normed(const struct c_norm_rope *n, struct c_norm_by by,
                            const struct tensor *x, int64_t x_first, int64_t column, int64_t part,
                            float *u)
{
    c_load_row(u, x, x_first + column, part);
    if (!n->all && !n->head)
        return;
    const int64_t d = column % n->D;
    const float *gain = n->weight + (n->all ? column : d);
    for (int64_t j = 0; j < part; j++)
        u[j] = (float)((u[j] - by.centre) * by.r) * gain[j] + (n->centred ? n->bias[d + j] : 0);
}

static inline void c_head_pairs(const struct c_norm_rope *n, struct c_norm_by by,
                                const struct tensor *x, int64_t x_first, int64_t column,
                                int64_t angle, const struct tensor *y, int64_t y_first)
{
    for (int64_t d = 0; d < n->D; d += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, n->D - d);
        float u[C_CHUNK];
        c_normed(n, by, x, x_first, column + d, part, u);
        for (int64_t j = 0; n->rope && j < part / 2; j++) {
            float cosine = n->cos[angle + d / 2 + j], sine = n->sin[angle + d / 2 + j];
            float even = u[2 * j], odd = u[2 * j + 1];
            u[2 * j] = even * cosine - odd * sine;
            u[2 * j + 1] = even * sine + odd * cosine;
        }
        c_store_row(y, y_first + column + d, u, part);
    }
}

static inline void c_head_halves(const struct c_norm_rope *n, struct c_norm_by by,
                                 const struct tensor *x, int64_t x_first, int64_t column,
                                 int64_t angle, const struct tensor *y, int64_t y_first)
{
    const int64_t half = n->D / 2;
    for (int64_t d = 0; d < half; d += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, half - d);
        float u[C_CHUNK], v[C_CHUNK];
        c_normed(n, by, x, x_first, column + d, part, u);
        c_normed(n, by, x, x_first, column + half + d, part, v);
        for (int64_t j = 0; j < part; j++) {
            float cosine = n->cos[angle + d + j], sine = n->sin[angle + d + j];
            float low = u[j], high = v[j];
            u[j] = low * cosine - high * sine;
            v[j] = low * sine + high * cosine;
        }
        c_store_row(y, y_first + column + d, u, part);
        c_store_row(y, y_first + column + half + d, v, part);
    }
}

static inline void c_norm_rope_token(const struct c_norm_rope *n, int64_t s, const struct tensor *x,
                                     int64_t x_first, const struct tensor *y, int64_t y_first)
{
    struct c_norm_by by = {1, 0};
    if (n->all)
        by.r = 1 / sqrt(c_sum_squares(x, x_first, n->N * n->D) / (double)(n->N * n->D) + n->eps);
    for (int64_t i = 0; i < n->N; i++) {
        const int64_t column = i * n->D;
        const int64_t angle = (n->own ? s * n->N + i : s) * (n->D / 2);
        if (n->centred)
            by.centre = c_sum(x, x_first + column, n->D) / (double)n->D;
        if (n->head)
            by.r =
                1 / sqrt(c_sum_squares_about(by.centre, x, x_first + column, n->D) / (double)n->D +
                         n->eps);
        (n->halves ? c_head_halves : c_head_pairs)(n, by, x, x_first, column, angle, y, y_first);
    }
}

/* norm_silu.h for one pixel of C channels: x from x_first to y from y_first */
static inline void c_norm_silu_pixel(const struct tensor *x, int64_t x_first, const float *gamma,
                                     int64_t C, bool silu, const struct tensor *y, int64_t y_first)
{
    double norm = sqrt(c_sum_squares(x, x_first, C));
    double r = sqrt((double)C) / (norm < 1e-12 ? 1e-12 : norm);
    for (int64_t c = 0; c < C; c += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, C - c);
        float n[C_CHUNK];
        c_load_row(n, x, x_first + c, part);
        for (int64_t j = 0; j < part; j++)
            n[j] = (float)(n[j] * r) * gamma[c + j];
        for (int64_t j = 0; silu && j < part; j++)
            n[j] = c_silu(n[j]);
        c_store_row(y, y_first + c, n, part);
    }
}

/* ---- convolution ----------------------------------------------------------------------------- */

#define C_CONV_PIXELS 32 /* output pixels of one row that share a pass over the weights */
#define C_CONV_OUTS 64

/* conv3d.h with the weights as [O][kt][kh][kw][C] f32: the taps of one input row and their channels
 * are then one contiguous dot product. Taps outside the frame and zero frames are left out. */
struct c_conv {
    int64_t H, W, C, O;
    int64_t kt, kh, kw, st, sh, sw;
    int64_t lead, P, pad_top, pad_left;
    int64_t To, Ho, Wo;
    struct tensor x, past, bias, aux, y;
    const float *w;
};

static inline int64_t c_conv_items(const struct c_conv *v)
{
    return c_blocks(v->O, C_CONV_OUTS) * v->To * v->Ho * c_blocks(v->Wo, C_CONV_PIXELS);
}

/* Elements of f32 scratch that a thread needs; none where x can be read in place. */
static inline int64_t c_conv_buffer_elems(const struct c_conv *v)
{
    int64_t columns = c_min(v->W, (C_CONV_PIXELS - 1) * v->sw + v->kw);
    return v->x.elem == ELEM_F32 ? 0 : columns * v->C;
}

static inline void c_conv_pack(const struct tensor *w, int64_t O, int64_t C, int64_t taps,
                               const struct exec *exec, float *packed)
{
#pragma omp parallel for num_threads(c_threads(exec, O)) schedule(static)
    for (int64_t o = 0; o < O; o++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t c = 0; c < C; c++)
                packed[(o * taps + tap) * C + c] = c_load(w, (o * C + c) * taps + tap);
}

/* One row of taps: acc[pixel][o] += w[o] . in, where `in` begins at column `first` of the frame and
 * column x0 lies under the first tap of the first pixel. */
static inline void c_conv_row(const struct c_conv *v, const float *in, int64_t first, int64_t x0,
                              int64_t pixels, const float *w, int64_t outs,
                              float acc[C_CONV_PIXELS][C_CONV_OUTS])
{
    int64_t w_stride = v->kt * v->kh * v->kw * v->C;
    for (int64_t o = 0; o < outs; o += 4) {
        int64_t group = c_min(4, outs - o);
        for (int64_t p = 0; p < pixels; p++) {
            int64_t column = x0 + p * v->sw;
            int64_t k0 = c_max(0, -column), k1 = c_min(v->kw, v->W - column);
            if (k0 >= k1)
                continue;
            const float *w_row[4];
            float sum[4];
            for (int64_t i = 0; i < 4; i++)
                w_row[i] = w + (o + c_min(i, group - 1)) * w_stride + k0 * v->C;
            c_dot4(in + (column + k0 - first) * v->C, w_row, (k1 - k0) * v->C, sum);
            for (int64_t i = 0; i < group; i++)
                acc[p][o + i] += sum[i];
        }
    }
}

static inline void c_conv_finish(const struct c_conv *v, int64_t pixel, int64_t o0, int64_t outs,
                                 float *acc)
{
    int64_t first = pixel * v->O + o0;
    if (tensor_given(&v->bias))
        for (int64_t o = 0; o < outs; o++)
            acc[o] += ((const float *)v->bias.data)[o0 + o];
    if (tensor_given(&v->aux))
        for (int64_t o = 0; o < outs; o++)
            acc[o] += c_load(&v->aux, first + o);
    c_store_row(&v->y, first, acc, outs);
}

/* Output tile `item` of c_conv_items; outputs vary slowest, so that neighbours share weights. */
static inline void c_conv_tile(const struct c_conv *v, int64_t item, float *buffer)
{
    int64_t tiles = c_blocks(v->Wo, C_CONV_PIXELS);
    int64_t q = item % tiles * C_CONV_PIXELS, pixels = c_min(C_CONV_PIXELS, v->Wo - q);
    int64_t r = item / tiles % v->Ho, t = item / tiles / v->Ho % v->To;
    int64_t o0 = item / tiles / v->Ho / v->To * C_CONV_OUTS, outs = c_min(C_CONV_OUTS, v->O - o0);
    int64_t x0 = q * v->sw - v->pad_left;
    int64_t first = c_max(0, x0), last = c_min(v->W, x0 + (pixels - 1) * v->sw + v->kw);
    float acc[C_CONV_PIXELS][C_CONV_OUTS];
    memset(acc, 0, (size_t)pixels * sizeof acc[0]);

    for (int64_t i = 0; i < v->kt; i++) {
        int64_t frame = t * v->st + i - v->lead;
        if (frame < -v->P || first >= last)
            continue;
        const struct tensor *from = frame < 0 ? &v->past : &v->x;
        frame += frame < 0 ? v->P : 0;
        for (int64_t j = 0; j < v->kh; j++) {
            int64_t row = r * v->sh + j - v->pad_top;
            if (row < 0 || row >= v->H)
                continue;
            const float *in = c_view(from, ((frame * v->H + row) * v->W + first) * v->C,
                                     (last - first) * v->C, buffer);
            const float *w = v->w + ((o0 * v->kt + i) * v->kh + j) * v->kw * v->C;
            c_conv_row(v, in, first, x0, pixels, w, outs, acc);
        }
    }
    for (int64_t p = 0; p < pixels; p++)
        c_conv_finish(v, (t * v->Ho + r) * v->Wo + q + p, o0, outs, acc[p]);
}

#endif
