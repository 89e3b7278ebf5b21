// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elementwise/cuda_01_plain.cu
 * Idea:     a thread per four elements, or per element where strides are odd; copies that convert
 *           nothing move bytes, 16 at a time where they may.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    S=32760, C=1536 from f32 to bf16 are 302 MB, 63 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "denoise/elementwise/elementwise.h"
#include "target/cuda_rows.h"

static bool moves_bytes(const struct elementwise_problem *p)
{
    return p->kind == ELEMENTWISE_COPY && p->a.elem == p->y.elem;
}

static bool plan(const struct elementwise_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    bool floats = cuda_is_float(&p->a) && cuda_is_float(&p->y);
    bool bytes = moves_bytes(p) && (cuda_is(&p->a, ELEM_I32) || cuda_is(&p->a, ELEM_U8));
    if (!floats && !bytes)
        need->reason =
            "a and y must be f32, bf16 or f16; copy also takes i32 and u8 to the same type";
    else if ((p->kind == ELEMENTWISE_ADD || p->kind == ELEMENTWISE_AFFINE) &&
             !cuda_is(&p->b, ELEM_F32))
        need->reason = "b must be f32";
    else if (p->kind == ELEMENTWISE_AFFINE && !cuda_is(&p->c, ELEM_F32))
        need->reason = "c must be f32";
    else if (p->kind == ELEMENTWISE_SUM && !cuda_is(&p->b, p->a.elem))
        need->reason = "of a sum b must have a's type";
    return !need->reason;
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* Strides and the row's length in units. */
template <typename U>
static __global__ void move(int64_t rows, int64_t units, const U *a, int64_t a_stride, U *y,
                            int64_t y_stride)
{
    const int64_t s = cuda_row();
    if (s >= rows)
        return;
    for (int64_t i = cuda_item(); i < units; i += cuda_item_step())
        y[s * y_stride + i] = a[s * a_stride + i];
}

static enum status run_move(const struct elementwise_problem *p, const struct exec *exec)
{
    const int64_t each = cuda_elem_bytes(p->a.elem), row = p->C * each;
    const int64_t a_stride = p->a.stride * each, y_stride = p->y.stride * each;
    CUDA_UNIT(cuda_divisor(p->a.data, p->y.data) | row | a_stride | y_stride, U, {
        const int64_t bytes = sizeof(U);
        const struct cuda_rows g = cuda_rows_of(p->S, row / bytes);
        LAUNCH(move<U>, g.grid, g.block, 0, exec->stream, p->S, row / bytes, (const U *)p->a.data,
               a_stride / bytes, (U *)p->y.data, y_stride / bytes);
    });
    return LAUNCHED();
}

/* ---- the rest -------------------------------------------------------------------------------- */

template <int N>
GPU_FN void apply(int64_t kind, float (&v)[N], const float *b, const float *c)
{
    float scale[N], shift[N];
    if (kind == ELEMENTWISE_SILU) {
        for (int i = 0; i < N; i++)
            v[i] = cuda_silu(v[i]);
    } else if (kind == ELEMENTWISE_GELU_ERF) {
        for (int i = 0; i < N; i++)
            v[i] = cuda_gelu_erf(v[i]);
    } else if (kind == ELEMENTWISE_ADD) {
        cuda_load(shift, b);
        for (int i = 0; i < N; i++)
            v[i] += shift[i];
    } else if (kind == ELEMENTWISE_AFFINE) {
        cuda_load(scale, b);
        cuda_load(shift, c);
        for (int i = 0; i < N; i++)
            v[i] = v[i] * scale[i] + shift[i];
    }
}

template <typename A, typename Y, int N>
static __global__ void compute(const struct elementwise_problem p)
{
    const int64_t s = cuda_row();
    if (s >= p.S)
        return;
    const bool grouped = p.kind == ELEMENTWISE_ADD || p.kind == ELEMENTWISE_AFFINE;
    const int64_t g = grouped && p.G > 1 ? s / (p.S / p.G) : 0;
    const A *a = (const A *)p.a.data + s * p.a.stride;
    const float *b = (const float *)p.b.data + g * p.b.stride;
    const float *c = (const float *)p.c.data + g * p.c.stride;
    Y *y = (Y *)p.y.data + s * p.y.stride;
    for (int64_t i = cuda_item() * N; i < p.C; i += cuda_item_step() * N) {
        float v[N];
        cuda_load(v, a + i);
        apply(p.kind, v, b + i, c + i);
        cuda_store(y + i, v);
    }
}

template <typename A, typename Y, int N>
static __global__ void add_rows(const struct elementwise_problem p)
{
    const int64_t s = cuda_row();
    if (s >= p.S)
        return;
    const A *a = (const A *)p.a.data + s * p.a.stride, *b = (const A *)p.b.data + s * p.b.stride;
    Y *y = (Y *)p.y.data + s * p.y.stride;
    for (int64_t i = cuda_item() * N; i < p.C; i += cuda_item_step() * N) {
        float v[N], w[N];
        cuda_load(v, a + i);
        cuda_load(w, b + i);
        for (int k = 0; k < N; k++)
            v[k] += w[k];
        cuda_store(y + i, v);
    }
}

template <typename A, typename Y>
static void launch(const struct elementwise_problem *p, const struct exec *exec)
{
    const bool fours = p->C % 4 == 0 && cuda_in_fours(&p->a) && cuda_in_fours(&p->b) &&
                       cuda_in_fours(&p->c) && cuda_in_fours(&p->y);
    const struct cuda_rows g = cuda_rows_of(p->S, fours ? p->C / 4 : p->C);
    if (p->kind == ELEMENTWISE_SUM && fours)
        LAUNCH((add_rows<A, Y, 4>), g.grid, g.block, 0, exec->stream, *p);
    else if (p->kind == ELEMENTWISE_SUM)
        LAUNCH((add_rows<A, Y, 1>), g.grid, g.block, 0, exec->stream, *p);
    else if (fours)
        LAUNCH((compute<A, Y, 4>), g.grid, g.block, 0, exec->stream, *p);
    else
        LAUNCH((compute<A, Y, 1>), g.grid, g.block, 0, exec->stream, *p);
}

static enum status run(const struct elementwise_problem *p, const struct exec *exec)
{
    if (moves_bytes(p))
        return run_move(p, exec);
    CUDA_TYPED(p->a.elem, A, CUDA_TYPED(p->y.elem, Y, launch<A, Y>(p, exec)));
    return LAUNCHED();
}

VARIANT(elementwise, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
