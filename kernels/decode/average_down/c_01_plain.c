// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* average_down/c_01_plain.c
 * Idea:     one output line at a time; the channels of a pixel walk through the cell's numbers,
 *           whose offsets in x stand in a table of at most 8.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "decode/average_down/average_down.h"
#include "target/c.h"

#define CELL_MOST 8

static bool plan(const struct average_down_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, p->x.elem) ||
        (tensor_given(&p->aux) && !c_is(&p->aux, p->x.elem)))
        need->reason = "x, aux and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

/* Where number n of a cell stands, from the cell's first pixel on; -1: in a zero frame. */
static void cell_table(const struct average_down_problem *p, int64_t t, int64_t at[CELL_MOST])
{
    const int64_t cell = p->ft * p->fs * p->fs;
    for (int64_t n = 0; n < cell; n++) {
        const int64_t slow = n / p->fs % p->fs, fast = n % p->fs;
        const int64_t j = p->order == CELL_LINES ? slow : fast;
        const int64_t k = p->order == CELL_LINES ? fast : slow;
        const int64_t frame = t * p->ft + n / (p->fs * p->fs) - p->lead;
        at[n] = frame < 0 ? -1 : ((frame * p->H + j) * p->W + k) * p->C;
    }
}

static void pixel_run(const struct average_down_problem *p, const int64_t at[CELL_MOST],
                      int64_t from, int64_t to)
{
    const int64_t cell = p->ft * p->fs * p->fs, G = p->C * cell / p->O;
    const float share = 1.0f / (float)G;
    for (int64_t o = 0; o < p->O; o++) {
        float sum = 0;
        for (int64_t n = o * G; n < (o + 1) * G; n++)
            if (at[n % cell] >= 0)
                sum += c_load(&p->x, from + at[n % cell] + n / cell);
        sum *= share;
        if (tensor_given(&p->aux))
            sum += c_load(&p->aux, to + o);
        c_store(&p->y, to + o, sum);
    }
}

static enum status run(const struct average_down_problem *p, const struct exec *exec)
{
    const int64_t Ho = p->H / p->fs, Wo = p->W / p->fs, lines = (p->lead + p->T) / p->ft * Ho;
#pragma omp parallel for num_threads(c_threads(exec, lines)) schedule(static)
    for (int64_t line = 0; line < lines; line++) {
        int64_t at[CELL_MOST];
        cell_table(p, line / Ho, at);
        for (int64_t q = 0; q < Wo; q++)
            pixel_run(p, at, (line % Ho * p->W + q) * p->fs * p->C, (line * Wo + q) * p->O);
    }
    return ST_OK;
}

VARIANT(average_down, c_01_plain, .needs = 0, .numerics = NUM_F32);
