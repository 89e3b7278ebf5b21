// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* to_rgb.c   Adapter of decode/to_rgb. */
#include "op_help.h"

enum { X, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct to_rgb_problem *p = problem;
    const struct extent all[] = {
        [X] = {times(p->T, times(p->H, p->W)), 3},
        [Y] = {times(p->T, times(p->Ho, p->Wo)), 3},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)problem;
    (void)index;
    return 3;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct to_rgb_problem *p = problem;
    if (p->Ho > p->H || p->Wo > p->W)
        return fault_set(fault, ST_BAD_INPUT,
                         "shape to_rgb: Ho=%lld, Wo=%lld must fit into H=%lld, W=%lld",
                         (long long)p->Ho, (long long)p->Wo, (long long)p->H, (long long)p->W);
    if (p->y.elem != ELEM_U8 && p->y.elem != ELEM_F32)
        return fault_set(fault, ST_BAD_INPUT, "shape to_rgb: out=%s must be u8 or f32",
                         elem_name(p->y.elem));
    return ST_OK;
}

/* Clamp 2, scale and shift 2. */
OP_REF(to_rgb)

/* Lines: what is cropped below goes first. */
static int64_t cut(void *problem, int axis, int64_t units)
{
    struct to_rgb_problem *p = problem;
    if (axis > 1)
        return 0;
    if (axis && units)
        p->H = units;
    return cut_count(axis ? &p->Ho : &p->T, units);
}

static const char *const verify_shapes[] = {
    "to_rgb:T=1,H=1,W=1,Ho=1,Wo=1,type=f32",           "to_rgb:T=2,H=9,W=16,Ho=7,Wo=13,type=f32",
    "to_rgb:T=2,H=5,W=11,Ho=5,Wo=10,out=f32,type=f32", "to_rgb:T=1,H=8,W=8,Ho=8,Wo=7,type=bf16",
    "to_rgb:T=3,H=4,W=9,Ho=3,Wo=9,out=f32,type=f16",   NULL};

const struct op_info op_info_to_rgb = {
    OP_IDENTITY(to_rgb, decode),
    .summary = "decoded values to frames, cropped",
    .dim = {COUNT(to_rgb, T, DIM_REQUIRED), COUNT(to_rgb, H, DIM_REQUIRED),
            COUNT(to_rgb, W, DIM_REQUIRED), COUNT(to_rgb, Ho, DIM_REQUIRED),
            COUNT(to_rgb, Wo, DIM_REQUIRED), TYPE_OF("out", Y, ELEM_U8)},
    .tensor = {TENSOR(to_rgb, x, ROLE_IN, OPERAND_UNIFORM), OUTPUT(to_rgb, y, -1)},
    /* u8: with the half of elem_min_normal at most one step, where f32 meets a tie. */
    .tolerance = {{ELEM_U8, NUM_F32, 0, 0.5, 2e-2}, {ELEM_F32, NUM_F32, 1, 1, 1e-6}},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "to_rgb:T=4,H=240,W=416,Ho=240,Wo=416,type=f32",
};
