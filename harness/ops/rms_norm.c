// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rms_norm.c   Adapter of text/rms_norm. */
#include "op_help.h"

enum { X, WEIGHT, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct rms_norm_problem *p = problem;
    const struct extent all[] = {[X] = {p->S, p->C}, [WEIGHT] = {1, p->C}, [Y] = {p->S, p->C}};
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct rms_norm_problem *)problem)->C;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    ((struct rms_norm_problem *)problem)->eps = 1e-6;
}

/* Square and add, scale by 1 / root and by weight. */
OP_REF(rms_norm)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct rms_norm_problem *p = problem;
    return axis ? 0 : cut_count(&p->S, units);
}

static const char *const verify_shapes[] = {
    "rms_norm:S=1,C=16,type=f32",   "rms_norm:S=29,C=101,type=f32", "rms_norm:S=5,C=768,type=f32",
    "rms_norm:S=11,C=64,type=bf16", "rms_norm:S=7,C=35,type=f16",   NULL};

const struct op_info op_info_rms_norm = {
    OP_IDENTITY(rms_norm, text),
    .summary = "root-mean-square norm of a row",
    .dim = {COUNT(rms_norm, S, DIM_REQUIRED), COUNT(rms_norm, C, DIM_REQUIRED)},
    .tensor = {TENSOR(rms_norm, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32)),
               TENSOR(rms_norm, weight, ROLE_WEIGHT, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               OUTPUT(rms_norm, y, X, FREE_STRIDE)},
    .tolerance = {TOLERANCE_SUMS},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "rms_norm:S=512,C=768,type=f32",
};
