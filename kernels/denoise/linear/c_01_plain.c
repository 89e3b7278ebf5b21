// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/c_01_plain.c
 * Idea:     tiles of rows by outputs, weights read where they lie; four dot products at a time, so
 *           that an x row is loaded once for four outputs and a weight row serves the whole tile.
 * Differs:  the first of its op; nothing is packed.   Bound: the width of the baseline's registers.
 * Source:   textbook register blocking (Goto and van de Geijn, Anatomy of High-Performance Matrix
 *           Multiplication). */
#include "denoise/linear/linear.h"
#include "target/c.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->w, p->x.elem))
        need->reason = "x must be f32, bf16 or f16 and w of x's type";
    else if (!c_is(&p->y, p->x.elem) && !c_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!c_is_f32_or_absent(&p->bias) ||
             (p->epilogue == EPI_GATE && !c_is(&p->gate, ELEM_F32)))
        need->reason = "bias and gate must be f32";
    else if (p->epilogue >= EPI_ADD && !c_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    return !need->reason;
}

/* a[o] of row s becomes y[o], o counted from o0. */
static void epilogue(const struct linear_problem *p, int64_t s, int64_t o0, int64_t outs, float *a)
{
    float aux[C_TILE_OUTS];
    if (p->epilogue >= EPI_ADD)
        c_load_row(aux, &p->aux, s * p->aux.stride + o0, outs);
    if (tensor_given(&p->bias))
        for (int64_t o = 0; o < outs; o++)
            a[o] += ((const float *)p->bias.data)[o0 + o];

    switch ((enum epilogue)p->epilogue) {
    case EPI_NONE: break;
    case EPI_GELU:
        for (int64_t o = 0; o < outs; o++)
            a[o] = c_gelu(a[o]);
        break;
    case EPI_SILU:
        for (int64_t o = 0; o < outs; o++)
            a[o] = c_silu(a[o]);
        break;
    case EPI_ADD:
        for (int64_t o = 0; o < outs; o++)
            a[o] += aux[o];
        break;
    case EPI_GATE: {
        int64_t g = s / (p->S / p->G);
        const float *gate = (const float *)p->gate.data + g * p->gate.stride + o0;
        for (int64_t o = 0; o < outs; o++)
            a[o] = aux[o] + gate[o] * a[o];
        break;
    }
    case EPI_MUL:
        for (int64_t o = 0; o < outs; o++)
            a[o] *= aux[o];
        break;
    }
    c_store_row(&p->y, s * p->y.stride + o0, a, outs);
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    int64_t row_tiles = c_blocks(p->S, C_TILE_ROWS);
    int64_t items = row_tiles * c_blocks(p->O, C_TILE_OUTS);

#pragma omp parallel for num_threads(c_threads(exec, items)) schedule(static)
    for (int64_t item = 0; item < items; item++) {
        int64_t s = item % row_tiles * C_TILE_ROWS, rows = c_min(C_TILE_ROWS, p->S - s);
        int64_t o = item / row_tiles * C_TILE_OUTS, outs = c_min(C_TILE_OUTS, p->O - o);
        float acc[C_TILE_ROWS][C_TILE_OUTS];
        c_matmul_tile(&p->x, s, rows, &p->w, o, outs, p->K, acc[0], C_TILE_OUTS);
        for (int64_t r = 0; r < rows; r++)
            epilogue(p, s + r, o, outs, acc[r]);
    }
    return ST_OK;
}

VARIANT(linear, c_01_plain, .needs = 0, .numerics = NUM_F32);
