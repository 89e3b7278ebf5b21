// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention/sm80_01_flash.cu
 * Idea:     flash attention on tensor cores: four warps hold 32 queries each and walk over tiles of
 *           keys; scores, probabilities and sums stay in registers, where the sums of one product
 *           are already the left operand of the next. Keys are copied while values multiply, and
 *           the other way round, so that two blocks fit on one multiprocessor.
 * Differs:  from a plain kernel: 16-bit products on mma.sync, cp.async copies, ldmatrix from
 *           swizzled rows without bank conflicts, exp2 with the scale and log2(e) folded in.
 * Bound:    4 B N Sq Sk D flops at the tensor cores' rate. At D = 128 a score costs 512 of them and
 *           one exponential, which an A100 makes in a quarter of the time.
 * Floor:    S=32760 N=12 D=128 6.67 ms and S=75600 N=40 D=128 118 ms at 989 TFLOP/s (Hopper, where
 *           mma.sync feeds the tensor cores at best by two thirds); 21.1 and 375 ms at 312 (A100).
 *           Expected: 1.7 times the floor on an A100, 2.7 times on Hopper.
 * Source:   FlashAttention-2 (arXiv 2307.08691) sections 3.1 and 3.3; PTX ISA, mma.m16n8k16.
 * Outcome:  not yet run on a GPU. */
#include "attention/attention/attention.h"
#include "target/cuda.h"

#define WARPS 4
#define THREADS (32 * WARPS)
#define LOG2_E 1.4426950408889634
#define TOKENS_MOST (1 << 30) /* 32 bits count past the last tile */
#define GRID_MOST 65535

struct flash_job {
    const bf16 *q, *k, *v;
    bf16 *o;
    int64_t o_stride;
    int q_stride, k_stride, v_stride, Sq, Sk;
    float scale; /* of the contract, times log2(e) */
};

/* ---- tiles in shared memory ------------------------------------------------------------------ */

/* Where a tile of rows of D keeps a chunk of 8 elements. The row's number permutes its chunks, so
 * that the eight rows of one ldmatrix lie in different banks. Exclusive or with 16 d steps from
 * chunk 0 or 1 to the same chunk of the d-th 16 columns. */
template <int D> GPU_FN int place(int row, int chunk) { return row * D + (chunk ^ (row & 7)) * 8; }

/* Starts the copy of ROWS rows of one head from token `first` on. Of rows that do not exist nothing
 * is read, they become 0. */
template <int ROWS, int D>
GPU_FN void load_tile(bf16 *tile, const bf16 *head, int stride, int first, int tokens)
{
    const int chunks = D / 8, step = THREADS / chunks;
    int row = threadIdx.x / chunks, chunk = threadIdx.x % chunks;
    /* steps are whole multiples of 8 rows, so the permutation stays the same */
    bf16 *to = tile + place<D>(row, chunk);
#pragma unroll
    for (int r = 0; r < ROWS; r += step) {
        int token = first + row + r;
        const bf16 *from = head + (int64_t)min(token, tokens - 1) * stride + chunk * 8;
        cp_async_16(to + r * D, from, token < tokens ? 16 : 0);
    }
    cp_async_commit();
}

/* ---- what one warp does with 16 TILES queries ------------------------------------------------
 * Fragments: lane l holds rows l / 4 and l / 4 + 8 of each 16 x 8 block of sums, two neighbouring
 * columns from 2 (l % 4) on; [0] and [1] belong to the upper row, [2] and [3] to the lower. */

template <int TILES, int KEYS, int D>
GPU_FN void scores_of(float (&score)[TILES][KEYS / 8][4], bf16 *q, bf16 *k)
{
    int lane = threadIdx.x & 31;
    int query = place<D>(lane & 15, lane >> 4);
    int key = place<D>((lane & 7) + (lane >> 4) * 8, lane >> 3 & 1);
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                score[t][n][i] = 0;
#pragma unroll 2 /* fragments of more steps in flight would not fit the registers */
    for (int d = 0; d < D / 16; d++) {
        uint32_t a[TILES][4];
#pragma unroll
        for (int t = 0; t < TILES; t++)
            ldmatrix_x4(a[t], q + 16 * t * D + (query ^ 16 * d));
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            uint32_t b[4];
            ldmatrix_x4(b, k + 16 * n * D + (key ^ 16 * d));
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                mma_bf16_16816(score[t][2 * n], a[t], b);
                mma_bf16_16816(score[t][2 * n + 1], a[t], b + 2);
            }
        }
    }
}

/* Keys from `left` on do not exist. */
template <int TILES, int KEYS> GPU_FN void mask(float (&score)[TILES][KEYS / 8][4], int left)
{
    int first = (threadIdx.x & 3) * 2;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (8 * n + first + (i & 1) >= left)
#pragma unroll
                for (int t = 0; t < TILES; t++)
                    score[t][n][i] = -INFINITY;
}

