// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* time_embed/c_01_plain.c
 * Idea:     as written, in double.
 * Differs:  the first of its op.   Bound: libm; a handful of rows per step.
 * Source:   the contract. */
#include "denoise/time_embed/time_embed.h"
#include "target/c.h"

static bool plan(const struct time_embed_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->t, ELEM_F32) || !c_is_float(&p->y))
        need->reason = "t must be f32 and y f32, bf16 or f16";
    else if (p->C % 2 || p->C / 2 <= p->drop)
        need->reason = "C must be even and C/2 more than drop";
    return !need->reason;
}

static enum status run(const struct time_embed_problem *p, const struct exec *exec)
{
    int64_t half = p->C / 2, items = p->S * half;
    const float *t = (const float *)p->t.data;

#pragma omp parallel for num_threads(c_threads(exec, items)) schedule(static)
    for (int64_t item = 0; item < items; item++) {
        int64_t s = item / half, i = item % half, to = s * p->y.stride + i;
        double angle = t[s] * exp(-log(10000.0) * (double)i / (double)(half - p->drop));
        c_store(&p->y, to, (float)cos(angle));
        c_store(&p->y, to + half, (float)sin(angle));
    }
    return ST_OK;
}

VARIANT(time_embed, c_01_plain, .needs = 0, .numerics = NUM_F32);
