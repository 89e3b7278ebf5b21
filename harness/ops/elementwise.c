// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elementwise.c   Adapter of denoise/elementwise. */
#include "op_help.h"

enum { A, B, C, Y };

static const char *const kinds[] = {"copy", "add", "silu", "affine", "gelu_erf", "sum", NULL};

/* Rows of b: one per group, or of a sum one per row. */
static int64_t added_rows(const struct elementwise_problem *p)
{
    if (p->kind == ELEMENTWISE_SUM)
        return p->S;
    return p->kind == ELEMENTWISE_ADD || p->kind == ELEMENTWISE_AFFINE ? p->G : 0;
}

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct elementwise_problem *p = problem;
    bool affine = p->kind == ELEMENTWISE_AFFINE;
    const struct extent all[] = {
        [A] = {p->S, p->C},
        [B] = {added_rows(p), p->C},
        [C] = {affine ? p->G : 0, p->C},
        [Y] = {p->S, p->C},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct elementwise_problem *)problem)->C;
}

static void complete(void *problem, enum elem type)
{
    struct elementwise_problem *p = problem;
    (void)type;
    p->b.elem = p->kind == ELEMENTWISE_SUM ? p->a.elem : ELEM_F32;
}

static bool is_integer(enum elem elem) { return elem == ELEM_I32 || elem == ELEM_U8; }

static enum status check(const void *problem, struct fault *fault)
{
    const struct elementwise_problem *p = problem;
    TRY(check_divides("elementwise", "G", p->G, "S", p->S, fault));
    enum elem out = p->y.elem;
    if (out != p->a.elem && out != ELEM_F32 && out != ELEM_BF16 && out != ELEM_F16)
        return fault_set(fault, ST_BAD_INPUT, "shape elementwise: out=%s must be f32, bf16 or f16",
                         elem_name(out));
    if (is_integer(p->a.elem) && (p->kind != ELEMENTWISE_COPY || p->a.elem != out))
        return fault_set(fault, ST_BAD_INPUT,
                         "shape elementwise: %s is only copied, and to its own type",
                         elem_name(p->a.elem));
    return ST_OK;
}

OP_REF(elementwise)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct elementwise_problem *p = problem;
    return axis ? 0 : cut_rows(&p->S, &p->G, units);
}

static const char *const verify_shapes[] = {"elementwise:S=1,C=1,type=f32",
                                            "elementwise:S=23,C=37,type=f32",
                                            "elementwise:S=9,C=65,out=f32,type=bf16",
                                            "elementwise:S=5,C=33,out=f16,type=f32",
                                            "elementwise:S=4,C=18,out=bf16,type=f16",
                                            "elementwise:S=3,C=11,type=i32",
                                            "elementwise:S=6,C=13,type=u8",
                                            "elementwise:S=12,C=50,G=4,kind=add,type=f32",
                                            "elementwise:S=8,C=70,kind=add,out=f32,type=bf16",
                                            "elementwise:S=7,C=129,kind=silu,type=f32",
                                            "elementwise:S=3,C=40,kind=silu,type=f16",
                                            "elementwise:S=10,C=31,G=5,kind=affine,type=f32",
                                            "elementwise:S=6,C=24,G=2,kind=affine,type=bf16",
                                            "elementwise:S=5,C=67,kind=gelu_erf,type=f32",
                                            "elementwise:S=4,C=36,kind=gelu_erf,type=bf16",
                                            "elementwise:S=7,C=41,kind=sum,type=f32",
                                            "elementwise:S=6,C=28,kind=sum,type=bf16",
                                            "elementwise:S=3,C=12,kind=sum,out=f32,type=f16",
                                            NULL};

const struct op_info op_info_elementwise = {
    OP_IDENTITY(elementwise, denoise),
    .summary = "copy, add, SiLU, exact GELU, scale with shift",
    .other_types = 1u << ELEM_I32 | 1u << ELEM_U8,
    .dim = {COUNT(elementwise, S, DIM_REQUIRED), COUNT(elementwise, C, DIM_REQUIRED),
            COUNT(elementwise, G, 1), SYMBOL(elementwise, kind, kinds),
            TYPE_OF("out", Y, ELEM_NONE)},
    .tensor = {TENSOR(elementwise, a, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(elementwise, b, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               TENSOR(elementwise, c, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32)),
               OUTPUT(elementwise, y, A, FREE_STRIDE)},
    .tolerance = {TOLERANCE_FEW, {ELEM_I32, NUM_F32, EXACT}, {ELEM_U8, NUM_F32, EXACT}},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "elementwise:S=780,C=768,kind=silu,type=f32",
};
