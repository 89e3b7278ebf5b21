// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample.c   Adapter of decode/upsample. */
#include "op_help.h"

enum { X, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct upsample_problem *p = problem;
    int64_t pixels = times(p->T, times(p->H, p->W));
    const struct extent all[] = {
        [X] = {pixels, times(p->ft, p->C)},
        [Y] = {times(pixels, p->ft * p->fs * p->fs), p->C},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct upsample_problem *)problem)->C;
}

OP_REF(upsample)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct upsample_problem *p = problem;
    return axis > 1 ? 0 : cut_count(axis ? &p->H : &p->T, units);
}

static const char *const verify_shapes[] = {"upsample:T=1,H=1,W=1,C=16,type=f32",
                                            "upsample:T=2,H=5,W=7,C=19,type=f32",
                                            "upsample:T=3,H=4,W=3,C=9,ft=2,type=f32",
                                            "upsample:T=3,H=3,W=6,C=20,ft=2,fs=1,type=bf16",
                                            "upsample:T=1,H=5,W=4,C=33,type=f16",
                                            "upsample:T=2,H=3,W=3,C=5,fs=1,type=f32",
                                            NULL};

const struct op_info op_info_upsample = {
    OP_IDENTITY(upsample, decode),
    .summary = "nearest upsampling and channels into frames",
    .dim = {COUNT(upsample, T, DIM_REQUIRED), COUNT(upsample, H, DIM_REQUIRED),
            COUNT(upsample, W, DIM_REQUIRED), COUNT(upsample, C, DIM_REQUIRED),
            RANGE(upsample, ft, 1, 1, 2), RANGE(upsample, fs, 2, 1, 2)},
    .tensor = {TENSOR(upsample, x, ROLE_IN, OPERAND_UNIFORM), OUTPUT(upsample, y, -1)},
    .tolerance = {TOLERANCE_EXACT},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "upsample:T=4,H=30,W=52,C=64,type=f32",
};
