// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cublaslt.h   Linear layer by cuBLASLt.
 *
 * The library adds bias and aux itself where it takes our types: its bias is of y's type, ours is
 * f32, so bias is its work where y is f32. Everything else goes through f32 sums, so that y is
 * rounded once: one kernel turns them into y with the epilogue. Its GELU stays unused, because its
 * form and accuracy are not documented.
 * Sums lie in y where y is f32 and nothing else is read there; else in scratch, a strip of rows at
 * a time, which bounds scratch and leaves a product of many waves.
 * Scratch: [workspace][sums]. */
#ifndef PATCHMARK_LINEAR_CUBLASLT_H
#define PATCHMARK_LINEAR_CUBLASLT_H

#include "denoise/linear/linear.h"
#include "target/cublaslt.h"
#include "target/cuda.h"

// clang-format off
#define CUBLASLT_KNOBS {{"choice", 8, {0, 1, 2, 3, 4, 5, 6, 7}}}
// clang-format on

enum { KNOB_CHOICE };
enum { THREADS = 256, GRID_ROWS_MAX = 32768 };

static const size_t workspace_bytes = (size_t)32 << 20; /* what NVIDIA advises for 9.0 */
static const int64_t strip_elems = INT64_C(1) << 26, strip_step = 256;

static bool reads_aux(const struct linear_problem *p) { return p->epilogue >= EPI_ADD; }

static bool in_library(const struct linear_problem *p)
{
    bool epilogue = p->epilogue == EPI_NONE || p->epilogue == EPI_ADD;
    return epilogue && (!tensor_given(&p->bias) || p->y.elem == ELEM_F32);
}

static bool sums_in_y(const struct linear_problem *p)
{
    return p->y.elem == ELEM_F32 && !reads_aux(p);
}

/* Rows of one product. */
static int64_t strip_rows(const struct linear_problem *p)
{
    int64_t rows = strip_elems / p->O / strip_step * strip_step;
    rows = rows > strip_step ? rows : strip_step;
    return in_library(p) || sums_in_y(p) || rows > p->S ? p->S : rows;
}

