// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* honest_modulate.h   A right modulate, one row at a time, that planted faults of whole clips depart
 * from: what it is given comes from the noise. */
#ifndef PATCHMARK_BROKEN_HONEST_MODULATE_H
#define PATCHMARK_BROKEN_HONEST_MODULATE_H

#include <math.h>

#include "denoise/modulate/modulate.h"

static bool plan(const struct modulate_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (p->y.elem != ELEM_F32)
        need->reason = "y must be f32";
    return !need->reason;
}

static void honest_row(const struct modulate_problem *p, int64_t s)
{
    const int64_t g = s / (p->S / p->G);
    const float *x = (const float *)p->x.data + s * p->x.stride;
    const float *scale = (const float *)p->scale.data + g * p->scale.stride;
    const float *shift = (const float *)p->shift.data + g * p->shift.stride;
    float *y = (float *)p->y.data + s * p->y.stride;
    double mean = 0, squares = 0;
    for (int64_t c = 0; c < p->C && p->norm == MODULATE_LAYER; c++)
        mean += x[c] / (double)p->C;
    for (int64_t c = 0; c < p->C; c++)
        squares += (x[c] - mean) * (x[c] - mean);
    const double r = 1 / sqrt(squares / (double)p->C + p->eps);
    const double one = p->form == MODULATE_ADALN ? 1 : 0;
    for (int64_t c = 0; c < p->C; c++)
        y[c] = (float)((x[c] - mean) * r * (one + scale[c]) + shift[c]);
}

#endif
