// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duplicate_up.c   Definition of duplicate_up.h. */
#include "decode/duplicate_up/duplicate_up.h"
#include "ops/load.h"
#include "ref.h"

void ref_duplicate_up(const struct duplicate_up_problem *p, int output, int64_t row, double *value,
                      double *mag)
{
    (void)output;
    const int64_t Ho = p->H * p->fs, Wo = p->W * p->fs, R = p->O * p->ft * p->fs * p->fs / p->C;
    const int64_t frame = row / (Ho * Wo) + p->skip, r = row / Wo % Ho, q = row % Wo;
    const int64_t i = frame % p->ft, j = r % p->fs, k = q % p->fs;
    const int64_t in_cell = p->order ? k * p->fs + j : j * p->fs + k;
    const int64_t pixel = (frame / p->ft * p->H + r / p->fs) * p->W + q / p->fs;
    for (int64_t o = 0; o < p->O; o++) {
        const int64_t n = (o * p->ft + i) * p->fs * p->fs + in_cell;
        const double x = load(&p->x, pixel * p->C + n / R);
        const double aux = tensor_given(&p->aux) ? load(&p->aux, row * p->O + o) : 0;
        value[o] = x + aux;
        if (mag)
            mag[o] = fabs(x) + fabs(aux);
    }
}
