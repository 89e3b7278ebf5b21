// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample.c   Definition of upsample.h. */
#include "decode/upsample/upsample.h"
#include "ops/load.h"
#include "ref.h"

void ref_upsample(const struct upsample_problem *p, int output, int64_t row, double *value,
                  double *mag)
{
    (void)output;
    int64_t width = p->W * p->fs, height = p->H * p->fs;
    int64_t x = row % width / p->fs, y = row / width % height / p->fs;
    int64_t frame = row / (width * height), t = frame / p->ft, i = frame % p->ft;
    int64_t from = ((t * p->H + y) * p->W + x) * p->ft * p->C + i * p->C;
    for (int64_t c = 0; c < p->C; c++) {
        value[c] = load(&p->x, from + c);
        if (mag)
            mag[c] = fabs(value[c]);
    }
}
