// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample_knobs.c   Planted for `tune`: much faster than the plain variant under one setting of its
 * knobs, slower under its default, and wrong under those that look fastest of all.
 * Idea:     twice as wide and high, one channel: pairs are written without a division per pixel.
 * Knobs:    passes: how often each row is made again; rows_left: rows of each frame left undone.
 * Source:   the contract. */
#include <string.h>

#include "decode/upsample/upsample.h"

enum { KNOB_PASSES, KNOB_ROWS_LEFT };

static bool plan(const struct upsample_problem *p, const int64_t *knob, struct need *need)
{
    if (p->x.elem != ELEM_F32 || p->y.elem != ELEM_F32 || p->C != 1 || p->fs != 2 || p->ft != 1)
        need->reason = "x and y must be f32, C 1, fs 2 and ft 1";
    else if (knob[KNOB_PASSES] == 3)
        need->reason = "never makes a row three times";
    return !need->reason;
}

static void make_row(const struct upsample_problem *p, int64_t row)
{
    const float *x = (const float *)p->x.data + row / 2 * p->W;
    float *y = (float *)p->y.data + row * 2 * p->W;
    for (int64_t q = 0; q < p->W; q++)
        y[2 * q] = y[2 * q + 1] = x[q];
}

static enum status run(const struct upsample_problem *p, const struct exec *exec)
{
    const int64_t left = exec->knob[KNOB_ROWS_LEFT], height = 2 * p->H;
    for (int64_t row = 0; row < p->T * height; row++)
        for (int64_t pass = 0; pass < exec->knob[KNOB_PASSES] && row % height >= left; pass++)
            make_row(p, row);
    return ST_OK;
}

VARIANT(upsample, knobs_91_pairs, .numerics = NUM_F32,
        .knob = {{"passes", 3, {200, 1, 3}}, {"rows_left", 3, {0, 1, 1000000}}});
PLUGIN(&variant_upsample_knobs_91_pairs);