static bool plan_as(const struct linear_problem *p, enum elem elem, struct need *need)
{
    if (!cuda_is(&p->x, elem) || !cuda_is(&p->w, elem))
        need->reason = "x and w must be of the type in the variant's name";
    else if (!cuda_is(&p->y, elem) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!cuda_is_f32_or_absent(&p->bias) ||
             (p->epilogue == EPI_GATE && !cuda_is(&p->gate, ELEM_F32)))
        need->reason = "bias and gate must be f32";
    else if (reads_aux(p) && !cuda_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    need->scratch_bytes = workspace_bytes + 256;
    if (!in_library(p) && !sums_in_y(p))
        need->scratch_bytes += (size_t)(strip_rows(p) * p->O) * sizeof(float);
    return !need->reason;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

/* WIDTH neighbours, moved by one instruction. */
template <typename T, int WIDTH> struct alignas(sizeof(T) * WIDTH) group {
    T at[WIDTH];
};

template <int WIDTH, typename T> GPU_FN void take(const T *from, float *to)
{
    group<T, WIDTH> g = *(const group<T, WIDTH> *)from;
    for (int i = 0; i < WIDTH; i++)
        to[i] = to_float(g.at[i]);
}

/* v / (1 + e^-kv) keeps its relative accuracy on both sides of 0. */
GPU_FN float finish_one(int64_t epilogue, float a, float aux, float gate)
{
    const float c = 1.5957691216057308f; /* 2 sqrt(2 / pi): the tanh form as a logistic function */
    switch (epilogue) {
    case EPI_GELU: return a / (1.0f + expf(-c * (a + 0.044715f * a * a * a)));
    case EPI_SILU: return a / (1.0f + expf(-a));
    case EPI_ADD: return aux + a;
    case EPI_GATE: return fmaf(gate, a, aux);
    case EPI_MUL: return aux * a;
    default: return a;
    }
}

/* y of rows row0.. from their sums, `sums_stride` apart; y may lie on sums or on aux. A thread owns
 * WIDTH outputs and goes through the rows. */
template <typename T, int WIDTH>
static __global__ void __launch_bounds__(THREADS)
    finish(struct linear_problem p, const float *sums, int64_t sums_stride, int64_t row0,
           int64_t rows)
{
    int64_t o = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * WIDTH;
    float bias[WIDTH] = {}, gate[WIDTH] = {}, aux[WIDTH] = {}, a[WIDTH];
    if (o >= p.O)
        return;
    if (p.bias.elem != ELEM_NONE)
        take<WIDTH>((const float *)p.bias.data + o, bias);
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
        int64_t s = row0 + r;
        take<WIDTH>(sums + r * sums_stride + o, a);
        if (p.epilogue >= EPI_ADD)
            take<WIDTH>((const T *)p.aux.data + s * p.aux.stride + o, aux);
        if (p.epilogue == EPI_GATE)
            take<WIDTH>((const float *)p.gate.data + s / (p.S / p.G) * p.gate.stride + o, gate);
        group<T, WIDTH> y;
        for (int i = 0; i < WIDTH; i++)
            y.at[i] = from_float<T>(finish_one(p.epilogue, a[i] + bias[i], aux[i], gate[i]));
        *(group<T, WIDTH> *)((T *)p.y.data + s * p.y.stride + o) = y;
    }
}

/* Whether every row of every operand starts at a multiple of 4 elements. */
static bool by_fours(const struct linear_problem *p, int64_t sums_stride)
{
    int64_t all = p->O | sums_stride | p->y.stride;
    all |= reads_aux(p) ? p->aux.stride : 0;
    all |= p->epilogue == EPI_GATE ? p->gate.stride : 0;
    return all % 4 == 0;
}

template <typename T>
static void launch_finish(const struct linear_problem *p, const struct exec *exec,
                          const float *sums, int64_t sums_stride, int64_t row0, int64_t rows)
{
    bool fours = by_fours(p, sums_stride);
    unsigned height = rows < GRID_ROWS_MAX ? (unsigned)rows : (unsigned)GRID_ROWS_MAX;
    dim3 grid((unsigned)cuda_blocks(p->O, fours ? 4 * THREADS : THREADS), height);
    if (fours)
        LAUNCH((finish<T, 4>), grid, THREADS, 0, exec->stream, *p, sums, sums_stride, row0, rows);
    else
        LAUNCH((finish<T, 1>), grid, THREADS, 0, exec->stream, *p, sums, sums_stride, row0, rows);
}

/* ---- the contract ---------------------------------------------------------------------------- */

/* The product of `rows` rows: into y with all that the library does, or into f32 sums. */
static struct cublaslt_form form_of(const struct linear_problem *p, const int64_t *knob,
                                    int64_t rows)
{
    bool whole = in_library(p), into_y = whole || sums_in_y(p);
    struct cublaslt_form f = {};
    f.S = rows;
    f.K = p->K;
    f.O = p->O;
    f.x_stride = p->x.stride;
    f.w_stride = p->K;
    f.y_stride = into_y ? p->y.stride : p->O;
    f.in = p->x.elem;
    f.out = whole ? p->y.elem : ELEM_F32;
    f.bias = whole && tensor_given(&p->bias);
    f.add = whole && p->epilogue == EPI_ADD;
    f.c_stride = f.add ? p->aux.stride : f.y_stride;
    f.choice = knob[KNOB_CHOICE];
    return f;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    struct cublaslt_handle *h = (struct cublaslt_handle *)exec->handle;
    char *workspace = (char *)(((uintptr_t)exec->scratch + 255) / 256 * 256);
    float *sums = (float *)(workspace + workspace_bytes);
    bool whole = in_library(p), into_y = whole || sums_in_y(p);
    int64_t step = strip_rows(p), x_bytes = p->x.elem == ELEM_F32 ? 4 : 2;

    for (int64_t row = 0; row < p->S; row += step) {
        int64_t rows = p->S - row < step ? p->S - row : step;
        struct cublaslt_form form = form_of(p, exec->knob, rows);
        struct cublaslt_operands at = {};
        at.w = p->w.data;
        at.x = (const char *)p->x.data + row * p->x.stride * x_bytes;
        at.bias = p->bias.data;
        at.c = p->aux.data;
        at.y = into_y ? p->y.data : sums;
        at.workspace = workspace;
        at.workspace_bytes = workspace_bytes;
        TRY(cublaslt_run(h, &form, &at, exec->stream));
        if (!whole)
            CUDA_TYPED(p->y.elem, T,
                       launch_finish<T>(p, exec, (const float *)at.y, form.y_stride, row, rows));
    }
    return whole ? ST_OK : LAUNCHED();
}

static void describe(void *handle, const void *problem, const int64_t *knob, char *out,
                     size_t bytes)
{
    const struct linear_problem *p = (const struct linear_problem *)problem;
    const struct cublaslt_handle *h = (const struct cublaslt_handle *)handle;
    struct cublaslt_form form = form_of(p, knob, strip_rows(p));
    const struct cublaslt_matmul *m = cublaslt_find((struct cublaslt_handle *)handle, &form);
    snprintf(out, bytes, "not run yet");
    if (!m)
        return;
    int length = cublaslt_describe(h, m, out, bytes);
    if (!in_library(p) && length >= 0 && (size_t)length < bytes)
        snprintf(out + length, bytes - (size_t)length,
                 "; strips of %lld rows, epilogue by a kernel of ours", (long long)strip_rows(p));
}

#endif
