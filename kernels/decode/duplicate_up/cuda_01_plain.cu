// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duplicate_up/cuda_01_plain.cu
 * Idea:     a thread per output channel, neighbouring threads along the channels of a pixel.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   the contract.
 * Floor:    T=2, 88 x 160, C=1024 to 176 x 320 and twice the frames of bf16 with aux are 980 MB,
 *           0.20 ms at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "decode/duplicate_up/duplicate_up.h"
#include "target/cuda_rows.h"

static bool plan(const struct duplicate_up_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is_float(&p->x) || !cuda_is(&p->y, p->x.elem) ||
        (tensor_given(&p->aux) && !cuda_is(&p->aux, p->x.elem)))
        need->reason = "x, aux and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

template <typename E> static __global__ void duplicate(const struct duplicate_up_problem p)
{
    const int64_t Ho = p.H * p.fs, Wo = p.W * p.fs, row = cuda_row();
    if (row >= (p.T * p.ft - p.skip) * Ho * Wo)
        return;
    const int64_t frame = row / (Ho * Wo) + p.skip, r = row / Wo % Ho, q = row % Wo;
    const int64_t cell = p.ft * p.fs * p.fs, repeats = p.O * cell / p.C;
    const int64_t j = r % p.fs, k = q % p.fs;
    const int64_t place = frame % p.ft * p.fs * p.fs + (p.order ? k * p.fs + j : j * p.fs + k);
    const E *x = (const E *)p.x.data + ((frame / p.ft * p.H + r / p.fs) * p.W + q / p.fs) * p.C;
    for (int64_t o = cuda_item(); o < p.O; o += cuda_item_step()) {
        float v = to_float(x[(o * cell + place) / repeats]);
        if (cuda_given(&p.aux))
            v += to_float(((const E *)p.aux.data)[row * p.O + o]);
        ((E *)p.y.data)[row * p.O + o] = from_float<E>(v);
    }
}

static enum status run(const struct duplicate_up_problem *p, const struct exec *exec)
{
    const int64_t rows = (p->T * p->ft - p->skip) * p->H * p->fs * p->W * p->fs;
    const struct cuda_rows g = cuda_rows_of(rows, p->O);
    CUDA_TYPED(p->x.elem, E, LAUNCH(duplicate<E>, g.grid, g.block, 0, exec->stream, *p));
    return LAUNCHED();
}

VARIANT(duplicate_up, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
