// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_silu/c_01_plain.c
 * Idea:     pixel by pixel: sum of squares, then norm and SiLU in one pass.
 * Differs:  the first of its op.   Bound: expf, memory without SiLU.
 * Source:   the contract. */
#include "decode/norm_silu/norm_silu.h"
#include "target/c.h"

static bool plan(const struct norm_silu_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    else if (!c_is(&p->gamma, ELEM_F32))
        need->reason = "gamma must be f32";
    return !need->reason;
}

static enum status run(const struct norm_silu_problem *p, const struct exec *exec)
{
#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++)
        c_norm_silu_pixel(&p->x, s * p->C, p->gamma.data, p->C, p->silu, &p->y, s * p->C);
    return ST_OK;
}

VARIANT(norm_silu, c_01_plain, .needs = 0, .numerics = NUM_F32);
