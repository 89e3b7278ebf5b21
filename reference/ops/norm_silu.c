// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_silu.c   Definition of norm_silu.h. */
#include "decode/norm_silu/norm_silu.h"
#include "ops/conv_row.h"
#include "ref.h"

void ref_norm_silu(const struct norm_silu_problem *p, int output, int64_t row, double *value,
                   double *mag)
{
    (void)output;
    double factor = pixel_factor(&p->x, row, p->C);
    for (int64_t c = 0; c < p->C; c++) {
        double n = load(&p->x, row * p->C + c) * factor * load(&p->gamma, c);
        value[c] = p->silu ? silu(n) : n;
        if (mag)
            mag[c] = p->silu ? SILU_SLOPE * fabs(n) : fabs(n);
    }
}
