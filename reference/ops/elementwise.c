// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elementwise.c   Definition of elementwise.h. */
#include "denoise/elementwise/elementwise.h"
#include "ops/activation.h"
#include "ops/load.h"
#include "ref.h"

static double apply(const struct elementwise_problem *p, int64_t s, int64_t c, double *size)
{
    double a = load_at(&p->a, s, c), b, shift;
    int64_t g = group_of(s, p->S, p->G);
    *size = fabs(a);
    switch ((enum elementwise_kind)p->kind) {
    case ELEMENTWISE_COPY: return a;
    case ELEMENTWISE_ADD:
        b = load_at(&p->b, g, c);
        *size += fabs(b);
        return a + b;
    case ELEMENTWISE_SILU: *size *= SILU_SLOPE; return silu(a);
    case ELEMENTWISE_AFFINE:
        b = load_at(&p->b, g, c), shift = load_at(&p->c, g, c);
        *size = fabs(a * b) + fabs(shift);
        return a * b + shift;
    case ELEMENTWISE_GELU_ERF: *size *= GELU_SLOPE; return gelu_erf(a);
    case ELEMENTWISE_SUM:
        b = load_at(&p->b, s, c);
        *size += fabs(b);
        return a + b;
    }
    return NAN;
}

void ref_elementwise(const struct elementwise_problem *p, int output, int64_t row, double *value,
                     double *mag)
{
    (void)output;
    for (int64_t c = 0; c < p->C; c++) {
        double size;
        value[c] = apply(p, row, c, &size);
        if (mag)
            mag[c] = size;
    }
}
