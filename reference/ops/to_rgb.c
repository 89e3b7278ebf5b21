// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* to_rgb.c   Definition of to_rgb.h. */
#include "decode/to_rgb/to_rgb.h"
#include "ops/load.h"
#include "ref.h"

void ref_to_rgb(const struct to_rgb_problem *p, int output, int64_t row, double *value, double *mag)
{
    (void)output;
    int64_t x = row % p->Wo, y = row / p->Wo % p->Ho, t = row / (p->Wo * p->Ho);
    bool bytes = p->y.elem == ELEM_U8;
    for (int64_t c = 0; c < 3; c++) {
        double in = load(&p->x, ((t * p->H + y) * p->W + x) * 3 + c);
        double f = (in < -1 ? -1 : in > 1 ? 1 : in) / 2 + 0.5;
        value[c] = !bytes ? f : isnan(f) ? 0 : 255 * f;
        if (mag)
            mag[c] = 1;
    }
}
