// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cuda_conv.h   conv3d.h on a GPU as an implicit matrix product: rows are output pixels, columns
 * are outputs, the common width is taps x channels with the tap outside.
 *
 * Weights are packed as [kt][kh][kw][C][O] f32, so that neighbouring threads read neighbouring
 * outputs. Per tap each of a tile's pixels has one address in x or past, or none where the contract
 * has zeros; those zeros are multiplied like any value, as in the reference. */
#ifndef PATCHMARK_TARGET_CUDA_CONV_H
#define PATCHMARK_TARGET_CUDA_CONV_H

#include "target/cuda.h"

struct cuda_conv {
    int64_t H, W, C, O;
    int64_t kt, kh, kw, st, sh, sw;
    int64_t lead, P, pad_top, pad_left;
    int64_t To, Ho, Wo;
    struct tensor x, past, bias, aux, y;
    const float *w; /* packed */
};

/* ---- weights --------------------------------------------------------------------------------- */

enum { CONV_PACK_THREADS = 256 };

static inline size_t cuda_conv_packed_bytes(int64_t O, int64_t C, int64_t taps)
{
    return (size_t)(O * C * taps) * sizeof(float);
}

template <typename T>
static __global__ void cuda_conv_pack(const T *w, float *packed, int64_t O, int64_t C, int64_t taps)
{
    for (int64_t i = cuda_thread(); i < O * C * taps; i += cuda_threads()) {
        int64_t o = i % O, c = i / O % C, tap = i / O / C;
        packed[i] = to_float(w[(o * C + c) * taps + tap]);
    }
}

static inline enum status cuda_conv_prepare(const struct tensor *w, int64_t O, int64_t C,
                                            int64_t taps, void *stream, void *packed)
{
    CUDA_TYPED(w->elem, T,
               LAUNCH(cuda_conv_pack<T>, cuda_grid(O * C * taps, CONV_PACK_THREADS),
                      CONV_PACK_THREADS, 0, stream, (const T *)w->data, (float *)packed, O, C,
                      taps));
    return LAUNCHED();
}

/* ---- tiles ----------------------------------------------------------------------------------- */

template <typename X, int COLUMNS> struct cuda_conv_shared {
    struct cuda_tile<COLUMNS> tile;
    const X *source[CUDA_TILE_ROWS]; /* a pixel's channels under the present tap; NULL: zeros */
};

/* Where tap 0 of an output pixel lies: a frame counted from the first past one, a row, a column. */
struct cuda_conv_corner {
    int frame, row, column;
};

/* Past the last pixel no tap meets a frame. */
GPU_FN struct cuda_conv_corner cuda_conv_corner_of(const struct cuda_conv *v, int64_t pixel)
{
    int64_t t = pixel / v->Wo / v->Ho, y = pixel / v->Wo % v->Ho, x = pixel % v->Wo;
    if (t >= v->To)
        return {-(int)v->kt, 0, 0};
    return {(int)(t * v->st - (v->lead - v->P)), (int)(y * v->sh - v->pad_top),
            (int)(x * v->sw - v->pad_left)};
}

template <typename X>
GPU_FN const X *cuda_conv_source(const struct cuda_conv *v, struct cuda_conv_corner corner, int tap)
{
    const int kw = (int)v->kw, kh = (int)v->kh;
    int64_t frame = corner.frame + tap / kw / kh, row = corner.row + tap / kw % kh;
    int64_t column = corner.column + tap % kw;
    if (frame < 0 || row < 0 || row >= v->H || column < 0 || column >= v->W)
        return NULL;
    const X *from = (const X *)(frame < v->P ? v->past.data : v->x.data);
    frame -= frame < v->P ? 0 : v->P;
    return from + ((frame * v->H + row) * v->W + column) * v->C;
}

/* a[k][r] = channel c + k of pixel r, b[k][o] = w[k O + o], zeros past `depth` and `outs`. All is
 * fetched before any is put down, for a store to shared memory would wait for its own fetch alone.
 * Neighbouring threads fetch neighbouring channels and outputs. */
