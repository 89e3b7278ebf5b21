// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* embedding/c_01_plain.c
 * Idea:     one row of the table per token, converted on the way.
 * Differs:  the first of its op.   Bound: memory, at random addresses.
 * Source:   the contract. */
#include "target/c.h"
#include "text/embedding/embedding.h"

static bool plan(const struct embedding_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->ids, ELEM_I32))
        need->reason = "ids must be i32";
    else if (!c_is_float(&p->table) || !c_is_float(&p->y))
        need->reason = "table and y must be f32, bf16 or f16";
    return !need->reason;
}

static enum status run(const struct embedding_problem *p, const struct exec *exec)
{
    const int32_t *ids = (const int32_t *)p->ids.data;

#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++)
        for (int64_t c = 0; c < p->C; c += C_CHUNK) {
            int64_t part = c_min(C_CHUNK, p->C - c);
            float buffer[C_CHUNK];
            const float *row = c_view(&p->table, ids[s] * p->C + c, part, buffer);
            c_store_row(&p->y, s * p->y.stride + c, row, part);
        }
    return ST_OK;
}

VARIANT(embedding, c_01_plain, .needs = 0, .numerics = NUM_F32);
