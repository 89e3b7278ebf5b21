// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* modulate.c   Adapter of denoise/modulate. */
#include "op_help.h"

enum { X, SCALE, SHIFT, Y };

static const char *const norms[] = {"layer", "rms", NULL};
static const char *const forms[] = {"adaln", "affine", NULL};

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct modulate_problem *p = problem;
    const struct extent all[] = {
        [X] = {p->S, p->C}, [SCALE] = {p->G, p->C}, [SHIFT] = {p->G, p->C}, [Y] = {p->S, p->C}};
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct modulate_problem *)problem)->C;
}

static void complete(void *problem, enum elem type)
{
    (void)type;
    ((struct modulate_problem *)problem)->eps = 1e-6;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct modulate_problem *p = problem;
    return check_divides("modulate", "G", p->G, "S", p->S, fault);
}

/* Mean 1, variance 3, normalising 2 or, for rms, square and add 2, scaling 1; modulation 2. */
OP_REF(modulate)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct modulate_problem *p = problem;
    return axis ? 0 : cut_rows(&p->S, &p->G, units);
}

static const char *const verify_shapes[] = {"modulate:S=1,C=16,type=f32",
                                            "modulate:S=37,C=100,type=f32",
                                            "modulate:S=12,C=768,G=4,type=f32",
                                            "modulate:S=9,C=65,G=9,type=bf16",
                                            "modulate:S=6,C=130,G=2,form=affine,type=f16",
                                            "modulate:S=10,C=257,norm=rms,type=f32",
                                            "modulate:S=5,C=64,norm=rms,form=affine,type=bf16",
                                            NULL};

const struct op_info op_info_modulate = {
    OP_IDENTITY(modulate, denoise),
    .summary = "layer or RMS norm with scale and shift",
    .dim = {COUNT(modulate, S, DIM_REQUIRED), COUNT(modulate, C, DIM_REQUIRED),
            COUNT(modulate, G, 1), SYMBOL(modulate, norm, norms), SYMBOL(modulate, form, forms)},
    .tensor = {TENSOR(modulate, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32)),
               TENSOR(modulate, scale, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32)),
               TENSOR(modulate, shift, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32)),
               OUTPUT(modulate, y, X, FREE_STRIDE)},
    .tolerance = {TOLERANCE_SUMS},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "modulate:S=780,C=768,type=f32",
};
