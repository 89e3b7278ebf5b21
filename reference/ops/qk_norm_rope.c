// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope.c   Definition of qk_norm_rope.h. */
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "ops/rotate.h"
#include "ref.h"

/* What a head's values are brought to: mean, mean of |x| (what the error of the mean scales with)
 * and 1 / deviation. */
struct statistics {
    double mean, size, r;
};

static struct statistics statistics_of(const struct qk_norm_rope_problem *p, int64_t start,
                                       int64_t head)
{
    struct statistics s = {0, 0, 1};
    int64_t D = p->D, first = head, count = D;
    double squares = 0;
    if (p->norm == QK_NORM_NONE)
        return s;
    if (p->norm == QK_NORM_ALL)
        first = start, count = p->N * D;
    for (int64_t d = 0; p->norm == QK_NORM_LAYER && d < D; d++) {
        double x = load(&p->x, head + d);
        s.mean += x / (double)D;
        s.size += fabs(x) / (double)D;
    }
    for (int64_t i = first; i < first + count; i++) {
        double x = load(&p->x, i) - s.mean;
        squares += x * x;
    }
    s.r = 1 / sqrt(squares / (double)count + p->eps);
    return s;
}

void ref_qk_norm_rope(const struct qk_norm_rope_problem *p, int output, int64_t row, double *value,
                      double *mag)
{
    (void)output;
    int64_t n = row % p->N, token = row / p->N, D = p->D;
    int64_t start = token * p->x.stride, head = start + n * D;
    bool all = p->norm == QK_NORM_ALL;
    struct statistics s = statistics_of(p, start, head);
    for (int64_t d = 0; d < D; d++) {
        double weight = p->norm == QK_NORM_NONE ? 1 : load(&p->weight, all ? n * D + d : d);
        double bias = p->norm == QK_NORM_LAYER ? load(&p->bias, d) : 0, x = load(&p->x, head + d);
        value[d] = (x - s.mean) * s.r * weight + bias;
        if (mag)
            mag[d] = (fabs(x) + s.size) * s.r * fabs(weight) + fabs(bias);
    }
    const struct rotation turn = {&p->cos, &p->sin, p->rope, p->N, D};
    if (p->rope)
        rotate_head(&turn, token % p->S, n, value, mag);
}
