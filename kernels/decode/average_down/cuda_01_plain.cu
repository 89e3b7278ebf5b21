// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* average_down/cuda_01_plain.cu
 * Idea:     a thread per output channel, neighbouring threads along the channels of a pixel, whose
 *           sources are neighbours too.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    T=4, 176 x 320, C=160 to O=320 of bf16 with aux are 108 MB, 23 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "decode/average_down/average_down.h"
#include "target/cuda_rows.h"

static bool plan(const struct average_down_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, p->x.elem) ||
        (tensor_given(&p->aux) && !cuda_is(&p->aux, p->x.elem)))
        need->reason = "x, aux and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

/* Number n of the cell whose first line and column are given; zero frames hold 0. */
template <typename E>
GPU_FN float cell_value(const struct average_down_problem *p, int64_t t, int64_t line,
                        int64_t column, int64_t n)
{
    const int fs = (int)p->fs, cell = (int)p->ft * fs * fs, in_cell = (int)(n % cell);
    const int slow = in_cell / fs % fs, fast = in_cell % fs;
    const int64_t frame = t * p->ft + in_cell / (fs * fs) - p->lead;
    if (frame < 0)
        return 0;
    const int64_t y = line + (p->order == CELL_LINES ? slow : fast);
    const int64_t x = column + (p->order == CELL_LINES ? fast : slow);
    return to_float(((const E *)p->x.data)[((frame * p->H + y) * p->W + x) * p->C + n / cell]);
}

template <typename E> static __global__ void average(const struct average_down_problem p)
{
    const int64_t Ho = p.H / p.fs, Wo = p.W / p.fs, row = cuda_row();
    const int64_t G = p.C * p.ft * p.fs * p.fs / p.O;
    if (row >= (p.lead + p.T) / p.ft * Ho * Wo)
        return;
    for (int64_t o = cuda_item(); o < p.O; o += cuda_item_step()) {
        float sum = 0;
        for (int64_t g = 0; g < G; g++)
            sum += cell_value<E>(&p, row / (Ho * Wo), row / Wo % Ho * p.fs, row % Wo * p.fs,
                                 o * G + g);
        sum *= 1.0f / (float)G;
        if (cuda_given(&p.aux))
            sum += to_float(((const E *)p.aux.data)[row * p.O + o]);
        ((E *)p.y.data)[row * p.O + o] = from_float<E>(sum);
    }
}

static enum status run(const struct average_down_problem *p, const struct exec *exec)
{
    const int64_t rows = (p->lead + p->T) / p->ft * (p->H / p->fs) * (p->W / p->fs);
    const struct cuda_rows g = cuda_rows_of(rows, p->O);
    CUDA_TYPED(p->x.elem, E, LAUNCH(average<E>, g.grid, g.block, 0, exec->stream, *p));
    return LAUNCHED();
}

VARIANT(average_down, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
