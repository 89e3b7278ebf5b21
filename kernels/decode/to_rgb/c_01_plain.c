// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* to_rgb/c_01_plain.c
 * Idea:     one cropped row at a time; 255 f in double, so that a tie is a tie of the exact value.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "decode/to_rgb/to_rgb.h"
#include "target/c.h"

static bool plan(const struct to_rgb_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x))
        need->reason = "x must be f32, bf16 or f16";
    else if (!c_is(&p->y, ELEM_U8) && !c_is(&p->y, ELEM_F32))
        need->reason = "y must be u8 or f32";
    return !need->reason;
}

/* NaN passes both comparisons and stays. */
static double unit(float x)
{
    double clamped = x < -1 ? -1 : x > 1 ? 1 : x;
    return clamped / 2 + 0.5;
}

static enum status run(const struct to_rgb_problem *p, const struct exec *exec)
{
    int64_t rows = p->T * p->Ho, count = p->Wo * 3;

#pragma omp parallel for num_threads(c_threads(exec, rows)) schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        int64_t from = (row / p->Ho * p->H + row % p->Ho) * p->W * 3, to = row * count;
        for (int64_t i = 0; i < count; i++) {
            double f = unit(c_load(&p->x, from + i));
            if (p->y.elem == ELEM_F32)
                ((float *)p->y.data)[to + i] = (float)f;
            else
                ((uint8_t *)p->y.data)[to + i] = (uint8_t)(f != f ? 0 : lrint(255 * f));
        }
    }
    return ST_OK;
}

VARIANT(to_rgb, c_01_plain, .needs = 0, .numerics = NUM_F32);
