// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rotate.h   Rotation of one head's pairs, in place, for qk_norm_rope and qkv. */
#ifndef PATCHMARK_REFERENCE_ROTATE_H
#define PATCHMARK_REFERENCE_ROTATE_H

#include "ops/load.h"

/* mag may be NULL; token is the row of the tables. */
static inline void rotate_head(const struct tensor *cosine, const struct tensor *sine,
                               int64_t token, int64_t D, double *value, double *mag)
{
    for (int64_t i = 0; i < D; i += 2) {
        double c = load(cosine, token * (D / 2) + i / 2), s = load(sine, token * (D / 2) + i / 2);
        double a = value[i], b = value[i + 1];
        value[i] = a * c - b * s;
        value[i + 1] = a * s + b * c;
        if (!mag)
            continue;
        a = mag[i], b = mag[i + 1];
        mag[i] = a * fabs(c) + b * fabs(s);
        mag[i + 1] = a * fabs(s) + b * fabs(c);
    }
}

#endif