/* One row per lane and half: the largest score so far, scaled, and the sum of this lane's
 * probabilities. */
template <int TILES> struct row_state {
    float largest[TILES][2], total[TILES][2];
};

/* Turns scores into probabilities against the new maximum and shrinks what was summed against the
 * old one. Without a finite score so far the shift is 0: what weighs nothing then is told apart
 * from an infinite score, which makes NaN of the whole row. */
template <int TILES, int KEYS, int D>
GPU_FN void soften(float (&score)[TILES][KEYS / 8][4], float (&sum)[TILES][D / 8][4],
                   struct row_state<TILES> &state, float scale)
{
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = -INFINITY;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                top = fmaxf(top, fmaxf(score[t][n][2 * h], score[t][n][2 * h + 1]));
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));

            float largest = fmaxf(state.largest[t][h], top * scale);
            float shift = largest == -INFINITY ? 0 : largest;
            float shrink = fast_exp2(state.largest[t][h] - shift);
            float total = state.total[t][h] * shrink;
            state.largest[t][h] = largest;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                sum[t][n][2 * h] *= shrink;
                sum[t][n][2 * h + 1] *= shrink;
            }
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 2 * h; i < 2 * h + 2; i++) {
                    score[t][n][i] = fast_exp2(fmaf(score[t][n][i], scale, -shift));
                    total += score[t][n][i];
                }
            state.total[t][h] = total;
        }
}

/* sum += probabilities times values */
template <int TILES, int KEYS, int D>
GPU_FN void add_values(float (&sum)[TILES][D / 8][4], const float (&weight)[TILES][KEYS / 8][4],
                       bf16 *v)
{
    int lane = threadIdx.x & 31;
    int value = place<D>(lane & 15, lane >> 4);
#pragma unroll
    for (int n = 0; n < KEYS / 16; n++) {
        uint32_t a[TILES][4];
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *two = &weight[t][2 * n + i / 2][i % 2 * 2];
                a[t][i] = pack_bf16(two[0], two[1]);
            }
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, v + 16 * n * D + (value ^ 16 * d));
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                mma_bf16_16816(sum[t][2 * d], a[t], b);
                mma_bf16_16816(sum[t][2 * d + 1], a[t], b + 2);
            }
        }
    }
}

/* The rows of one head from token `first` on. */
template <int TILES, int D>
GPU_FN void store_rows(bf16 *head, int64_t stride, int first, int tokens,
                       const float (&sum)[TILES][D / 8][4], const struct row_state<TILES> &state)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float total = state.total[t][h];
            total += __shfl_xor_sync(~0u, total, 1);
            total += __shfl_xor_sync(~0u, total, 2);
            float share = 1 / total;
            int row = first + 16 * t + 8 * h + lane / 4;
            if (row >= tokens)
                continue;
            bf16 *to = head + row * stride + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < D / 8; n++)
                *(uint32_t *)(to + 8 * n) =
                    pack_bf16(sum[t][n][2 * h] * share, sum[t][n][2 * h + 1] * share);
        }
}

/* ---- kernel ---------------------------------------------------------------------------------- */

template <int TILES, int KEYS, int D>
static __global__ void __launch_bounds__(THREADS) flash(struct flash_job job)
{
    const int queries = 16 * TILES * WARPS;
    DYN_SHARED(bf16, q);
    bf16 *k = q + queries * D, *v = k + KEYS * D;
    int warp_row = threadIdx.x / 32 * 16 * TILES;

    /* tiles of one head follow each other, so that blocks of one time share its keys in L2 */
    int first = blockIdx.x * queries;
    int64_t n = blockIdx.y, b = blockIdx.z;
    const bf16 *from_k = job.k + b * job.Sk * job.k_stride + n * D;
    const bf16 *from_v = job.v + b * job.Sk * job.v_stride + n * D;
    load_tile<queries, D>(q, job.q + b * job.Sq * job.q_stride + n * D, job.q_stride, first,
                          job.Sq);
    load_tile<KEYS, D>(k, from_k, job.k_stride, 0, job.Sk);

    float sum[TILES][D / 8][4];
    struct row_state<TILES> state;
#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int h = 0; h < 2; h++)
            state.largest[t][h] = -INFINITY, state.total[t][h] = 0;
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            sum[t][i / 4][i % 4] = 0;
    }

    for (int key = 0; key < job.Sk; key += KEYS) {
        /* probabilities, while the values come */
        cp_async_wait<0>();
        __syncthreads(); /* keys are there; all warps have left the values of the tile before */
        load_tile<KEYS, D>(v, from_v, job.v_stride, key, job.Sk);
        float score[TILES][KEYS / 8][4];
        scores_of<TILES, KEYS, D>(score, q + warp_row * D, k);
        if (key + KEYS > job.Sk)
            mask<TILES, KEYS>(score, job.Sk - key);
        soften<TILES, KEYS, D>(score, sum, state, job.scale);

        /* sums, while the next keys come */
        cp_async_wait<0>();
        __syncthreads(); /* values are there; all warps have left the keys */
        if (key + KEYS < job.Sk)
            load_tile<KEYS, D>(k, from_k, job.k_stride, key + KEYS, job.Sk);
        add_values<TILES, KEYS, D>(sum, score, v);
    }
    store_rows<TILES, D>(job.o + b * job.Sq * job.o_stride + n * D, job.o_stride, first + warp_row,
                         job.Sq, sum, state);
}

