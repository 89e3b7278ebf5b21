// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention/cuda_01_plain.cu
 * Idea:     a block keeps 64 queries and walks over blocks of 64 keys: scores as a product of tiles,
 *           a running maximum and sum per query, probabilities through shared memory into the
 *           product with the values. Scores live in registers only.
 * Differs:  the first of its op. A block owns up to 128 columns of its head's output; where D is
 *           larger, blocks of one head each make the scores again, so that any D fits.
 *           Bound: f32 multiply-adds outside tensor cores.
 * Source:   FlashAttention-2 (arXiv 2307.08691) section 3, online softmax.
 * Floor:    4 B N Sq Sk D flops over the f32 peak: Sq=Sk=32760, N=12, D=128 are 6.6 TFLOP, 98 ms at
 *           67 TFLOPS.
 * Outcome:  not yet run on a GPU. */
#include "attention/attention/attention.h"
#include "target/cuda.h"

#define QUERIES CUDA_TILE_ROWS
#define SCORES 4 /* columns of scores that a thread holds */
#define KEYS (16 * SCORES)

template <int COLUMNS> struct workspace {
    struct cuda_tile<SCORES> scores;
    float p[KEYS][QUERIES + CUDA_TILE_PAD];
    float v[CUDA_TILE_DEPTH][16 * COLUMNS + CUDA_TILE_PAD];
};

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->q) || !cuda_is(&p->k, p->q.elem) || !cuda_is(&p->v, p->q.elem) ||
        !cuda_is(&p->o, p->q.elem))
        need->reason = "q, k, v and o must be of one type f32, bf16 or f16";
    else if (!cuda_is_f32_or_absent(&p->bias))
        need->reason = "bias must be f32";
    return !need->reason;
}

/* Element [b][s][n][0] of a tensor with `tokens` tokens in a clip; head counts b N + n. */
template <typename T>
GPU_FN T *row_of(const struct attention_problem *p, const struct tensor *t, int64_t tokens,
                 int64_t head, int64_t s)
{
    return (T *)t->data + (head / p->N * tokens + s) * t->stride + head % p->N * p->D;
}

/* to[k][d] = from[k stride + d], 0 past `keys` and `width`. */
template <int WIDTH, typename T>
GPU_FN void load_values(float (*to)[WIDTH + CUDA_TILE_PAD], const T *from, int64_t stride,
                        int64_t keys, int64_t width)
{
    for (int i = threadIdx.x; i < CUDA_TILE_DEPTH * WIDTH; i += CUDA_TILE_THREADS) {
        int k = i / WIDTH, d = i % WIDTH;
        to[k][d] = k < keys && d < width ? to_float(from[k * stride + d]) : 0.0f;
    }
}

/* Scores of one query become probabilities relative to its running maximum; the factor by which
 * what was summed before shrinks is returned. Sixteen lanes share a query. Without a finite score so
 * far the shift is 0: what weighs nothing then is told apart from an infinite score, which makes NaN
 * of the whole row. */
GPU_FN float absorb(float score[SCORES], float *largest, float *total)
{
    float top = *largest, added = 0;
    for (int j = 0; j < SCORES; j++)
        top = fmaxf(top, score[j]);
    for (int lanes = 8; lanes > 0; lanes /= 2)
        top = fmaxf(top, __shfl_xor_sync(~0u, top, lanes));
    float shift = top == -INFINITY ? 0 : top, shrink = expf(*largest - shift);
    for (int j = 0; j < SCORES; j++) {
        score[j] = expf(score[j] - shift);
        added += score[j];
    }
    *largest = top;
    *total = *total * shrink + added;
    return shrink;
}

