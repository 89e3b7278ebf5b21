// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_step.c   Definition of sampler_step.h. */
#include "denoise/sampler_step/sampler_step.h"
#include "ops/load.h"
#include "ref.h"

/* A value with the sum of |terms| behind it. */
struct sized {
    double value, size;
};

static struct sized plus(struct sized sum, double coefficient, struct sized term)
{
    return (struct sized){sum.value + coefficient * term.value,
                          sum.size + fabs(coefficient) * term.size};
}

static struct sized sized_load(const struct tensor *t, int64_t index)
{
    double x = load(t, index);
    return (struct sized){x, fabs(x)};
}

/* A tensor of the history: not read where its coefficient is 0, it may be absent then. */
static struct sized plus_history(struct sized sum, double coefficient, const struct tensor *t,
                                 int64_t index)
{
    return coefficient == 0 ? sum : plus(sum, coefficient, sized_load(t, index));
}

static struct sized guided(const struct sampler_step_problem *p, int64_t row, int64_t c)
{
    struct sized cond = sized_load(&p->cond, row * p->cond.stride + c);
    if (!tensor_given(&p->uncond) || (p->guided && c >= p->guided))
        return cond;
    struct sized uncond = sized_load(&p->uncond, row * p->uncond.stride + c);
    return plus(uncond, p->guidance, plus(cond, -1, uncond));
}

static struct sized corrected_of(const struct sampler_step_problem *p, int64_t i, struct sized x,
                                 struct sized m)
{
    if (!p->corrector)
        return x;
    struct sized sum = {0, 0};
    sum = plus_history(sum, p->correct[0], &p->last, i);
    sum = plus_history(sum, p->correct[1], &p->m1, i);
    sum = plus_history(sum, p->correct[2], &p->m2, i);
    return plus(sum, p->correct[3], m);
}

void ref_sampler_step(const struct sampler_step_problem *p, int output, int64_t row, double *value,
                      double *mag)
{
    for (int64_t c = 0; c < p->C; c++) {
        int64_t i = row * p->C + c;
        struct sized zero = {0, 0}, x = sized_load(&p->x, i), v = guided(p, row, c);
        struct sized m = plus(plus(zero, p->model[0], x), p->model[1], v);
        struct sized corrected = corrected_of(p, i, x, m);
        struct sized next = plus(plus(zero, p->predict[0], corrected), p->predict[1], m);
        next = plus(plus_history(next, p->predict[2], &p->m1, i), p->predict[3], v);
        struct sized out = output == 0 ? m : output == 1 ? corrected : next;
        value[c] = out.value;
        if (mag)
            mag[c] = out.size;
    }
}
