// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* time_embed.c   Definition of time_embed.h. */
#include "denoise/time_embed/time_embed.h"
#include "ops/load.h"
#include "ref.h"

void ref_time_embed(const struct time_embed_problem *p, int output, int64_t row, double *value,
                    double *mag)
{
    (void)output;
    int64_t half = p->C / 2;
    double t = load(&p->t, row);
    for (int64_t i = 0; i < half; i++) {
        double angle = t * exp(-log(10000.0) * (double)i / (double)(half - p->drop));
        value[i] = cos(angle);
        value[half + i] = sin(angle);
        if (mag)
            mag[i] = mag[half + i] = 1;
    }
}
