// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/cuda_01_plain.cu
 * Idea:     a block multiplies 64 rows by 128 outputs, slices of both operands passing through
 *           shared memory as f32; each thread keeps 8 x 8 sums and applies the epilogue to them.
 * Differs:  the first of its op.   Bound: f32 multiply-adds outside tensor cores.
 * Source:   textbook two-level tiling (CUDA C++ Programming Guide, shared memory matrix product).
 * Floor:    2 S K O flops over the f32 peak: S=32760, K=1536, O=8960 are 0.90 TFLOP, 13.5 ms at
 *           67 TFLOPS.
 * Outcome:  not yet run on a GPU. */
#include "denoise/linear/linear.h"
#include "target/cuda.h"

#define COLUMNS 8
#define OUTS (16 * COLUMNS)

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->w, p->x.elem))
        need->reason = "x must be f32, bf16 or f16 and w of x's type";
    else if (!cuda_is(&p->y, p->x.elem) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!cuda_is_f32_or_absent(&p->bias) ||
             (p->epilogue == EPI_GATE && !cuda_is(&p->gate, ELEM_F32)))
        need->reason = "bias and gate must be f32";
    else if (p->epilogue >= EPI_ADD && !cuda_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    return !need->reason;
}

/* Row s of one output; gate points at its gate's row. */
template <typename Y>
GPU_FN float finish(const struct linear_problem *p, int64_t s, int64_t o, const float *gate,
                    float a)
{
    float aux = 0;
    if (cuda_given(&p->bias))
        a += ((const float *)p->bias.data)[o];
    if (p->epilogue >= EPI_ADD)
        aux = to_float(((const Y *)p->aux.data)[s * p->aux.stride + o]);

    switch (p->epilogue) {
    case EPI_GELU: return cuda_gelu(a);
    case EPI_SILU: return cuda_silu(a);
    case EPI_ADD: return aux + a;
    case EPI_GATE: return aux + gate[o] * a;
    case EPI_MUL: return aux * a;
    default: return a;
    }
}

template <typename X, typename Y>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, 3) linear(const struct linear_problem p)
{
    DYN_SHARED(struct cuda_tile<COLUMNS>, tile);
    /* neighbouring blocks share rows: the weights they differ in fit into the second-level cache */
    int64_t out_tiles = (p.O + OUTS - 1) / OUTS;
    int64_t s0 = blockIdx.x / out_tiles * CUDA_TILE_ROWS, o0 = blockIdx.x % out_tiles * OUTS;
    float sum[8][COLUMNS] = {};
    cuda_tile_product<COLUMNS>(tile, (const X *)p.x.data + s0 * p.x.stride, p.x.stride, p.S - s0,
                               (const X *)p.w.data + o0 * p.K, p.K, p.O - o0, p.K, sum);

#pragma unroll
    for (int i = 0; i < 8; i++) {
        int64_t s = s0 + cuda_tile_row(i);
        if (s >= p.S)
            break;
        const float *gate = (const float *)p.gate.data;
        if (p.epilogue == EPI_GATE)
            gate += s / (p.S / p.G) * p.gate.stride;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            int64_t o = o0 + cuda_tile_column(j);
            if (o < p.O)
                ((Y *)p.y.data)[s * p.y.stride + o] =
                    from_float<Y>(finish<Y>(&p, s, o, gate, sum[i][j]));
        }
    }
}

template <typename X, typename Y>
static void launch(const struct linear_problem *p, const struct exec *exec)
{
    /* a grid's first axis holds 2^31 - 1 blocks: more outputs than memory does */
    int64_t blocks = cuda_blocks(p->S, CUDA_TILE_ROWS) * cuda_blocks(p->O, OUTS);
    LAUNCH((linear<X, Y>), (int)blocks, CUDA_TILE_THREADS, sizeof(struct cuda_tile<COLUMNS>),
           exec->stream, *p);
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    if (p->y.elem == ELEM_F32)
        CUDA_TYPED(p->x.elem, T, launch<T, float>(p, exec));
    else
        CUDA_TYPED(p->x.elem, T, launch<T, T>(p, exec));
    return LAUNCHED();
}

VARIANT(linear, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
