// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* norm_conv3d.c   Adapter of the composite decode/norm_conv3d. */
#include "op_help.h"

enum { X, PAST, GAMMA, W, BIAS, AUX, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct norm_conv3d_problem *p = problem;
    int64_t frame = times(p->H, p->W);
    int64_t out = times(norm_conv3d_To(p), times(norm_conv3d_Ho(p), norm_conv3d_Wo(p)));
    const struct extent all[] = {
        [X] = {times(p->T, frame), p->C},
        [PAST] = {times(p->P, frame), p->C},
        [GAMMA] = {1, p->C},
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
    return ((const struct norm_conv3d_problem *)problem)->O;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    struct norm_conv3d_problem *p = problem;
    if (tensor_given(&p->aux))
        p->aux.elem = p->y.elem;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct norm_conv3d_problem *p = problem;
    TRY(check_out("norm_conv3d", p->y.elem, p->x.elem, fault));
    TRY(check_past("norm_conv3d", p->P, p->lead, fault));
    TRY(check_window("norm_conv3d", "frames", p->lead + p->T, p->kt, fault));
    TRY(check_window("norm_conv3d", "lines", p->H + p->pad_top + p->pad_bottom, p->kh, fault));
    return check_window("norm_conv3d", "columns", p->W + p->pad_left + p->pad_right, p->kw, fault);
}

/* The convolution's; the norm in front is bound by memory. */
static double flops(const void *problem)
{
    const struct norm_conv3d_problem *p = problem;
    double taps = (double)(p->kt * p->kh * p->kw);
    double out = (double)norm_conv3d_To(p) * (double)norm_conv3d_Ho(p) * (double)norm_conv3d_Wo(p) *
                 (double)p->O;
    return 2.0 * out * (double)p->C * taps;
}

OP_REF(norm_conv3d)

/* Never in time, as conv3d. */
static int64_t cut(void *problem, int axis, int64_t units)
{
    struct norm_conv3d_problem *p = problem;
    if (axis == 0)
        return cut_window(&p->H, &p->pad_top, &p->pad_bottom, p->kh, 1, units);
    return axis > 1 ? 0 : cut_window(&p->W, &p->pad_left, &p->pad_right, p->kw, 1, units);
}

static enum status expand(struct ops *ops, const void *problem)
{
    return expand_norm_conv3d(ops, problem);
}

static const char *const verify_shapes[] = {
    "norm_conv3d:T=1,H=1,W=1,C=16,O=16,type=f32",
    "norm_conv3d:T=1,H=7,W=9,C=5,O=13,type=f32",
    "norm_conv3d:T=2,H=6,W=7,C=18,O=10,P=2,type=f32",
    "norm_conv3d:T=2,H=5,W=10,C=24,O=20,P=1,aux=1,type=f32",
    "norm_conv3d:T=2,H=5,W=6,C=12,O=3,kt=1,lead=0,bias=0,type=f32",
    "norm_conv3d:T=2,H=5,W=7,C=16,O=11,P=2,type=bf16",
    "norm_conv3d:T=1,H=6,W=5,C=20,O=9,P=1,aux=1,type=f16",
    NULL};

const struct op_info op_info_norm_conv3d = {
    OP_IDENTITY(norm_conv3d, decode),
    .summary = "channel norm and SiLU in front of conv3d",
    .composite = true,
    .dim = {COUNT(norm_conv3d, T, DIM_REQUIRED), COUNT(norm_conv3d, H, DIM_REQUIRED),
            COUNT(norm_conv3d, W, DIM_REQUIRED), COUNT(norm_conv3d, C, DIM_REQUIRED),
            COUNT(norm_conv3d, O, DIM_REQUIRED), RANGE(norm_conv3d, kt, 3, 1, 8),
            RANGE(norm_conv3d, kh, 3, 1, 8), RANGE(norm_conv3d, kw, 3, 1, 8),
            RANGE(norm_conv3d, lead, 2, 0, 64), RANGE(norm_conv3d, P, 0, 0, 64),
            RANGE(norm_conv3d, pad_top, 1, 0, 64), RANGE(norm_conv3d, pad_left, 1, 0, 64),
            RANGE(norm_conv3d, pad_bottom, 1, 0, 64), RANGE(norm_conv3d, pad_right, 1, 0, 64),
            FLAG("bias", BIAS, 1), FLAG("aux", AUX, 0), TYPE_OF("out", Y, ELEM_NONE)},
    .tensor = {TENSOR(norm_conv3d, x, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(norm_conv3d, past, ROLE_IN, OPERAND_UNIFORM),
               TENSOR(norm_conv3d, gamma, ROLE_WEIGHT, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               TENSOR(norm_conv3d, w, ROLE_WEIGHT, OPERAND_FAN_IN),
               TENSOR(norm_conv3d, bias, ROLE_WEIGHT, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               TENSOR(norm_conv3d, aux, ROLE_IN, OPERAND_UNIFORM), OUTPUT(norm_conv3d, y, AUX)},
    /* Rounding the normalised values to 16 bits costs half an eps of each term: where one term
     * carries the sum rel covers it, and where many do they cancel to well under a quarter. */
    .tolerance = {{ELEM_F32, NUM_F32, 2, 32, 1e-5},
                  {ELEM_F32, NUM_BF16, 2, 64, 2e-5},
                  {ELEM_F32, NUM_F16, 2, 64, 2e-5},
                  {ELEM_BF16, NUM_F32, 2, 0.25, 8e-3},
                  {ELEM_BF16, NUM_BF16, 2, 0.25, 8e-3},
                  {ELEM_F16, NUM_F32, 2, 0.25, 1e-3},
                  {ELEM_F16, NUM_F16, 2, 0.25, 1e-3},
                  {ELEM_F32, NUM_WINOGRAD, 2, 128, 1e-4},
                  {ELEM_BF16, NUM_WINOGRAD, 2, 0.25, 8e-3},
                  {ELEM_F16, NUM_WINOGRAD, 2, 0.25, 1e-3}},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = flops,
    .ref = ref,
    .cut = cut,
    .expand = expand,
    .verify_shapes = verify_shapes,
    .timing_shape = "norm_conv3d:T=4,H=30,W=52,C=64,O=64,P=2,type=f32",
};
