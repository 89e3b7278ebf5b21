// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* activation.h   SiLU and both forms of GELU, with bounds of their slopes for magnitudes. */
#ifndef PATCHMARK_REFERENCE_ACTIVATION_H
#define PATCHMARK_REFERENCE_ACTIVATION_H

#include <math.h>

#define SILU_SLOPE 1.1
#define GELU_SLOPE 1.13

static inline double silu(double a) { return a / (1 + exp(-a)); }

/* (1 + tanh u) / 2 = 1 / (1 + e^-2u), which keeps its digits where tanh is next to -1. */
static inline double gelu(double a)
{
    const double root_of_2_over_pi = 0.7978845608028654;
    return a / (1 + exp(-2 * root_of_2_over_pi * (a + 0.044715 * a * a * a)));
}

static inline double gelu_erf(double a)
{
    const double root_of_half = 0.70710678118654752;
    return 0.5 * a * erfc(-root_of_half * a);
}

#endif
