// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear.c   Adapter of denoise/linear. */
#include "op_help.h"

enum { X, W, BIAS, GATE, AUX, Y };

static const char *const epilogues[] = {"none", "gelu", "silu", "add", "gate", "mul", NULL};

static bool has_aux(const struct linear_problem *p)
{
    return p->epilogue == EPI_ADD || p->epilogue == EPI_GATE || p->epilogue == EPI_MUL;
}

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct linear_problem *p = problem;
    const struct extent all[] = {
        [X] = {p->S, p->K},
        [W] = {p->O, p->K},
        [BIAS] = {tensor_given(&p->bias), p->O},
        [GATE] = {p->epilogue == EPI_GATE ? p->G : 0, p->O},
        [AUX] = {has_aux(p) ? p->S : 0, p->O},
        [Y] = {p->S, p->O},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct linear_problem *)problem)->O;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    struct linear_problem *p = problem;
    p->aux.elem = p->y.elem;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct linear_problem *p = problem;
    TRY(check_out("linear", p->y.elem, p->x.elem, fault));
    return check_divides("linear", "G", p->G, "S", p->S, fault);
}

static double flops(const void *problem)
{
    const struct linear_problem *p = problem;
    return 2.0 * (double)p->S * (double)p->K * (double)p->O;
}

OP_REF(linear)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct linear_problem *p = problem;
    return axis ? 0 : cut_rows(&p->S, &p->G, units);
}

static const char *const verify_shapes[] = {"linear:S=1,K=16,O=16,type=f32",
                                            "linear:S=1,K=129,O=77,epilogue=silu,type=f32",
                                            "linear:S=67,K=130,O=101,type=f32",
                                            "linear:S=33,K=64,O=200,epilogue=gelu,type=f32",
                                            "linear:S=24,K=65,O=48,G=3,epilogue=gate,type=f32",
                                            "linear:S=13,K=31,O=9,epilogue=mul,bias=0,type=f32",
                                            "linear:S=7,K=300,O=18,epilogue=add,type=f32",
                                            "linear:S=19,K=96,O=50,type=bf16",
                                            "linear:S=20,K=80,O=33,epilogue=gate,out=f32,type=bf16",
                                            "linear:S=9,K=72,O=41,epilogue=gelu,bias=0,type=bf16",
                                            "linear:S=11,K=50,O=35,epilogue=add,type=f16",
                                            "linear:S=3,K=1,O=1,epilogue=add,out=f32,type=f16",
                                            "linear:S=130,K=136,O=260,epilogue=gelu,type=bf16",
                                            NULL};

const struct op_info op_info_linear = {
    OP_IDENTITY(linear, denoise),
    .summary = "linear layer with bias and epilogue",
    .dim = {COUNT(linear, S, DIM_REQUIRED), COUNT(linear, K, DIM_REQUIRED),
            COUNT(linear, O, DIM_REQUIRED), COUNT(linear, G, 1),
            SYMBOL(linear, epilogue, epilogues), FLAG("bias", BIAS, 1),
            TYPE_OF("out", Y, ELEM_NONE)},
    .tensor = {TENSOR(linear, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(linear, w, ROLE_WEIGHT, OPERAND_FAN_IN),
               TENSOR(linear, bias, ROLE_WEIGHT, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               TENSOR(linear, gate, ROLE_IN, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               TENSOR(linear, aux, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               OUTPUT(linear, y, AUX, FREE_STRIDE)},
    /* Tensor cores cut the running f32 sum off instead of rounding it, at every 8 or 16 products:
     * on average half of its last bit, always towards 0. Over K = 13824 that adds up to about 5e-5
     * of the sum where the output keeps f32; the first row that fits counts. */
    .tolerance = {{ELEM_F32, NUM_BF16, 2, 64, 1e-4},
                  {ELEM_F32, NUM_F16, 2, 64, 1e-4},
                  TOLERANCE_SUMS},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "linear:S=780,K=768,O=3072,epilogue=gelu,type=f32",
};
