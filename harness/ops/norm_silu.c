// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_silu.c   Adapter of decode/norm_silu. */
#include "op_help.h"

enum { X, GAMMA, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct norm_silu_problem *p = problem;
    const struct extent all[] = {[X] = {p->S, p->C}, [GAMMA] = {1, p->C}, [Y] = {p->S, p->C}};
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct norm_silu_problem *)problem)->C;
}

/* Square and add, scale by factor and gamma; SiLU as elementwise counts it. */
OP_REF(norm_silu)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct norm_silu_problem *p = problem;
    return axis ? 0 : cut_count(&p->S, units);
}

static const char *const verify_shapes[] = {
    "norm_silu:S=1,C=16,type=f32",   "norm_silu:S=35,C=96,type=f32",
    "norm_silu:S=19,C=101,type=f32", "norm_silu:S=7,C=384,silu=0,type=f32",
    "norm_silu:S=13,C=33,type=bf16", "norm_silu:S=9,C=50,silu=0,type=f16",
    "norm_silu:S=5,C=1,type=f32",    NULL};

const struct op_info op_info_norm_silu = {
    OP_IDENTITY(norm_silu, decode),
    .summary = "channel norm of the video autoencoder with SiLU",
    .dim = {COUNT(norm_silu, S, DIM_REQUIRED), COUNT(norm_silu, C, DIM_REQUIRED),
            RANGE(norm_silu, silu, 1, 0, 1)},
    .tensor = {TENSOR(norm_silu, x, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(norm_silu, gamma, ROLE_WEIGHT, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               OUTPUT(norm_silu, y, X)},
    .tolerance = {TOLERANCE_SUMS},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "norm_silu:S=6240,C=64,type=f32",
};
