// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rms_norm.c   Definition of rms_norm.h. */
#include "text/rms_norm/rms_norm.h"
#include "ops/load.h"
#include "ref.h"

void ref_rms_norm(const struct rms_norm_problem *p, int output, int64_t row, double *value,
                  double *mag)
{
    (void)output;
    double squares = sum_of_squares(&p->x, row * p->x.stride, p->C);
    double r = 1 / sqrt(squares / (double)p->C + p->eps);
    for (int64_t c = 0; c < p->C; c++) {
        value[c] = load_at(&p->x, row, c) * r * load(&p->weight, c);
        if (mag)
            mag[c] = fabs(value[c]);
    }
}
