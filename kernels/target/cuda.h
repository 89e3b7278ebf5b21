// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cuda.h   What the plain CUDA kernels share: element types, grids, activations, sums over a block,
 * products of matrix tiles, norm and rotation of one token. Maths is f32. No PTX here:
 * target/gpu.h alone holds that. */
#ifndef PATCHMARK_TARGET_CUDA_H
#define PATCHMARK_TARGET_CUDA_H

#include "op.h"
#include "target/gpu.h"

/* ---- element types --------------------------------------------------------------------------- */

/* Runs the statement with T = the C++ type of an element type that is f32, bf16 or f16. */
#define CUDA_TYPED(ELEM, T, ...)                                                                   \
    do {                                                                                           \
        if ((ELEM) == ELEM_F32) {                                                                  \
            using T = float;                                                                       \
            __VA_ARGS__;                                                                           \
        } else if ((ELEM) == ELEM_BF16) {                                                          \
            using T = bf16;                                                                        \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            using T = f16;                                                                         \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

static inline bool cuda_is(const struct tensor *t, enum elem elem)
{
    return t->elem == elem && t->scale_layout == SCALE_NONE;
}

static inline bool cuda_is_float(const struct tensor *t)
{
    return cuda_is(t, ELEM_F32) || cuda_is(t, ELEM_BF16) || cuda_is(t, ELEM_F16);
}

static inline bool cuda_is_f32_or_absent(const struct tensor *t)
{
    return !tensor_given(t) || cuda_is(t, ELEM_F32);
}

/* tensor_given() for device code */
GPU_FN bool cuda_given(const struct tensor *t) { return t->elem != ELEM_NONE; }

/* ---- grids ----------------------------------------------------------------------------------- */

static inline int64_t cuda_blocks(int64_t count, int64_t per_block)
{
    return (count + per_block - 1) / per_block;
}

/* Blocks of a grid whose kernel walks on by gridDim.x where the grid's first axis is too short. */
static inline int cuda_grid(int64_t count, int64_t per_block)
{
    int64_t blocks = cuda_blocks(count, per_block);
    return (int)(blocks < INT32_MAX ? blocks : INT32_MAX);
}

/* Thread of the whole grid, and how many there are:
 * for (int64_t i = cuda_thread(); i < count; i += cuda_threads()) */
GPU_FN int64_t cuda_thread() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }

GPU_FN int64_t cuda_threads() { return (int64_t)gridDim.x * blockDim.x; }

/* ---- functions ------------------------------------------------------------------------------- */

/* Only e to a negative power: neither tail overflows, and small results keep their digits. */
GPU_FN float cuda_sigmoid(float a)
{
    float power = expf(-fabsf(a));
    return (a >= 0 ? 1 : power) / (1 + power);
}

GPU_FN float cuda_silu(float a) { return a * cuda_sigmoid(a); }

/* (1 + tanh z)/2 is the sigmoid of 2 z; 2 sqrt(2/pi) = 1.5957... */
GPU_FN float cuda_gelu(float a)
{
    return a * cuda_sigmoid(1.5957691216057308f * (a + 0.044715f * a * a * a));
}

/* 1 + erf(z) is erfc(-z), which keeps its digits where erf is next to -1. */
GPU_FN float cuda_gelu_erf(float a) { return 0.5f * a * erfcf(-0.70710678118654752f * a); }

/* ---- sums ------------------------------------------------------------------------------------ */

/* Sum of one value per lane, the same bits in every lane. */
GPU_FN float cuda_warp_sum(float value)
{
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(~0u, value, offset);
    return value;
}

/* Sum of one value per thread over the whole block, the same bits in every thread. `warps` points
 * to 32 floats of shared memory; the block is a whole number of warps. */
GPU_FN float cuda_block_sum(float value, float *warps)
{
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, count = blockDim.x >> 5;
    value = cuda_warp_sum(value);
    if (lane == 0)
        warps[warp] = value;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < count; i++)
        sum += warps[i];
    __syncthreads();
    return sum;
}

