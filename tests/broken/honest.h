// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* honest.h   A right rms_norm, one row at a time, that the planted faults depart from. */
#ifndef PATCHMARK_BROKEN_HONEST_H
#define PATCHMARK_BROKEN_HONEST_H

#include <math.h>

#include "text/rms_norm/rms_norm.h"

static bool plan(const struct rms_norm_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (p->y.elem != ELEM_F32)
        need->reason = "y must be f32";
    return !need->reason;
}

static inline double square_sum(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t c = 0; c < count; c++)
        sum += (double)x[c] * x[c];
    return sum;
}

static inline const float *row_in(const struct rms_norm_problem *p, int64_t s)
{
    return (const float *)p->x.data + s * p->x.stride;
}

static inline float *row_out(const struct rms_norm_problem *p, int64_t s)
{
    return (float *)p->y.data + s * p->y.stride;
}

/* y[0..count) of one row, from the row's sum of squares. */
static inline void scale_row(const struct rms_norm_problem *p, int64_t s, double squares,
                             int64_t count)
{
    const float *x = row_in(p, s), *weight = p->weight.data;
    float *y = row_out(p, s);
    double r = 1 / sqrt(squares / (double)p->C + p->eps);
    for (int64_t c = 0; c < count; c++)
        y[c] = (float)(x[c] * r * weight[c]);
}

static inline void honest_row(const struct rms_norm_problem *p, int64_t s)
{
    scale_row(p, s, square_sum(row_in(p, s), p->C), p->C);
}

#endif
