// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear.c   Definition of linear.h. */
#include "denoise/linear/linear.h"
#include "ops/activation.h"
#include "ops/load.h"
#include "ref.h"

/* Applies the epilogue to a, and what it does to rounding errors to *size. */
static double finish(const struct linear_problem *p, int64_t s, int64_t o, double a, double *size)
{
    double aux = tensor_given(&p->aux) ? load_at(&p->aux, s, o) : 0, gate;
    switch ((enum epilogue)p->epilogue) {
    case EPI_NONE: return a;
    case EPI_GELU: *size *= GELU_SLOPE; return gelu(a);
    case EPI_SILU: *size *= SILU_SLOPE; return silu(a);
    case EPI_ADD: *size += fabs(aux); return aux + a;
    case EPI_GATE:
        gate = load_at(&p->gate, group_of(s, p->S, p->G), o);
        *size = fabs(aux) + fabs(gate) * *size;
        return aux + gate * a;
    case EPI_MUL: *size *= fabs(aux); return aux * a;
    }
    return NAN;
}

void ref_linear(const struct linear_problem *p, int output, int64_t row, double *value, double *mag)
{
    (void)output;
    for (int64_t o = 0; o < p->O; o++) {
        double bias = tensor_given(&p->bias) ? load(&p->bias, o) : 0, size = fabs(bias);
        double a = bias + dot(&p->x, row * p->x.stride, &p->w, o * p->K, p->K, mag ? &size : NULL);
        value[o] = finish(p, row, o, a, &size);
        if (mag)
            mag[o] = size;
    }
}
