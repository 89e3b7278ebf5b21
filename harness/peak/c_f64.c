// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* c_f64.c   As c.c, in double. */
#include "peak/peak.h"

enum { CHAINS = 32 };

static float run(int64_t rounds, float gain, float lift)
{
    double v[CHAINS], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            v[i] = v[i] * (double)gain + (double)lift;
    for (int i = 0; i < CHAINS; i++)
        sum += v[i];
    return (float)sum;
}

const struct peak_probe peak_c_f64 = {"c", 0, ELEM_F64, 2.0 * CHAINS, run};
