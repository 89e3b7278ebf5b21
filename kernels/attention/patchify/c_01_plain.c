// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchify/c_01_plain.c
 * Idea:     token by token, written in order, read with the stride of a channel.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "attention/patchify/patchify.h"
#include "target/c.h"

static bool plan(const struct patchify_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->x, ELEM_F32) || !c_is_float(&p->y))
        need->reason = "x must be f32 and y f32, bf16 or f16";
    return !need->reason;
}

static enum status run(const struct patchify_problem *p, const struct exec *exec)
{
    int64_t rows = p->H / p->ph, columns = p->W / p->pw;
    int64_t tokens = p->B * (p->T / p->pt) * rows * columns;
    const float *x = (const float *)p->x.data;

#pragma omp parallel for num_threads(c_threads(exec, tokens)) schedule(static)
    for (int64_t s = 0; s < tokens; s++) {
        /* clips follow each other in whole patches of frames: s counts through all of them */
        int64_t frame = s / columns / rows * p->pt;
        int64_t row = s / columns % rows * p->ph, column = s % columns * p->pw;
        int64_t to = s * p->y.stride;
        for (int64_t c = 0; c < p->C; c++)
            for (int64_t i = 0; i < p->pt; i++)
                for (int64_t j = 0; j < p->ph; j++) {
                    int64_t pixel = ((frame + i) * p->H + row + j) * p->W + column;
                    for (int64_t k = 0; k < p->pw; k++)
                        c_store(&p->y, to++, x[(pixel + k) * p->C + c]);
                }
    }
    return ST_OK;
}

VARIANT(patchify, c_01_plain, .needs = 0, .numerics = NUM_F32);
