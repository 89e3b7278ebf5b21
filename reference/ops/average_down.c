// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* average_down.c   Definition of average_down.h. */
#include "decode/average_down/average_down.h"
#include "ops/load.h"
#include "ref.h"

/* Element `n` of the cell at (t, r, q); the zero frames in front hold 0. */
static double cell(const struct average_down_problem *p, int64_t t, int64_t r, int64_t q, int64_t n)
{
    const int64_t slow = n / p->fs % p->fs, fast = n % p->fs;
    const int64_t j = p->order == CELL_LINES ? slow : fast;
    const int64_t k = p->order == CELL_LINES ? fast : slow;
    const int64_t i = n / (p->fs * p->fs) % p->ft, c = n / (p->fs * p->fs * p->ft);
    const int64_t frame = t * p->ft + i - p->lead;
    if (frame < 0)
        return 0;
    return load(&p->x, ((frame * p->H + r * p->fs + j) * p->W + q * p->fs + k) * p->C + c);
}

void ref_average_down(const struct average_down_problem *p, int output, int64_t row, double *value,
                      double *mag)
{
    (void)output;
    const int64_t Ho = p->H / p->fs, Wo = p->W / p->fs, G = p->C * p->ft * p->fs * p->fs / p->O;
    for (int64_t o = 0; o < p->O; o++) {
        double sum = 0, size = 0;
        for (int64_t g = 0; g < G; g++) {
            const double x = cell(p, row / (Ho * Wo), row / Wo % Ho, row % Wo, o * G + g);
            sum += x;
            size += fabs(x);
        }
        const double aux = tensor_given(&p->aux) ? load(&p->aux, row * p->O + o) : 0;
        value[o] = sum / (double)G + aux;
        if (mag)
            mag[o] = size / (double)G + fabs(aux);
    }
}