/* ---- variant --------------------------------------------------------------------------------- */

enum { KNOB_ROWS, KNOB_KEYS };

/* Sums and scores that one thread holds in registers. */
static int64_t accumulators(const struct attention_problem *p, const int64_t *knob)
{
    return knob[KNOB_ROWS] / (16 * WARPS) * (p->D + knob[KNOB_KEYS]) / 2;
}

static bool copies_whole(const struct tensor *t)
{
    return t->stride % 8 == 0 && t->stride <= INT32_MAX;
}

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    if (!cuda_is(&p->q, ELEM_BF16) || !cuda_is(&p->k, ELEM_BF16) || !cuda_is(&p->v, ELEM_BF16) ||
        !cuda_is(&p->o, ELEM_BF16))
        need->reason = "q, k, v and o must be bf16";
    else if (tensor_given(&p->bias))
        need->reason = "no bias is added";
    else if (p->D != 64 && p->D != 128)
        need->reason = "D must be 64 or 128";
    else if (!copies_whole(&p->q) || !copies_whole(&p->k) || !copies_whole(&p->v))
        need->reason = "strides of q, k and v must be multiples of 8 elements (the 16 bytes of one "
                       "asynchronous copy) and below 2^31";
    else if (!((float)p->scale > 0))
        need->reason = "scale must be positive, so that the largest product is the largest score";
    else if (p->Sq > TOKENS_MOST || p->Sk > TOKENS_MOST || p->N > GRID_MOST || p->B > GRID_MOST)
        need->reason = "more than 2^30 tokens or 65535 heads or clips";
    else if (accumulators(p, knob) > 192)
        need->reason = "rows times (D + keys) would not fit the registers of 128 threads";
    return !need->reason;
}

template <int TILES, int KEYS, int D>
static void launch(const struct flash_job *job, dim3 blocks, void *stream)
{
    size_t bytes = (16 * TILES * WARPS + 2 * KEYS) * D * sizeof(bf16);
    SHARED_LIMIT((flash<TILES, KEYS, D>), bytes);
    LAUNCH((flash<TILES, KEYS, D>), blocks, THREADS, bytes, stream, *job);
}

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    static const struct {
        int64_t rows, keys, D;
        void (*launch)(const struct flash_job *job, dim3 blocks, void *stream);
    } tile[] = {
        {128, 64, 128, launch<2, 64, 128>}, {128, 64, 64, launch<2, 64, 64>},
        {128, 128, 64, launch<2, 128, 64>}, {64, 64, 128, launch<1, 64, 128>},
        {64, 64, 64, launch<1, 64, 64>},    {64, 128, 128, launch<1, 128, 128>},
        {64, 128, 64, launch<1, 128, 64>},
    };
    struct flash_job job = {.q = (const bf16 *)p->q.data,
                            .k = (const bf16 *)p->k.data,
                            .v = (const bf16 *)p->v.data,
                            .o = (bf16 *)p->o.data,
                            .o_stride = p->o.stride,
                            .q_stride = (int)p->q.stride,
                            .k_stride = (int)p->k.stride,
                            .v_stride = (int)p->v.stride,
                            .Sq = (int)p->Sq,
                            .Sk = (int)p->Sk,
                            .scale = (float)(p->scale * LOG2_E)};
    dim3 blocks((unsigned)cuda_blocks(p->Sq, exec->knob[KNOB_ROWS]), (unsigned)p->N,
                (unsigned)p->B);
    for (size_t i = 0; i < sizeof tile / sizeof *tile; i++) {
        if (tile[i].rows == exec->knob[KNOB_ROWS] && tile[i].keys == exec->knob[KNOB_KEYS] &&
            tile[i].D == p->D) {
            tile[i].launch(&job, blocks, exec->stream);
            return LAUNCHED();
        }
    }
    return ST_REFUSED;
}

VARIANT(attention, sm80_01_flash, .needs = GPU_SM80, .numerics = NUM_BF16,
        .knob = {{"rows", 2, {128, 64}}, {"keys", 2, {64, 128}}});
