// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duplicate_up.c   Adapter of decode/duplicate_up. */
#include "op_help.h"

enum { X, AUX, Y };

static const char *const orders[] = {"lines", "columns", NULL};

static int64_t pixels_out(const struct duplicate_up_problem *p)
{
    return times(times(p->T, p->ft) - p->skip, times(times(p->H, p->fs), times(p->W, p->fs)));
}

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct duplicate_up_problem *p = problem;
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
    return ((const struct duplicate_up_problem *)problem)->O;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct duplicate_up_problem *p = problem;
    if (p->skip >= times(p->T, p->ft))
        return fault_set(fault, ST_BAD_INPUT,
                         "shape duplicate_up: skip=%lld leaves none of T ft=%lld frames",
                         (long long)p->skip, (long long)times(p->T, p->ft));
    return check_divides("duplicate_up", "C", p->C, "O ft fs fs",
                         times(p->O, p->ft * p->fs * p->fs), fault);
}

OP_REF(duplicate_up)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct duplicate_up_problem *p = problem;
    return axis ? 0 : cut_count(&p->H, units);
}

static const char *const verify_shapes[] = {
    "duplicate_up:T=1,H=1,W=1,C=1,O=1,type=f32",
    "duplicate_up:T=2,H=3,W=5,C=20,O=20,ft=2,aux=1,type=f32",
    "duplicate_up:T=1,H=3,W=4,C=18,O=18,ft=2,skip=1,aux=1,type=bf16",
    "duplicate_up:T=2,H=4,W=3,C=34,O=17,aux=1,type=f32",
    "duplicate_up:T=2,H=5,W=7,C=9,O=9,fs=1,aux=1,type=f32",
    "duplicate_up:T=3,H=3,W=4,C=12,O=3,order=columns,type=f32",
    "duplicate_up:T=1,H=3,W=5,C=12,O=3,order=columns,type=f16",
    "duplicate_up:T=3,H=2,W=3,C=8,O=4,ft=2,skip=1,type=f16",
    NULL};

const struct op_info op_info_duplicate_up = {
    OP_IDENTITY(duplicate_up, decode),
    .summary = "repeat channels and unfold them into frames and pixels",
    .dim = {COUNT(duplicate_up, T, DIM_REQUIRED), COUNT(duplicate_up, H, DIM_REQUIRED),
            COUNT(duplicate_up, W, DIM_REQUIRED), COUNT(duplicate_up, C, DIM_REQUIRED),
            COUNT(duplicate_up, O, DIM_REQUIRED), RANGE(duplicate_up, ft, 1, 1, 2),
            RANGE(duplicate_up, fs, 2, 1, 2), RANGE(duplicate_up, skip, 0, 0, 1),
            SYMBOL(duplicate_up, order, orders), FLAG("aux", AUX, 0)},
    .tensor = {TENSOR(duplicate_up, x, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(duplicate_up, aux, ROLE_IN, OPERAND_UNIFORM), OUTPUT(duplicate_up, y, AUX)},
    .tolerance = {TOLERANCE_FEW},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "duplicate_up:T=2,H=88,W=160,C=128,O=128,ft=2,aux=1,type=f32",
};
