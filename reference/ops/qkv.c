// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv.c   Definition of qkv.h, and the composite as calls of its parts. */
#include "attention/qkv/qkv.h"
#include "denoise/linear/linear.h"
#include "ops/rotate.h"
#include "ref.h"

struct projection {
    const struct tensor *w, *bias, *norm, *y;
};

static struct projection projection_of(const struct qkv_problem *p, int output)
{
    const struct projection all[] = {{&p->wq, &p->bq, &p->nq, &p->q},
                                     {&p->wk, &p->bk, &p->nk, &p->k},
                                     {&p->wv, &p->bv, NULL, &p->v}};
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

/* 1 / root mean square of the columns that the norm of head n looks at */
static double norm_factor(const struct qkv_problem *p, struct projection j, int64_t token,
                          int64_t n)
{
    if (p->norm == QK_NORM_NONE)
        return 1;
    bool all = p->norm == QK_NORM_ALL;
    int64_t first = all ? 0 : n * p->D, count = all ? p->N * p->D : p->D;
    double squares = 0;
    for (int64_t column = first; column < first + count; column++) {
        double a = project(p, j, token, column, NULL);
        squares += a * a;
    }
    return 1 / sqrt(squares / (double)count + p->eps);
}

void ref_qkv(const struct qkv_problem *p, int output, int64_t row, double *value, double *mag)
{
    struct projection j = projection_of(p, output);
    int64_t n = row % p->N, token = row / p->N;
    double r = j.norm ? norm_factor(p, j, token, n) : 1;
    for (int64_t d = 0; d < p->D; d++) {
        double factor = r;
        if (j.norm && p->norm != QK_NORM_NONE)
            factor *= load(j.norm, p->norm == QK_NORM_ALL ? n * p->D + d : d);
        value[d] = factor * project(p, j, token, n * p->D + d, mag ? &mag[d] : NULL);
        if (mag)
            mag[d] *= fabs(factor);
    }
    if (j.norm && p->rope)
        rotate_head(&p->cos, &p->sin, token % p->S, p->D, value, mag);
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
                                            .y = *j.y};
        TRY(ops->qk_norm_rope(ops, &turn));
    }
    return ST_OK;
}
