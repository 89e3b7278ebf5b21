// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* c.c   What plain C reaches: a multiply and an add, whatever the compiler makes of them. */
#include "peak/peak.h"

enum { CHAINS = 32 };

static float run(int64_t rounds, float gain, float lift)
{
    float v[CHAINS], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        v[i] = (float)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            v[i] = v[i] * gain + lift;
    for (int i = 0; i < CHAINS; i++)
        sum += v[i];
    return sum;
}

const struct peak_probe peak_c = {"c", 0, ELEM_F32, 2.0 * CHAINS, run};