/* ---- matrix product --------------------------------------------------------------------------
 * A block of 8 x 16 threads multiplies 64 rows of one operand by 16 COLUMNS rows of another, both
 * cut along their common width into slices of CUDA_TILE_DEPTH that pass through shared memory as
 * f32. Each thread holds 8 x COLUMNS sums, COLUMNS 4 or 8: one vector of four values fetched from
 * shared memory then serves up to 32 multiply-adds.
 *
 *   LAUNCH(kernel, grid, CUDA_TILE_THREADS, sizeof(struct cuda_tile<8>), stream, ...)
 *   DYN_SHARED(struct cuda_tile<8>, tile);
 *   float sum[8][8] = {};
 *   cuda_tile_product<8>(tile, x, x_stride, rows, w, w_stride, outs, K, sum);
 *   sum[i][j] belongs to row cuda_tile_row(i) and column cuda_tile_column(j)
 *
 * An operand that must be gathered (a convolution's) fills tile->a itself as cuda_tile_load does:
 * fill both, __syncthreads(), cuda_tile_multiply(), __syncthreads(), next slice. */

#define CUDA_TILE_THREADS 128
#define CUDA_TILE_ROWS 64
#define CUDA_TILE_DEPTH 16
#define CUDA_TILE_PAD 4 /* keeps vectors of four aligned, and depths off each other's banks */

template <int COLUMNS> struct cuda_tile {
    float a[CUDA_TILE_DEPTH][CUDA_TILE_ROWS + CUDA_TILE_PAD];
    float b[CUDA_TILE_DEPTH][16 * COLUMNS + CUDA_TILE_PAD];
};

GPU_FN int cuda_tile_row(int i) { return threadIdx.x / 16 * 8 + i; }

/* Fours, so that 16 threads read 64 neighbouring values at once. */
GPU_FN int cuda_tile_column(int j) { return j / 4 * 64 + threadIdx.x % 16 * 4 + j % 4; }

/* to[k][r] = from[r stride + k], neighbouring threads reading along k. What lies past `rows` or
 * `depth` is never read and counts as 0; past `depth` it is 0 in both operands, so that no infinity
 * meets a 0 in a sum that is stored. */
template <int ROWS, typename T>
GPU_FN void cuda_tile_load(float (*to)[ROWS + CUDA_TILE_PAD], const T *from, int64_t stride,
                           int64_t rows, int64_t depth)
{
    int k = threadIdx.x % CUDA_TILE_DEPTH, r = threadIdx.x / CUDA_TILE_DEPTH;
    const int step = CUDA_TILE_THREADS / CUDA_TILE_DEPTH;
    const int last = k >= depth ? 0 : rows < ROWS ? (int)rows : ROWS;
    from += r * stride + k;
#pragma unroll
    for (int i = 0; i < ROWS / step; i++, r += step, from += step * stride)
        to[k][r] = r < last ? to_float(*from) : 0.0f;
}

/* sum += a^T b over one slice */
template <int COLUMNS>
GPU_FN void cuda_tile_multiply(const float (*a)[CUDA_TILE_ROWS + CUDA_TILE_PAD],
                               const float (*b)[16 * COLUMNS + CUDA_TILE_PAD],
                               float sum[8][COLUMNS])
{
#pragma unroll
    for (int k = 0; k < CUDA_TILE_DEPTH; k++) {
        float x[8], w[COLUMNS];
#pragma unroll
        for (int i = 0; i < 8; i++)
            x[i] = a[k][cuda_tile_row(i)];
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            w[j] = b[k][cuda_tile_column(j)];
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] += x[i] * w[j];
    }
}

/* sum[i][j] += x[row i] . w[column j]: x and w point at the first row of the tile, `rows` and `outs`
 * are how many there are from it on. */
template <int COLUMNS, typename T>
GPU_FN void cuda_tile_product(struct cuda_tile<COLUMNS> *tile, const T *x, int64_t x_stride,
                              int64_t rows, const T *w, int64_t w_stride, int64_t outs, int64_t K,
                              float sum[8][COLUMNS])
{
    for (int64_t k = 0; k < K; k += CUDA_TILE_DEPTH) {
        cuda_tile_load<CUDA_TILE_ROWS>(tile->a, x + k, x_stride, rows, K - k);
        cuda_tile_load<16 * COLUMNS>(tile->b, w + k, w_stride, outs, K - k);
        __syncthreads();
        cuda_tile_multiply<COLUMNS>(tile->a, tile->b, sum);
        __syncthreads();
    }
}

/* ---- norm and rotation ----------------------------------------------------------------------- */

/* qk_norm_rope.h for one token by a whole block: a warp takes whole heads. s counts within the
 * clip, y may be x, `warps` is as in cuda_block_sum. */
