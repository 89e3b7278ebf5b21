// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rotate.h   Rotation of one head's pairs, in place, for qk_norm_rope and qkv. */
#ifndef PATCHMARK_REFERENCE_ROTATE_H
#define PATCHMARK_REFERENCE_ROTATE_H

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "ops/load.h"

struct rotation {
    const struct tensor *cos, *sin;
    int64_t kind, N, D; /* enum qk_rope */
};

/* Head n of the token whose row in the tables is `token`; mag may be NULL. */
static inline void rotate_head(const struct rotation *r, int64_t token, int64_t n, double *value,
                               double *mag)
{
    const int64_t half = r->D / 2;
    const int64_t first =
        token * qk_rope_angles(r->kind, r->N, r->D) + (r->kind >= QK_ROPE_PAIRS_OWN ? n * half : 0);
    for (int64_t i = 0; i < half; i++) {
        const double c = load(r->cos, first + i), s = load(r->sin, first + i);
        const int64_t at = r->kind == QK_ROPE_HALVES_OWN ? i : 2 * i;
        const int64_t bt = r->kind == QK_ROPE_HALVES_OWN ? i + half : 2 * i + 1;
        double a = value[at], b = value[bt];
        value[at] = a * c - b * s;
        value[bt] = a * s + b * c;
        if (!mag)
            continue;
        a = mag[at], b = mag[bt];
        mag[at] = a * fabs(c) + b * fabs(s);
        mag[bt] = a * fabs(s) + b * fabs(c);
    }
}

#endif