template <typename X, int COLUMNS>
GPU_FN void cuda_conv_load(struct cuda_conv_shared<X, COLUMNS> *shared, int64_t c, const float *w,
                           int64_t O, int64_t depth, int64_t outs)
{
    const int pixels_step = CUDA_TILE_THREADS / CUDA_TILE_DEPTH, wide = 16 * COLUMNS;
    const int depths_step = CUDA_TILE_THREADS / wide;
    const int k = threadIdx.x % CUDA_TILE_DEPTH, r0 = threadIdx.x / CUDA_TILE_DEPTH;
    const int o = threadIdx.x % wide, k0 = threadIdx.x / wide;
    float pixel[CUDA_TILE_ROWS / pixels_step], weight[CUDA_TILE_DEPTH / depths_step];
#pragma unroll
    for (int i = 0; i < CUDA_TILE_ROWS / pixels_step; i++) {
        const X *from = shared->source[r0 + i * pixels_step];
        pixel[i] = from && k < depth ? to_float(from[c + k]) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < CUDA_TILE_DEPTH / depths_step; i++) {
        const int at = k0 + i * depths_step;
        weight[i] = at < depth && o < outs ? w[at * O + o] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < CUDA_TILE_ROWS / pixels_step; i++)
        shared->tile.a[k][r0 + i * pixels_step] = pixel[i];
#pragma unroll
    for (int i = 0; i < CUDA_TILE_DEPTH / depths_step; i++)
        shared->tile.b[k0 + i * depths_step][o] = weight[i];
}

/* y may be aux: a thread writes only what it alone reads. */
template <typename Y, int COLUMNS>
GPU_FN void cuda_conv_store(const struct cuda_conv *v, int64_t pixel0, int64_t o0,
                            const float sum[8][COLUMNS])
{
    const float *bias = cuda_given(&v->bias) ? (const float *)v->bias.data : NULL;
    const Y *aux = cuda_given(&v->aux) ? (const Y *)v->aux.data : NULL;
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            int64_t pixel = pixel0 + cuda_tile_row(i), o = o0 + cuda_tile_column(j);
            if (pixel >= v->To * v->Ho * v->Wo || o >= v->O)
                continue;
            float y = sum[i][j] + (bias ? bias[o] : 0.0f);
            y += aux ? to_float(aux[pixel * v->O + o]) : 0.0f;
            ((Y *)v->y.data)[pixel * v->O + o] = from_float<Y>(y);
        }
    }
}

template <typename X, int COLUMNS>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, 4)
    cuda_conv_tile(const struct cuda_conv v)
{
    typedef struct cuda_conv_shared<X, COLUMNS> shared_t;
    DYN_SHARED(shared_t, shared);
    /* neighbouring blocks share pixels: weights, in which they differ, stay in the second cache */
    const int64_t out_tiles = (v.O + 16 * COLUMNS - 1) / (16 * COLUMNS);
    const int64_t pixel0 = blockIdx.x / out_tiles * CUDA_TILE_ROWS;
    const int64_t o0 = blockIdx.x % out_tiles * (16 * COLUMNS);
    const struct cuda_conv_corner corner = cuda_conv_corner_of(&v, pixel0 + threadIdx.x);
    const int taps = (int)(v.kt * v.kh * v.kw);
    float sum[8][COLUMNS] = {};

    for (int tap = 0; tap < taps; tap++) {
        if (threadIdx.x < CUDA_TILE_ROWS)
            shared->source[threadIdx.x] = cuda_conv_source<X>(&v, corner, tap);
        __syncthreads();
        for (int64_t c = 0; c < v.C; c += CUDA_TILE_DEPTH) {
            cuda_conv_load(shared, c, v.w + (tap * v.C + c) * v.O + o0, v.O, v.C - c, v.O - o0);
            __syncthreads();
            cuda_tile_multiply<COLUMNS>(shared->tile.a, shared->tile.b, sum);
            __syncthreads();
        }
    }
    CUDA_TYPED(v.y.elem, Y, (cuda_conv_store<Y, COLUMNS>(&v, pixel0, o0, sum)));
}

template <typename X, int COLUMNS>
static void cuda_conv_launch(const struct cuda_conv *v, void *stream)
{
    /* a grid's first axis holds 2^31 - 1 blocks: more outputs than memory does */
    int64_t blocks =
        cuda_blocks(v->To * v->Ho * v->Wo, CUDA_TILE_ROWS) * cuda_blocks(v->O, 16 * COLUMNS);
    LAUNCH((cuda_conv_tile<X, COLUMNS>), (int)blocks, CUDA_TILE_THREADS,
           sizeof(struct cuda_conv_shared<X, COLUMNS>), stream, *v);
}

/* Wide tiles reuse more; narrow ones where half of the last wide one would be empty. */
template <typename X> static enum status cuda_conv_run(const struct cuda_conv *v, void *stream)
{
    if ((v->O - 1) % 128 < 64)
        cuda_conv_launch<X, 4>(v, stream);
    else
        cuda_conv_launch<X, 8>(v, stream);
    return LAUNCHED();
}

#endif
