// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* average_down.c   Adapter of decode/average_down. */
#include "op_help.h"

enum { X, AUX, Y };

static const char *const orders[] = {"lines", "columns", NULL};

static int64_t pixels_out(const struct average_down_problem *p)
{
    return times((p->lead + p->T) / p->ft, times(p->H / p->fs, p->W / p->fs));
}

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct average_down_problem *p = problem;
    const struct extent all[] = {
        [X] = {times(p->T, times(p->H, p->W)), p->C},
        [AUX] = {tensor_given(&p->aux) ? pixels_out(p) : 0, p->O},
        [Y] = {pixels_out(p), p->O},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct average_down_problem *)problem)->O;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct average_down_problem *p = problem;
    TRY(check_divides("average_down", "fs", p->fs, "H", p->H, fault));
    TRY(check_divides("average_down", "fs", p->fs, "W", p->W, fault));
    TRY(check_divides("average_down", "ft", p->ft, "lead + T", p->lead + p->T, fault));
    return check_divides("average_down", "O", p->O, "C ft fs fs",
                         times(p->C, p->ft * p->fs * p->fs), fault);
}

OP_REF(average_down)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct average_down_problem *p = problem;
    return axis ? 0 : cut_cells(&p->H, p->fs, units);
}

static const char *const verify_shapes[] = {
    "average_down:T=1,H=2,W=2,C=1,O=1,type=f32",
    "average_down:T=3,H=6,W=10,C=12,O=12,type=f32",
    "average_down:T=3,H=4,W=6,C=10,O=20,ft=2,lead=1,aux=1,type=f32",
    "average_down:T=4,H=6,W=4,C=18,O=36,ft=2,aux=1,type=bf16",
    "average_down:T=2,H=5,W=7,C=33,O=33,fs=1,aux=1,type=f32",
    "average_down:T=2,H=6,W=8,C=3,O=12,order=columns,type=f32",
    "average_down:T=1,H=8,W=6,C=3,O=12,order=columns,type=bf16",
    "average_down:T=1,H=4,W=6,C=16,O=8,ft=2,lead=1,aux=1,type=f16",
    NULL};

const struct op_info op_info_average_down = {
    OP_IDENTITY(average_down, decode),
    .summary = "fold frames and pixels into channels, averaged",
    .dim = {COUNT(average_down, T, DIM_REQUIRED), COUNT(average_down, H, DIM_REQUIRED),
            COUNT(average_down, W, DIM_REQUIRED), COUNT(average_down, C, DIM_REQUIRED),
            COUNT(average_down, O, DIM_REQUIRED), RANGE(average_down, ft, 1, 1, 2),
            RANGE(average_down, fs, 2, 1, 2), RANGE(average_down, lead, 0, 0, 1),
            SYMBOL(average_down, order, orders), FLAG("aux", AUX, 0)},
    .tensor = {TENSOR(average_down, x, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(average_down, aux, ROLE_IN, OPERAND_UNIFORM), OUTPUT(average_down, y, AUX)},
    .tolerance = {TOLERANCE_FEW},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "average_down:T=4,H=88,W=160,C=160,O=320,ft=2,aux=1,type=f32",
};
