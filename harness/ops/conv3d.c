// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d.c   Adapter of decode/conv3d. */
#include "op_help.h"

enum { X, PAST, W, BIAS, AUX, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct conv3d_problem *p = problem;
    int64_t frame = times(p->H, p->W);
    int64_t out = times(conv3d_To(p), times(conv3d_Ho(p), conv3d_Wo(p)));
    const struct extent all[] = {
        [X] = {times(p->T, frame), p->C},
        [PAST] = {times(p->P, frame), p->C},
        [W] = {p->O, times(p->C, p->kt * p->kh * p->kw)},
        [BIAS] = {tensor_given(&p->bias), p->O},
        [AUX] = {tensor_given(&p->aux) ? out : 0, p->O},
        [Y] = {out, p->O},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct conv3d_problem *)problem)->O;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    struct conv3d_problem *p = problem;
    if (tensor_given(&p->aux))
        p->aux.elem = p->y.elem;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct conv3d_problem *p = problem;
    TRY(check_out("conv3d", p->y.elem, p->x.elem, fault));
    TRY(check_past("conv3d", p->P, p->lead, fault));
    TRY(check_window("conv3d", "frames", p->lead + p->T, p->kt, fault));
    TRY(check_window("conv3d", "lines", p->H + p->pad_top + p->pad_bottom, p->kh, fault));
    return check_window("conv3d", "columns", p->W + p->pad_left + p->pad_right, p->kw, fault);
}

static double flops(const void *problem)
{
    const struct conv3d_problem *p = problem;
    double pixels = (double)conv3d_To(p) * (double)conv3d_Ho(p) * (double)conv3d_Wo(p);
    return 2.0 * pixels * (double)p->O * (double)p->C * (double)(p->kt * p->kh * p->kw);
}

OP_REF(conv3d)

/* Never in time: the first frames meet zeros, and their share must stay. */
static int64_t cut(void *problem, int axis, int64_t units)
{
    struct conv3d_problem *p = problem;
    if (axis == 0)
        return cut_window(&p->H, &p->pad_top, &p->pad_bottom, p->kh, p->sh, units);
    return axis > 1 ? 0 : cut_window(&p->W, &p->pad_left, &p->pad_right, p->kw, p->sw, units);
}

static const char *const verify_shapes[] = {
    "conv3d:T=1,H=1,W=1,C=16,O=16,type=f32",
    "conv3d:T=1,H=7,W=9,C=5,O=13,type=f32",
    "conv3d:T=2,H=6,W=11,C=18,O=10,P=2,type=f32",
    "conv3d:T=3,H=5,W=14,C=32,O=35,P=1,aux=1,type=f32",
    "conv3d:T=1,H=13,W=8,C=24,O=3,P=2,bias=0,type=f32",
    "conv3d:T=4,H=3,W=6,C=12,O=24,kh=1,kw=1,P=2,pad_top=0,pad_left=0,pad_bottom=0,"
    "pad_right=0,type=f32",
    "conv3d:T=2,H=9,W=7,C=20,O=17,kt=1,lead=0,type=f32",
    "conv3d:T=2,H=5,W=5,C=33,O=9,kt=1,kh=1,kw=1,lead=0,pad_top=0,pad_left=0,pad_bottom=0,"
    "pad_right=0,type=f32",
    "conv3d:T=4,H=4,W=5,C=8,O=8,kh=1,kw=1,st=2,lead=1,P=1,pad_top=0,pad_left=0,pad_bottom=0,"
    "pad_right=0,type=f32",
    "conv3d:T=1,H=9,W=12,C=10,O=11,kt=1,sh=2,sw=2,lead=0,pad_top=0,pad_left=0,type=f32",
    "conv3d:T=2,H=6,W=10,C=16,O=19,P=1,type=bf16",
    "conv3d:T=1,H=8,W=9,C=34,O=12,P=2,aux=1,out=f32,type=bf16",
    "conv3d:T=2,H=5,W=6,C=9,O=16,P=2,type=f16",
    NULL};

const struct op_info op_info_conv3d = {
    OP_IDENTITY(conv3d, decode),
    .summary = "causal 3-D convolution over a chunk of frames",
    .dim = {COUNT(conv3d, T, DIM_REQUIRED),
            COUNT(conv3d, H, DIM_REQUIRED),
            COUNT(conv3d, W, DIM_REQUIRED),
            COUNT(conv3d, C, DIM_REQUIRED),
            COUNT(conv3d, O, DIM_REQUIRED),
            RANGE(conv3d, kt, 3, 1, 8),
            RANGE(conv3d, kh, 3, 1, 8),
            RANGE(conv3d, kw, 3, 1, 8),
            RANGE(conv3d, st, 1, 1, 8),
            RANGE(conv3d, sh, 1, 1, 8),
            RANGE(conv3d, sw, 1, 1, 8),
            RANGE(conv3d, lead, 2, 0, 64),
            RANGE(conv3d, P, 0, 0, 64),
            RANGE(conv3d, pad_top, 1, 0, 64),
            RANGE(conv3d, pad_left, 1, 0, 64),
            RANGE(conv3d, pad_bottom, 1, 0, 64),
            RANGE(conv3d, pad_right, 1, 0, 64),
            FLAG("bias", BIAS, 1),
            FLAG("aux", AUX, 0),
            TYPE_OF("out", Y, ELEM_NONE)},
    .tensor = {TENSOR(conv3d, x, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(conv3d, past, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(conv3d, w, ROLE_WEIGHT, OPERAND_FAN_IN),
               TENSOR(conv3d, bias, ROLE_WEIGHT, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               TENSOR(conv3d, aux, ROLE_IN, OPERAND_UNIFORM), OUTPUT(conv3d, y, AUX)},
    .tolerance = {TOLERANCE_SUMS, TOLERANCE_WINOGRAD},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "conv3d:T=4,H=30,W=52,C=64,O=64,P=2,type=f32",
};
