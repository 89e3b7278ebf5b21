// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* time_embed.c   Adapter of denoise/time_embed. */
#include "op_help.h"

enum { T, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct time_embed_problem *p = problem;
    const struct extent all[] = {[T] = {1, p->S}, [Y] = {p->S, p->C}};
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct time_embed_problem *)problem)->C;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct time_embed_problem *p = problem;
    TRY(check_even("time_embed", "C", p->C, fault));
    if (p->C / 2 > p->drop)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape time_embed: C=%lld must be at least 4 with drop=1",
                     (long long)p->C);
}

OP_REF(time_embed)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct time_embed_problem *p = problem;
    return axis ? 0 : cut_count(&p->S, units);
}

static const char *const verify_shapes[] = {
    "time_embed:S=1,C=256,type=f32",       "time_embed:S=7,C=2,type=f32",
    "time_embed:S=3,C=34,drop=1,type=f32", "time_embed:S=5,C=100,type=bf16",
    "time_embed:S=4,C=66,drop=1,type=f16", NULL};

const struct op_info op_info_time_embed = {
    OP_IDENTITY(time_embed, denoise),
    .summary = "sinusoidal embedding of diffusion times",
    .dim = {COUNT(time_embed, S, DIM_REQUIRED), COUNT(time_embed, C, DIM_REQUIRED),
            RANGE(time_embed, drop, 0, 0, 1)},
    .tensor = {TENSOR(time_embed, t, ROLE_IN, OPERAND_TIME, ALWAYS(ELEM_F32)),
               OUTPUT(time_embed, y, -1, FREE_STRIDE)},
    .tolerance = {TOLERANCE_FEW},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "time_embed:S=1,C=256,type=f32",
};
