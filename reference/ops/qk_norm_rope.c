// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope.c   Definition of qk_norm_rope.h. */
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "ops/rotate.h"
#include "ref.h"

void ref_qk_norm_rope(const struct qk_norm_rope_problem *p, int output, int64_t row, double *value,
                      double *mag)
{
    (void)output;
    int64_t n = row % p->N, token = row / p->N, D = p->D;
    int64_t start = token * p->x.stride, head = start + n * D;
    bool all = p->norm == QK_NORM_ALL;
    double r = 1;
    if (all)
        r = 1 / sqrt(sum_of_squares(&p->x, start, p->N * D) / (double)(p->N * D) + p->eps);
    else if (p->norm == QK_NORM_HEAD)
        r = 1 / sqrt(sum_of_squares(&p->x, head, D) / (double)D + p->eps);
    for (int64_t d = 0; d < D; d++) {
        double weight = p->norm == QK_NORM_NONE ? 1 : load(&p->weight, all ? n * D + d : d);
        value[d] = load(&p->x, head + d) * r * weight;
        if (mag)
            mag[d] = fabs(value[d]);
    }
    if (p->rope)
        rotate_head(&p->cos, &p->sin, token % p->S, D, value, mag);
}
