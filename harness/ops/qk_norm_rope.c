// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qk_norm_rope.c   Adapter of attention/qk_norm_rope. */
#include "op_help.h"

enum { X, WEIGHT, COS, SIN, Y, BIAS };

static const char *const norms[] = {"all", "head", "none", "layer", NULL};

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct qk_norm_rope_problem *p = problem;
    int64_t tokens = times(p->B, p->S), width = times(p->N, p->D);
    const struct extent table = {p->rope ? p->S : 0, qk_rope_angles(p->rope, p->N, p->D)};
    const struct extent all[] = {
        [X] = {tokens, width},
        [WEIGHT] = {p->norm != QK_NORM_NONE, p->norm == QK_NORM_ALL ? width : p->D},
        [COS] = table,
        [SIN] = table,
        [Y] = {tokens, width},
        [BIAS] = {p->norm == QK_NORM_LAYER, p->D},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct qk_norm_rope_problem *)problem)->D;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    ((struct qk_norm_rope_problem *)problem)->eps = 1e-6;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct qk_norm_rope_problem *p = problem;
    return p->rope ? check_even("qk_norm_rope", "D", p->D, fault) : ST_OK;
}

/* Norm: square and add, scale by r and by weight. Rotation: two products and a sum. */
OP_REF(qk_norm_rope)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct qk_norm_rope_problem *p = problem;
    return axis > 1 ? 0 : cut_count(axis ? &p->S : &p->B, units);
}

static const char *const verify_shapes[] = {
    "qk_norm_rope:S=1,N=1,D=16,type=f32",
    "qk_norm_rope:S=37,N=3,D=64,type=f32",
    "qk_norm_rope:S=19,N=2,D=80,type=bf16",
    "qk_norm_rope:B=2,S=9,N=6,D=128,type=f16",
    "qk_norm_rope:B=2,S=7,N=5,D=64,norm=head,type=f32",
    "qk_norm_rope:S=11,N=2,D=128,norm=head,rope=0,type=bf16",
    "qk_norm_rope:S=5,N=3,D=34,norm=none,type=f32",
    "qk_norm_rope:B=2,S=7,N=3,D=34,norm=layer,type=f32",
    "qk_norm_rope:S=11,N=2,D=64,norm=layer,rope=0,type=bf16",
    "qk_norm_rope:S=4,N=3,D=64,norm=layer,type=f16",
    "qk_norm_rope:S=7,N=3,D=64,rope=2,type=f32",
    "qk_norm_rope:B=2,S=5,N=2,D=64,rope=2,type=bf16",
    "qk_norm_rope:B=2,S=6,N=3,D=34,rope=3,type=f32",
    "qk_norm_rope:S=3,N=1,D=1100,norm=head,rope=3,type=f16",
    "qk_norm_rope:S=2,N=1,D=2048,type=bf16",
    "qk_norm_rope:S=6,N=1,D=7,rope=0,type=f32",
    "qk_norm_rope:S=3,N=2,D=10,norm=none,rope=0,type=f16",
    NULL};

const struct op_info op_info_qk_norm_rope = {
    OP_IDENTITY(qk_norm_rope, attention),
    .summary = "norm of queries or keys and rotation by position",
    .dim = {COUNT(qk_norm_rope, B, 1), COUNT(qk_norm_rope, S, DIM_REQUIRED),
            COUNT(qk_norm_rope, N, DIM_REQUIRED), COUNT(qk_norm_rope, D, DIM_REQUIRED),
            SYMBOL(qk_norm_rope, norm, norms),
            RANGE(qk_norm_rope, rope, QK_ROPE_PAIRS, QK_ROPE_NONE, QK_ROPE_HALVES_OWN)},
    .tensor = {TENSOR(qk_norm_rope, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(qk_norm_rope, weight, ROLE_WEIGHT, OPERAND_GAIN, ALWAYS(ELEM_F32)),
               TENSOR(qk_norm_rope, cos, ROLE_IN, OPERAND_COSINE, ALWAYS(ELEM_F32)),
               TENSOR(qk_norm_rope, sin, ROLE_IN, OPERAND_SINE, ALWAYS(ELEM_F32)),
               OUTPUT(qk_norm_rope, y, X, FREE_STRIDE),
               TENSOR(qk_norm_rope, bias, ROLE_WEIGHT, OPERAND_UNIFORM, ALWAYS(ELEM_F32))},
    .tolerance = {TOLERANCE_SUMS},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "qk_norm_rope:S=780,N=6,D=128,type=f32",
};
