// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchify.c   Definition of patchify.h. */
#include "attention/patchify/patchify.h"
#include "ops/load.h"
#include "ref.h"

void ref_patchify(const struct patchify_problem *p, int output, int64_t row, double *value,
                  double *mag)
{
    (void)output;
    int64_t columns = p->W / p->pw, lines = p->H / p->ph, frames = p->T / p->pt;
    int64_t x = row % columns, y = row / columns % lines;
    int64_t f = row / (columns * lines) % frames, b = row / (columns * lines * frames), at = 0;
    for (int64_t c = 0; c < p->C; c++)
        for (int64_t i = 0; i < p->pt; i++)
            for (int64_t j = 0; j < p->ph; j++)
                for (int64_t k = 0; k < p->pw; k++, at++) {
                    int64_t frame = b * p->T + f * p->pt + i;
                    int64_t line = frame * p->H + y * p->ph + j;
                    value[at] = load(&p->x, (line * p->W + x * p->pw + k) * p->C + c);
                    if (mag)
                        mag[at] = fabs(value[at]);
                }
}
