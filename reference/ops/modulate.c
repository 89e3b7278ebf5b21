// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* modulate.c   Definition of modulate.h. */
#include "denoise/modulate/modulate.h"
#include "ops/load.h"
#include "ref.h"

struct moments {
    double mean, size, deviation; /* size: mean of |x|, what the error of the mean scales with */
};

static struct moments moments_of(const struct modulate_problem *p, int64_t row)
{
    struct moments m = {0, 0, 0};
    for (int64_t c = 0; p->norm == MODULATE_LAYER && c < p->C; c++) {
        double x = load_at(&p->x, row, c);
        m.mean += x / (double)p->C;
        m.size += fabs(x) / (double)p->C;
    }
    double squares = 0;
    for (int64_t c = 0; c < p->C; c++) {
        double x = load_at(&p->x, row, c) - m.mean;
        squares += x * x;
    }
    m.deviation = sqrt(squares / (double)p->C + p->eps);
    return m;
}

void ref_modulate(const struct modulate_problem *p, int output, int64_t row, double *value,
                  double *mag)
{
    (void)output;
    struct moments m = moments_of(p, row);
    int64_t g = group_of(row, p->S, p->G);
    for (int64_t c = 0; c < p->C; c++) {
        double x = load_at(&p->x, row, c);
        double scale = load_at(&p->scale, g, c), shift = load_at(&p->shift, g, c);
        bool adaln = p->form == MODULATE_ADALN;
        value[c] = (x - m.mean) / m.deviation * (adaln ? 1 + scale : scale) + shift;
        if (mag)
            mag[c] =
                (fabs(x) + m.size) / m.deviation * ((adaln ? 1 : 0) + fabs(scale)) + fabs(shift);
    }
}
