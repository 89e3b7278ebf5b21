// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* embedding.c   Adapter of text/embedding. */
#include "op_help.h"

enum { IDS, TABLE, Y };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct embedding_problem *p = problem;
    const struct extent all[] = {[IDS] = {1, p->S}, [TABLE] = {p->V, p->C}, [Y] = {p->S, p->C}};
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct embedding_problem *)problem)->C;
}

static enum status check(const void *problem, struct fault *fault)
{
    enum elem out = ((const struct embedding_problem *)problem)->y.elem;
    if (out == ELEM_F32 || out == ELEM_BF16 || out == ELEM_F16)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape embedding: out=%s must be f32, bf16 or f16",
                     elem_name(out));
}

OP_REF(embedding)

/* Rows of the table are picked, not summed: a smaller table is picked from alike. */
static int64_t cut(void *problem, int axis, int64_t units)
{
    struct embedding_problem *p = problem;
    return axis ? 0 : cut_count(&p->V, units);
}

static const char *const verify_shapes[] = {"embedding:S=1,V=1,C=16,type=f32",
                                            "embedding:S=21,V=50,C=37,type=f32",
                                            "embedding:S=9,V=33,C=64,type=bf16",
                                            "embedding:S=7,V=20,C=65,out=f32,type=bf16",
                                            "embedding:S=5,V=11,C=18,out=bf16,type=f32",
                                            "embedding:S=6,V=9,C=10,type=f16",
                                            NULL};

const struct op_info op_info_embedding = {
    OP_IDENTITY(embedding, text),
    .summary = "rows of a table by number",
    .dim = {COUNT(embedding, S, DIM_REQUIRED), COUNT(embedding, V, DIM_REQUIRED),
            COUNT(embedding, C, DIM_REQUIRED), TYPE_OF("out", Y, ELEM_NONE)},
    .tensor = {TENSOR(embedding, ids, ROLE_IN, OPERAND_INDEX, ALWAYS(ELEM_I32)),
               TENSOR(embedding, table, ROLE_WEIGHT, OPERAND_UNIFORM),
               OUTPUT(embedding, y, -1, FREE_STRIDE)},
    .tolerance = {TOLERANCE_EXACT},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "embedding:S=512,V=384,C=768,type=f32",
};
