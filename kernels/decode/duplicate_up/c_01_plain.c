// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duplicate_up/c_01_plain.c
 * Idea:     one output line at a time, one pixel after the other.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "decode/duplicate_up/duplicate_up.h"
#include "target/c.h"

static bool plan(const struct duplicate_up_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, p->x.elem) ||
        (tensor_given(&p->aux) && !c_is(&p->aux, p->x.elem)))
        need->reason = "x, aux and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

/* Channel o of a pixel is number o cell + place of its cell's channels, each repeated. */
static void pixel_run(const struct duplicate_up_problem *p, int64_t from, int64_t place, int64_t to)
{
    const int64_t cell = p->ft * p->fs * p->fs, repeats = p->O * cell / p->C;
    for (int64_t o = 0; o < p->O; o++) {
        float v = c_load(&p->x, from + (o * cell + place) / repeats);
        if (tensor_given(&p->aux))
            v += c_load(&p->aux, to + o);
        c_store(&p->y, to + o, v);
    }
}

static enum status run(const struct duplicate_up_problem *p, const struct exec *exec)
{
    const int64_t Ho = p->H * p->fs, Wo = p->W * p->fs, lines = (p->T * p->ft - p->skip) * Ho;
#pragma omp parallel for num_threads(c_threads(exec, lines)) schedule(static)
    for (int64_t line = 0; line < lines; line++) {
        const int64_t frame = line / Ho + p->skip, r = line % Ho;
        const int64_t first = (frame / p->ft * p->H + r / p->fs) * p->W;
        for (int64_t q = 0; q < Wo; q++) {
            const int64_t j = r % p->fs, k = q % p->fs;
            const int64_t in_frame = p->order ? k * p->fs + j : j * p->fs + k;
            pixel_run(p, (first + q / p->fs) * p->C, frame % p->ft * p->fs * p->fs + in_frame,
                      (line * Wo + q) * p->O);
        }
    }
    return ST_OK;
}

VARIANT(duplicate_up, c_01_plain, .needs = 0, .numerics = NUM_F32);
