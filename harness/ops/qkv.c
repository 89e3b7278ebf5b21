// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv.c   Adapter of the composite attention/qkv. */
#include "op_help.h"

enum { X, WQ, WK, WV, BQ, BK, BV, NQ, NK, COS, SIN, Q, K, V, NBQ, NBK };

static const char *const norms[] = {"all", "head", "none", "layer", NULL};

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct qkv_problem *p = problem;
    int64_t tokens = times(p->B, p->S), width = times(p->N, p->D);
    const struct extent matrix = {width, p->C}, bias = {1, width}, out = {tokens, width};
    const struct extent norm = {p->norm != QK_NORM_NONE, p->norm == QK_NORM_ALL ? width : p->D};
    const struct extent norm_bias = {p->norm == QK_NORM_LAYER, p->D};
    const struct extent table = {p->rope ? p->S : 0, qk_rope_angles(p->rope, p->N, p->D)};
    const struct extent all[] = {
        [X] = {tokens, p->C}, [WQ] = matrix, [WK] = matrix, [WV] = matrix, [BQ] = bias,
        [BK] = bias,          [BV] = bias,   [NQ] = norm,   [NK] = norm,   [COS] = table,
        [SIN] = table,        [Q] = out,     [K] = out,     [V] = out,     [NBQ] = norm_bias,
        [NBK] = norm_bias,
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct qkv_problem *)problem)->D;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    ((struct qkv_problem *)problem)->eps = 1e-6;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct qkv_problem *p = problem;
    return p->rope ? check_even("qkv", "D", p->D, fault) : ST_OK;
}

static double flops(const void *problem)
{
    const struct qkv_problem *p = problem;
    double values = (double)p->B * (double)p->S * (double)p->N * (double)p->D;
    return 6.0 * values * (double)p->C;
}

OP_REF(qkv)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct qkv_problem *p = problem;
    return axis > 1 ? 0 : cut_count(axis ? &p->S : &p->B, units);
}

static enum status expand(struct ops *ops, const void *problem) { return expand_qkv(ops, problem); }

static const char *const verify_shapes[] = {"qkv:S=1,C=16,N=1,D=16,type=f32",
                                            "qkv:S=13,C=96,N=3,D=32,type=f32",
                                            "qkv:B=2,S=5,C=100,N=2,D=64,norm=head,type=f32",
                                            "qkv:S=7,C=65,N=3,D=34,norm=layer,type=f32",
                                            "qkv:B=2,S=5,C=96,N=2,D=64,norm=layer,rope=0,"
                                            "type=bf16",
                                            "qkv:S=9,C=128,N=2,D=64,type=bf16",
                                            "qkv:S=7,C=65,N=2,D=80,type=f16",
                                            "qkv:S=6,C=64,N=2,D=33,norm=none,rope=0,type=f32",
                                            "qkv:S=5,C=32,N=3,D=32,rope=2,type=f32",
                                            "qkv:B=2,S=3,C=48,N=2,D=40,rope=3,type=bf16",
                                            NULL};

#define WEIGHT_OF(FIELD, FILL, ...) TENSOR(qkv, FIELD, ROLE_WEIGHT, FILL, __VA_ARGS__)

const struct op_info op_info_qkv = {
    OP_IDENTITY(qkv, attention),
    .summary = "query, key and value projections with norm and rotation",
    .composite = true,
    .dim = {COUNT(qkv, B, 1), COUNT(qkv, S, DIM_REQUIRED), COUNT(qkv, C, DIM_REQUIRED),
            COUNT(qkv, N, DIM_REQUIRED), COUNT(qkv, D, DIM_REQUIRED), SYMBOL(qkv, norm, norms),
            RANGE(qkv, rope, QK_ROPE_PAIRS, QK_ROPE_NONE, QK_ROPE_HALVES_OWN)},
    .tensor = {TENSOR(qkv, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE), WEIGHT_OF(wq, OPERAND_FAN_IN),
               WEIGHT_OF(wk, OPERAND_FAN_IN), WEIGHT_OF(wv, OPERAND_FAN_IN),
               WEIGHT_OF(bq, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               WEIGHT_OF(bk, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               WEIGHT_OF(bv, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               WEIGHT_OF(nq, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               WEIGHT_OF(nk, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               TENSOR(qkv, cos, ROLE_IN, OPERAND_COSINE, ALWAYS(ELEM_F32)),
               TENSOR(qkv, sin, ROLE_IN, OPERAND_SINE, ALWAYS(ELEM_F32)),
               OUTPUT(qkv, q, -1, FREE_STRIDE), OUTPUT(qkv, k, -1, FREE_STRIDE),
               OUTPUT(qkv, v, -1, FREE_STRIDE), WEIGHT_OF(nbq, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               WEIGHT_OF(nbk, OPERAND_UNIFORM, ALWAYS(ELEM_F32))},
    /* 16-bit outputs may have been rounded before the norm too: half an eps of each term. */
    .tolerance = {{ELEM_F32, NUM_F32, 2, 32, 1e-5},
                  {ELEM_BF16, NUM_F32, 2, 0.6, 8e-3},
                  {ELEM_BF16, NUM_BF16, 2, 0.6, 8e-3},
                  {ELEM_F16, NUM_F32, 2, 0.6, 1e-3},
                  {ELEM_F16, NUM_F16, 2, 0.6, 1e-3}},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = flops,
    .ref = ref,
    .cut = cut,
    .expand = expand,
    .verify_shapes = verify_shapes,
    .timing_shape = "qkv:S=780,C=768,N=6,D=128,type=f32",
};
