// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unpatchify.c   Definition of unpatchify.h. */
#include "attention/unpatchify/unpatchify.h"
#include "ops/load.h"
#include "ref.h"

void ref_unpatchify(const struct unpatchify_problem *p, int output, int64_t row, double *value,
                    double *mag)
{
    (void)output;
    int64_t x = row % p->W, y = row / p->W % p->H;
    int64_t t = row / (p->W * p->H) % p->T, b = row / (p->W * p->H * p->T);
    int64_t frame = b * (p->T / p->pt) + t / p->pt;
    int64_t token = (frame * (p->H / p->ph) + y / p->ph) * (p->W / p->pw) + x / p->pw;
    int64_t inside = (t % p->pt * p->ph + y % p->ph) * p->pw + x % p->pw;
    int64_t cells = p->pt * p->ph * p->pw;
    for (int64_t c = 0; c < p->C; c++) {
        bool slowest = p->channel == UNPATCHIFY_SLOWEST;
        value[c] = load_at(&p->x, token, slowest ? c * cells + inside : inside * p->C + c);
        if (mag)
            mag[c] = fabs(value[c]);
    }
}