struct cuda_norm_rope {
    int64_t N, D;
    bool all, head;         /* which norm, if any */
    bool rope, own, halves; /* whether to rotate; by each head's own angles; halves, not pairs */
    bool centred;           /* a head's mean is taken away, and bias is there */
    float eps;
    const float *weight, *cos, *sin, *bias;
};

GPU_FN float cuda_norm_factor(float squares, int64_t count, float eps)
{
    return 1 / sqrtf(squares / (float)count + eps);
}

template <typename T>
GPU_FN float cuda_sum_values(const T *x, int64_t first, int64_t step, int64_t count)
{
    float sum = 0;
    for (int64_t i = first; i < count; i += step)
        sum += to_float(x[i]);
    return sum;
}

/* Squares about `centre` of every step-th value from x[first] on. */
template <typename T>
GPU_FN float cuda_sum_squares(const T *x, float centre, int64_t first, int64_t step, int64_t count)
{
    float sum = 0;
    for (int64_t i = first; i < count; i += step)
        sum += (to_float(x[i]) - centre) * (to_float(x[i]) - centre);
    return sum;
}

/* u = (x - centre) r weight, and a bias where there is a centre */
struct cuda_norm_by {
    float r, centre;
};

/* Value d of a head, normalised. */
template <typename X>
GPU_FN float cuda_normed(const struct cuda_norm_rope *n, const X *x, int64_t head, int64_t d,
                         struct cuda_norm_by by)
{
    float u = to_float(x[head + d]);
    if (n->all || n->head)
        u = (u - by.centre) * by.r * n->weight[n->all ? head + d : d];
    return n->centred ? u + n->bias[d] : u;
}

template <typename X, typename Y>
GPU_FN void cuda_head_pairs(const struct cuda_norm_rope *n, const X *x, Y *y, int64_t head,
                            struct cuda_norm_by by, int64_t angle, int lane)
{
    for (int64_t d0 = 0; d0 < n->D; d0 += 32) {
        int64_t d = d0 + lane;
        float u = d < n->D ? cuda_normed(n, x, head, d, by) : 0;
        /* every lane takes part; the other half of a pair is the neighbouring lane's */
        float other = __shfl_xor_sync(~0u, u, 1);
        if (n->rope && d < n->D) {
            float cosine = n->cos[angle + d / 2], sine = n->sin[angle + d / 2];
            u = d % 2 ? other * sine + u * cosine : u * cosine - other * sine;
        }
        if (d < n->D)
            y[head + d] = from_float<Y>(u);
    }
}

/* A lane holds both values of its pairs, so y may be x here too; but other lanes summed them up, and
 * a shuffle orders no memory. */
template <typename X, typename Y>
GPU_FN void cuda_head_halves(const struct cuda_norm_rope *n, const X *x, Y *y, int64_t head,
                             struct cuda_norm_by by, int64_t angle, int lane)
{
    int64_t half = n->D / 2;
    __syncwarp();
    for (int64_t d = lane; d < half; d += 32) {
        float cosine = n->cos[angle + d], sine = n->sin[angle + d];
        float low = cuda_normed(n, x, head, d, by);
        float high = cuda_normed(n, x, head, half + d, by);
        y[head + d] = from_float<Y>(low * cosine - high * sine);
        y[head + half + d] = from_float<Y>(low * sine + high * cosine);
    }
}

template <typename X, typename Y>
GPU_FN void cuda_norm_rope_token(const struct cuda_norm_rope *n, int64_t s, const X *x, Y *y,
                                 float *warps)
{
    int64_t D = n->D, width = n->N * D;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, step = blockDim.x / 32;
    struct cuda_norm_by by = {1, 0};
    if (n->all) {
        float squares = cuda_sum_squares(x, 0, threadIdx.x, blockDim.x, width);
        by.r = cuda_norm_factor(cuda_block_sum(squares, warps), width, n->eps);
    }
    for (int64_t i = warp; i < n->N; i += step) {
        int64_t head = i * D, angle = (n->own ? s * n->N + i : s) * (D / 2);
        if (n->centred)
            by.centre = cuda_warp_sum(cuda_sum_values(x + head, lane, 32, D)) / (float)D;
        if (n->head) {
            float squares = cuda_sum_squares(x + head, by.centre, lane, 32, D);
            by.r = cuda_norm_factor(cuda_warp_sum(squares), D, n->eps);
        }
        if (n->halves)
            cuda_head_halves(n, x, y, head, by, angle, lane);
        else
            cuda_head_pairs(n, x, y, head, by, angle, lane);
    }
}

#endif
