// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv/cuda_01_plain.cu
 * Idea:     one projection of some tokens into f32 scratch, then norm and rotation on the way out,
 *           so that nothing is rounded in between; the tokens at a time are few enough for scratch
 *           to stay small. Values go straight out.
 * Differs:  from linear and qk_norm_rope one after the other: what lies between them is f32 and
 *           never larger than the scratch.   Bound: f32 multiply-adds outside tensor cores.
 * Source:   Wan 2.1 self attention.
 * Floor:    6 B S C N D flops over the f32 peak: S=32760, C=N D=1536 are 0.46 TFLOP, 6.9 ms at
 *           67 TFLOPS.
 * Outcome:  not yet run on a GPU. */
#include "attention/qkv/qkv.h"
#include "target/cuda.h"

#define COLUMNS 8
#define OUTS (16 * COLUMNS)
#define SCRATCH_ELEMS (INT64_C(1) << 24)

/* One of the three: its weights and its norm's, where it goes, and whether norm or rotation follow. */
struct projection {
    const struct tensor *w, *bias, *gain, *offset, *y;
    bool turned;
};

static bool turns(const struct qkv_problem *p) { return p->norm != QK_NORM_NONE || p->rope; }

/* Tokens at a time. */
static int64_t token_count(const struct qkv_problem *p)
{
    int64_t most = SCRATCH_ELEMS / (p->N * p->D) / CUDA_TILE_ROWS * CUDA_TILE_ROWS;
    most = most > CUDA_TILE_ROWS ? most : CUDA_TILE_ROWS;
    return most < p->B * p->S ? most : p->B * p->S;
}

static bool plan(const struct qkv_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    enum elem type = p->x.elem;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->q, type) || !cuda_is(&p->k, type) ||
        !cuda_is(&p->v, type) || !cuda_is(&p->wq, type) || !cuda_is(&p->wk, type) ||
        !cuda_is(&p->wv, type))
        need->reason = "x, wq, wk, wv, q, k and v must be of one type f32, bf16 or f16";
    else if (!cuda_is_f32_or_absent(&p->bq) || !cuda_is_f32_or_absent(&p->bk) ||
             !cuda_is_f32_or_absent(&p->bv))
        need->reason = "bq, bk and bv must be f32";
    else if (p->norm != QK_NORM_NONE && (!cuda_is(&p->nq, ELEM_F32) || !cuda_is(&p->nk, ELEM_F32)))
        need->reason = "nq and nk must be f32";
    else if (p->norm == QK_NORM_LAYER &&
             (!cuda_is(&p->nbq, ELEM_F32) || !cuda_is(&p->nbk, ELEM_F32)))
        need->reason = "nbq and nbk must be f32";
    else if (p->rope && (!cuda_is(&p->cos, ELEM_F32) || !cuda_is(&p->sin, ELEM_F32)))
        need->reason = "cos and sin must be f32";
    else if (p->rope && p->D % 2)
        need->reason = "rotation needs an even head width D";
    if (turns(p))
        need->scratch_bytes = (size_t)(token_count(p) * p->N * p->D) * sizeof(float);
    return !need->reason;
}

template <typename X, typename Y>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, 3)
    project(int64_t tokens, int64_t width, int64_t C, const X *x, int64_t x_stride, const X *w,
            const float *bias, Y *y, int64_t y_stride)
{
    DYN_SHARED(struct cuda_tile<COLUMNS>, tile);
    int64_t out_tiles = (width + OUTS - 1) / OUTS;
    int64_t s0 = blockIdx.x / out_tiles * CUDA_TILE_ROWS, o0 = blockIdx.x % out_tiles * OUTS;
    float sum[8][COLUMNS] = {};
    cuda_tile_product<COLUMNS>(tile, x + s0 * x_stride, x_stride, tokens - s0, w + o0 * C, C,
                               width - o0, C, sum);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int64_t s = s0 + cuda_tile_row(i);
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            int64_t o = o0 + cuda_tile_column(j);
            if (s < tokens && o < width)
                y[s * y_stride + o] = from_float<Y>(sum[i][j] + (bias ? bias[o] : 0));
        }
    }
}

/* Token s of a packed x is token first + s of the clips that y holds. */
template <typename T>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, 8)
    turn(const struct cuda_norm_rope how, int64_t S, int64_t first, int64_t tokens, const float *x,
         T *y, int64_t y_stride)
{
    DYN_SHARED(float, warps);
    for (int64_t s = blockIdx.x; s < tokens; s += gridDim.x)
        cuda_norm_rope_token(&how, (first + s) % S, x + s * how.N * how.D, y + s * y_stride, warps);
}

/* `tokens` tokens from `first` on of one projection. */
template <typename T>
static void launch(const struct qkv_problem *p, const struct exec *exec,
                   const struct projection *to, int64_t first, int64_t tokens)
{
    int64_t width = p->N * p->D, blocks = cuda_blocks(tokens, CUDA_TILE_ROWS);
    const T *x = (const T *)p->x.data + first * p->x.stride, *w = (const T *)to->w->data;
    const float *bias = tensor_given(to->bias) ? (const float *)to->bias->data : NULL;
    T *y = (T *)to->y->data + first * to->y->stride;
    float *scratch = (float *)exec->scratch;
    size_t shared_bytes = sizeof(struct cuda_tile<COLUMNS>);
    blocks *= cuda_blocks(width, OUTS);
    if (!to->turned) {
        LAUNCH((project<T, T>), (int)blocks, CUDA_TILE_THREADS, shared_bytes, exec->stream, tokens,
               width, p->C, x, p->x.stride, w, bias, y, to->y->stride);
        return;
    }
    struct cuda_norm_rope how = {.N = p->N,
                                 .D = p->D,
                                 .all = p->norm == QK_NORM_ALL,
                                 .head = p->norm == QK_NORM_HEAD || p->norm == QK_NORM_LAYER,
                                 .rope = p->rope != QK_ROPE_NONE,
                                 .own = p->rope >= QK_ROPE_PAIRS_OWN,
                                 .halves = p->rope == QK_ROPE_HALVES_OWN,
                                 .centred = p->norm == QK_NORM_LAYER,
                                 .eps = (float)p->eps,
                                 .weight = (const float *)to->gain->data,
                                 .cos = (const float *)p->cos.data,
                                 .sin = (const float *)p->sin.data,
                                 .bias = (const float *)to->offset->data};
    LAUNCH((project<T, float>), (int)blocks, CUDA_TILE_THREADS, shared_bytes, exec->stream, tokens,
           width, p->C, x, p->x.stride, w, bias, scratch, width);
    LAUNCH(turn<T>, cuda_grid(tokens, 1), CUDA_TILE_THREADS, 32 * sizeof(float), exec->stream, how,
           p->S, first, tokens, (const float *)scratch, y, to->y->stride);
}

static enum status run(const struct qkv_problem *p, const struct exec *exec)
{
    const struct projection to[3] = {{&p->wq, &p->bq, &p->nq, &p->nbq, &p->q, turns(p)},
                                     {&p->wk, &p->bk, &p->nk, &p->nbk, &p->k, turns(p)},
                                     {&p->wv, &p->bv, NULL, NULL, &p->v, false}};
    int64_t all = p->B * p->S, some = token_count(p);
    for (int64_t first = 0; first < all; first += some) {
        int64_t tokens = all - first < some ? all - first : some;
        for (int i = 0; i < 3; i++)
            CUDA_TYPED(p->x.elem, T, launch<T>(p, exec, &to[i], first, tokens));
    }
    return LAUNCHED();
}

VARIANT(qkv, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
