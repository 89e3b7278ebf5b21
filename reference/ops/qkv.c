// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv.c   Definition of qkv.h, and the composite as calls of its parts. */
#include "attention/qkv/qkv.h"
#include "denoise/linear/linear.h"
#include "ops/rotate.h"
#include "ref.h"

struct projection {
    const struct tensor *w, *bias, *norm, *norm_bias, *y;
};

static struct projection projection_of(const struct qkv_problem *p, int output)
{
    const struct projection all[] = {{&p->wq, &p->bq, &p->nq, &p->nbq, &p->q},
                                     {&p->wk, &p->bk, &p->nk, &p->nbk, &p->k},
                                     {&p->wv, &p->bv, NULL, NULL, &p->v}};
    return all[output];
}

static double project(const struct qkv_problem *p, struct projection j, int64_t token,
                      int64_t column, double *mag)
{
    double bias = load(j.bias, column);
    if (mag)
        *mag = fabs(bias);
    return dot(&p->x, token * p->x.stride, j.w, column * p->C, p->C, mag) + bias;
}

/* What the norm of head n takes from the columns it looks at: their mean, with the sum of |terms| in
 * it, where it is taken away, and 1 / root mean square about it. */
struct statistics {
    double mean, mag, r;
};

static struct statistics statistics_of(const struct qkv_problem *p, struct projection j,
                                       int64_t token, int64_t n)
{
    struct statistics s = {0, 0, 1};
    if (!j.norm || p->norm == QK_NORM_NONE)
        return s;
    bool all = p->norm == QK_NORM_ALL;
    int64_t first = all ? 0 : n * p->D, count = all ? p->N * p->D : p->D;
    double squares = 0, mag;
    for (int64_t c = first; p->norm == QK_NORM_LAYER && c < first + count; c++) {
        s.mean += project(p, j, token, c, &mag) / (double)count;
        s.mag += mag / (double)count;
    }
    for (int64_t c = first; c < first + count; c++) {
        double a = project(p, j, token, c, NULL) - s.mean;
        squares += a * a;
    }
    s.r = 1 / sqrt(squares / (double)count + p->eps);
    return s;
}

void ref_qkv(const struct qkv_problem *p, int output, int64_t row, double *value, double *mag)
{
    struct projection j = projection_of(p, output);
    int64_t n = row % p->N, token = row / p->N;
    struct statistics s = statistics_of(p, j, token, n);
    for (int64_t d = 0; d < p->D; d++) {
        double factor = s.r, bias = 0;
        if (j.norm && p->norm != QK_NORM_NONE)
            factor *= load(j.norm, p->norm == QK_NORM_ALL ? n * p->D + d : d);
        if (j.norm && p->norm == QK_NORM_LAYER)
            bias = load(j.norm_bias, d);
        double a = project(p, j, token, n * p->D + d, mag ? &mag[d] : NULL);
        value[d] = factor * (a - s.mean) + bias;
        if (mag)
            mag[d] = (mag[d] + s.mag) * fabs(factor) + fabs(bias);
    }
    const struct rotation turn = {&p->cos, &p->sin, p->rope, p->N, p->D};
    if (j.norm && p->rope)
        rotate_head(&turn, token % p->S, n, value, mag);
}

enum status expand_qkv(struct ops *ops, const struct qkv_problem *p)
{
    for (int output = 0; output < 3; output++) {
        struct projection j = projection_of(p, output);
        struct linear_problem linear = {.S = p->B * p->S,
                                        .K = p->C,
                                        .O = p->N * p->D,
                                        .G = 1,
                                        .epilogue = EPI_NONE,
                                        .x = p->x,
                                        .w = *j.w,
                                        .bias = *j.bias,
                                        .y = *j.y};
        TRY(ops->linear(ops, &linear));
        if (!j.norm || (p->norm == QK_NORM_NONE && !p->rope))
            continue;
        struct qk_norm_rope_problem turn = {.B = p->B,
                                            .S = p->S,
                                            .N = p->N,
                                            .D = p->D,
                                            .norm = p->norm,
                                            .rope = p->rope,
                                            .eps = p->eps,
                                            .x = *j.y,
                                            .weight = *j.norm,
                                            .cos = p->cos,
                                            .sin = p->sin,
                                            .y = *j.y,
                                            .bias = *j.norm_bias};
        TRY(ops->qk_norm_rope(ops, &turn));
    }
    return ST_OK;
}
