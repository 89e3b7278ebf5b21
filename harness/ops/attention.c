// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention.c   Adapter of attention/attention. */
#include "op_help.h"

#include <math.h>

enum { Q, K, V, BIAS, O };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct attention_problem *p = problem;
    int64_t width = times(p->N, p->D);
    const struct extent queries = {times(p->B, p->Sq), width}, keys = {times(p->B, p->Sk), width};
    const struct extent all[] = {
        [Q] = queries, [K] = keys,
        [V] = keys,    [BIAS] = {tensor_given(&p->bias) ? p->N : 0, p->Sq + p->Sk - 1},
        [O] = queries,
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct attention_problem *)problem)->D;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    struct attention_problem *p = problem;
    p->scale = 1 / sqrt((double)p->D);
}

static double flops(const void *problem)
{
    const struct attention_problem *p = problem;
    return 4.0 * (double)p->B * (double)p->N * (double)p->Sq * (double)p->Sk * (double)p->D;
}

/* Of random values the mean over Sk keys shrinks with the root of Sk, rounding does not. */
static double l2_growth(const void *problem)
{
    const struct attention_problem *p = problem;
    return sqrt(fmax(1, (double)p->Sk / 65536));
}

OP_REF(attention)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct attention_problem *p = problem;
    int64_t *const count[] = {&p->B, &p->N, &p->Sq};
    return axis > 2 ? 0 : cut_count(count[axis], units);
}

static const char *const verify_shapes[] = {"attention:Sq=1,N=1,D=16,type=f32",
                                            "attention:Sq=5,Sk=1,N=2,D=64,type=f32",
                                            "attention:Sq=1,Sk=77,N=3,D=16,type=bf16",
                                            "attention:Sq=33,N=2,D=64,type=f32",
                                            "attention:B=2,Sq=17,Sk=23,N=2,D=80,type=f16",
                                            "attention:Sq=97,Sk=131,N=1,D=128,type=f32",
                                            "attention:Sq=65,N=2,D=128,type=bf16",
                                            "attention:Sq=70,N=1,D=384,type=f32",
                                            "attention:Sq=29,N=4,D=64,bias=1,type=f32",
                                            "attention:Sq=13,Sk=40,N=2,D=64,bias=1,type=bf16",
                                            "attention:Sq=130,Sk=260,N=1,D=64,type=f16",
                                            "attention:Sq=7,Sk=9,N=3,D=5,type=f32",
                                            "attention:Sq=130,Sk=200,N=2,D=128,type=bf16",
                                            NULL};

const struct op_info op_info_attention = {
    OP_IDENTITY(attention, attention),
    .summary = "softmax attention of every query over every key",
    .dim = {COUNT(attention, B, 1), COUNT(attention, Sq, DIM_REQUIRED),
            COUNT(attention, Sk, DIM_PREVIOUS), COUNT(attention, N, DIM_REQUIRED),
            COUNT(attention, D, DIM_REQUIRED), FLAG("bias", BIAS, 0)},
    .tensor = {TENSOR(attention, q, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(attention, k, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(attention, v, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(attention, bias, ROLE_IN, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               OUTPUT(attention, o, -1, FREE_STRIDE)},
    /* In the 16-bit classes the probabilities may be rounded: at most eps sum p|v| / 2. */
    .tolerance = {{ELEM_F32, NUM_F32, 2, 32, 1e-5},
                  {ELEM_BF16, NUM_F32, 1, 5e-4, 8e-3},
                  {ELEM_BF16, NUM_BF16, 2, 1, 8e-3},
                  {ELEM_F16, NUM_F32, 1, 4e-3, 1e-3},
                  {ELEM_F16, NUM_F16, 2, 1, 1e-3}},
    .l2_growth = l2_growth,
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .flops = flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "attention:Sq=780,N=6,D=128,type=f32",
};
