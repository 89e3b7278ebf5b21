// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* embedding/cuda_01_plain.cu
 * Idea:     a thread per four elements, or per element where widths are odd, converted on the way.
 * Differs:  the first of its op on a GPU.   Bound: memory, at random rows.
 * Source:   the contract.
 * Floor:    S=512, C=4096 of bf16 are 8.4 MB, 1.7 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "target/cuda_rows.h"
#include "text/embedding/embedding.h"

static bool plan(const struct embedding_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->ids, ELEM_I32))
        need->reason = "ids must be i32";
    else if (!cuda_is_float(&p->table) || !cuda_is_float(&p->y))
        need->reason = "table and y must be f32, bf16 or f16";
    return !need->reason;
}

template <typename X, typename Y, int N>
static __global__ void embedding(const struct embedding_problem p)
{
    const int64_t s = cuda_row();
    if (s >= p.S)
        return;
    const X *row = (const X *)p.table.data + ((const int32_t *)p.ids.data)[s] * p.C;
    Y *y = (Y *)p.y.data + s * p.y.stride;
    for (int64_t c = cuda_item() * N; c < p.C; c += cuda_item_step() * N) {
        float v[N];
        cuda_load(v, row + c);
        cuda_store(y + c, v);
    }
}

template <typename X, typename Y>
static void launch(const struct embedding_problem *p, const struct exec *exec)
{
    const bool fours = p->C % 4 == 0 && cuda_in_fours(&p->table) && cuda_in_fours(&p->y);
    const struct cuda_rows g = cuda_rows_of(p->S, fours ? p->C / 4 : p->C);
    if (fours)
        LAUNCH((embedding<X, Y, 4>), g.grid, g.block, 0, exec->stream, *p);
    else
        LAUNCH((embedding<X, Y, 1>), g.grid, g.block, 0, exec->stream, *p);
}

static enum status run(const struct embedding_problem *p, const struct exec *exec)
{
    CUDA_TYPED(p->table.elem, X, CUDA_TYPED(p->y.elem, Y, launch<X, Y>(p, exec)));
    return LAUNCHED();
}

VARIANT(embedding, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
