// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unpatchify/c_01_plain.c
 * Idea:     token by token, one row of the patch at a time: a contiguous run of pixels where the
 *           channel is fastest, a small transposition where it is slowest.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "attention/unpatchify/unpatchify.h"
#include "target/c.h"

static bool plan(const struct unpatchify_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, ELEM_F32))
        need->reason = "x must be f32, bf16 or f16 and y f32";
    return !need->reason;
}

/* One row of a patch with the channel slowest: `from` counts in x, channels are `cells` apart. */
static void spread(const struct unpatchify_problem *p, int64_t from, float *y)
{
    int64_t cells = p->pt * p->ph * p->pw;
    for (int64_t k = 0; k < p->pw; k++)
        for (int64_t c = 0; c < p->C; c++)
            y[k * p->C + c] = c_load(&p->x, from + c * cells + k);
}

static enum status run(const struct unpatchify_problem *p, const struct exec *exec)
{
    int64_t rows = p->H / p->ph, columns = p->W / p->pw, run_elems = p->pw * p->C;
    int64_t tokens = p->B * (p->T / p->pt) * rows * columns;
    float *y = (float *)p->y.data;

#pragma omp parallel for num_threads(c_threads(exec, tokens)) schedule(static)
    for (int64_t s = 0; s < tokens; s++) {
        int64_t frame = s / columns / rows * p->pt;
        int64_t row = s / columns % rows * p->ph, column = s % columns * p->pw;
        for (int64_t i = 0; i < p->pt; i++)
            for (int64_t j = 0; j < p->ph; j++) {
                int64_t pixel = ((frame + i) * p->H + row + j) * p->W + column;
                int64_t first = s * p->x.stride, line = i * p->ph + j;
                if (p->channel == UNPATCHIFY_SLOWEST)
                    spread(p, first + line * p->pw, y + pixel * p->C);
                else
                    c_load_row(y + pixel * p->C, &p->x, first + line * run_elems, run_elems);
            }
    }
    return ST_OK;
}

VARIANT(unpatchify, c_01_plain, .needs = 0, .numerics = NUM_F32);
