// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elementwise/c_01_plain.c
 * Idea:     row by row in short chunks: convert, one loop of the kind, convert back.
 * Differs:  the first of its op.   Bound: memory; silu: expf.
 * Source:   the contract. */
#include "denoise/elementwise/elementwise.h"
#include "target/c.h"

static bool moves_bytes(const struct elementwise_problem *p)
{
    return p->kind == ELEMENTWISE_COPY && p->a.elem == p->y.elem;
}

static bool plan(const struct elementwise_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    bool floats = c_is_float(&p->a) && c_is_float(&p->y);
    bool bytes = moves_bytes(p) && (c_is(&p->a, ELEM_I32) || c_is(&p->a, ELEM_U8));
    if (!floats && !bytes)
        need->reason =
            "a and y must be f32, bf16 or f16; copy also takes i32 and u8 to the same type";
    else if ((p->kind == ELEMENTWISE_ADD || p->kind == ELEMENTWISE_AFFINE) &&
             !c_is(&p->b, ELEM_F32))
        need->reason = "b must be f32";
    else if (p->kind == ELEMENTWISE_AFFINE && !c_is(&p->c, ELEM_F32))
        need->reason = "c must be f32";
    else if (p->kind == ELEMENTWISE_SUM && !c_is(&p->b, p->a.elem))
        need->reason = "of a sum b must have a's type";
    return !need->reason;
}

/* v[j] becomes the result; b and c point at the operands' elements of this chunk. */
static void apply(int64_t kind, float *v, const float *b, const float *c, int64_t count)
{
    if (kind == ELEMENTWISE_ADD || kind == ELEMENTWISE_SUM)
        for (int64_t j = 0; j < count; j++)
            v[j] += b[j];
    else if (kind == ELEMENTWISE_SILU)
        for (int64_t j = 0; j < count; j++)
            v[j] = c_silu(v[j]);
    else if (kind == ELEMENTWISE_GELU_ERF)
        for (int64_t j = 0; j < count; j++)
            v[j] = c_gelu_erf(v[j]);
    else if (kind == ELEMENTWISE_AFFINE)
        for (int64_t j = 0; j < count; j++)
            v[j] = v[j] * b[j] + c[j];
}

static void move_row(const struct elementwise_problem *p, int64_t s)
{
    int64_t bytes = c_elem_bytes(p->a.elem);
    memmove((char *)p->y.data + s * p->y.stride * bytes,
            (const char *)p->a.data + s * p->a.stride * bytes, (size_t)(p->C * bytes));
}

static void compute_row(const struct elementwise_problem *p, int64_t s)
{
    bool sum = p->kind == ELEMENTWISE_SUM, two = p->kind == ELEMENTWISE_AFFINE;
    bool one = p->kind == ELEMENTWISE_ADD || sum || two;
    int64_t g = sum ? s : one ? s / (p->S / p->G) : 0;
    const float *c = two ? (const float *)p->c.data + g * p->c.stride : NULL;
    for (int64_t i = 0; i < p->C; i += C_CHUNK) {
        int64_t part = c_min(C_CHUNK, p->C - i);
        float v[C_CHUNK], w[C_CHUNK];
        c_load_row(v, &p->a, s * p->a.stride + i, part);
        const float *b = one ? c_view(&p->b, g * p->b.stride + i, part, w) : NULL;
        apply(p->kind, v, b, two ? c + i : NULL, part);
        c_store_row(&p->y, s * p->y.stride + i, v, part);
    }
}

static enum status run(const struct elementwise_problem *p, const struct exec *exec)
{
#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++) {
        if (moves_bytes(p))
            move_row(p, s);
        else
            compute_row(p, s);
    }
    return ST_OK;
}

VARIANT(elementwise, c_01_plain, .needs = 0, .numerics = NUM_F32);