template <typename T, int COLUMNS>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, COLUMNS == 4 ? 3 : 2)
    attention(const struct attention_problem p, int64_t parts)
{
    /* ---- which queries of which head, which part of its columns ---- */
    DYN_SHARED(struct workspace<COLUMNS>, shared);
    int64_t blocks = (p.Sq + QUERIES - 1) / QUERIES, item = blockIdx.x / parts;
    int64_t d0 = blockIdx.x % parts * (16 * COLUMNS);
    int64_t i0 = item % blocks * QUERIES, head = item / blocks;
    const T *q = row_of<T>(&p, &p.q, p.Sq, head, i0), *k = row_of<T>(&p, &p.k, p.Sk, head, 0);
    const T *v = row_of<T>(&p, &p.v, p.Sk, head, 0) + d0;
    const float *bias = (const float *)p.bias.data, scale = (float)p.scale;
    if (cuda_given(&p.bias))
        bias += head % p.N * (p.Sq + p.Sk - 1) + p.Sq - 1;
    float out[8][COLUMNS] = {}, largest[8], total[8];
    for (int i = 0; i < 8; i++)
        largest[i] = -INFINITY, total[i] = 0;

    for (int64_t j0 = 0; j0 < p.Sk; j0 += KEYS) {
        /* ---- scores ---- */
        float score[8][SCORES] = {};
        cuda_tile_product<SCORES>(&shared->scores, q, p.q.stride, p.Sq - i0, k + j0 * p.k.stride,
                                  p.k.stride, p.Sk - j0, p.D, score);

        /* ---- probabilities; keys past the last weigh nothing ---- */
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int64_t query = i0 + cuda_tile_row(i);
#pragma unroll
            for (int j = 0; j < SCORES; j++) {
                int64_t key = j0 + cuda_tile_column(j);
                score[i][j] *= scale;
                if (cuda_given(&p.bias) && key < p.Sk && query < p.Sq)
                    score[i][j] += bias[key - query];
                if (key >= p.Sk)
                    score[i][j] = -INFINITY;
            }
            float shrink = absorb(score[i], &largest[i], &total[i]);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                out[i][j] *= shrink;
        }
#pragma unroll
        for (int j = 0; j < SCORES; j++)
#pragma unroll
            for (int i = 0; i < 8; i++)
                shared->p[cuda_tile_column(j)][cuda_tile_row(i)] = score[i][j];

        /* ---- their sums of values ---- */
        int64_t keys = p.Sk - j0 < KEYS ? p.Sk - j0 : KEYS;
        for (int k0 = 0; k0 < keys; k0 += CUDA_TILE_DEPTH) {
            load_values<16 * COLUMNS>(shared->v, v + (j0 + k0) * p.v.stride, p.v.stride, keys - k0,
                                      p.D - d0);
            __syncthreads();
            cuda_tile_multiply<COLUMNS>(shared->p + k0, shared->v, out);
            __syncthreads();
        }
    }

    /* ---- outputs ---- */
#pragma unroll
    for (int i = 0; i < 8; i++) {
        for (int lanes = 8; lanes > 0; lanes /= 2)
            total[i] += __shfl_xor_sync(~0u, total[i], lanes);
        int64_t query = i0 + cuda_tile_row(i);
        if (query < p.Sq) {
            T *o = row_of<T>(&p, &p.o, p.Sq, head, query);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                int64_t d = d0 + cuda_tile_column(j);
                if (d < p.D)
                    o[d] = from_float<T>(out[i][j] / total[i]);
            }
        }
    }
}

template <typename T, int COLUMNS>
static void launch(const struct attention_problem *p, const struct exec *exec)
{
    /* a grid's first axis holds 2^31 - 1 blocks: more outputs than memory does */
    int64_t parts = cuda_blocks(p->D, 16 * COLUMNS);
    int64_t blocks = p->B * p->N * cuda_blocks(p->Sq, QUERIES) * parts;
    LAUNCH((attention<T, COLUMNS>), (int)blocks, CUDA_TILE_THREADS,
           sizeof(struct workspace<COLUMNS>), exec->stream, *p, parts);
}

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    if (p->D <= 64)
        CUDA_TYPED(p->q.elem, T, launch<T, 4>(p, exec));
    else
        CUDA_TYPED(p->q.elem, T, launch<T, 8>(p, exec));
    return LAUNCHED();
}

VARIANT(attention, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
