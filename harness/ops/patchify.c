// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchify.c   Adapter of attention/patchify. */
#include "op_help.h"

enum { X, Y };

static int64_t width(const struct patchify_problem *p)
{
    return times(p->C, p->pt * p->ph * p->pw);
}

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct patchify_problem *p = problem;
    int64_t tokens = times(times(p->B, p->T / p->pt), times(p->H / p->ph, p->W / p->pw));
    const struct extent all[] = {
        [X] = {times(times(p->B, p->T), times(p->H, p->W)), p->C},
        [Y] = {tokens, width(p)},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return width(problem);
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct patchify_problem *p = problem;
    TRY(check_divides("patchify", "pt", p->pt, "T", p->T, fault));
    TRY(check_divides("patchify", "ph", p->ph, "H", p->H, fault));
    return check_divides("patchify", "pw", p->pw, "W", p->W, fault);
}

OP_REF(patchify)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct patchify_problem *p = problem;
    if (axis == 0)
        return cut_count(&p->B, units);
    return axis == 1   ? cut_cells(&p->T, p->pt, units)
           : axis == 2 ? cut_cells(&p->H, p->ph, units)
                       : 0;
}

static const char *const verify_shapes[] = {"patchify:T=1,H=2,W=2,C=16,type=f32",
                                            "patchify:T=3,H=6,W=10,C=16,type=f32",
                                            "patchify:T=3,H=6,W=10,C=16,type=bf16",
                                            "patchify:B=2,T=2,H=4,W=14,C=7,type=f16",
                                            "patchify:T=4,H=3,W=5,C=3,pt=2,ph=1,pw=1,type=f32",
                                            "patchify:T=2,H=9,W=6,C=1,ph=3,type=bf16",
                                            NULL};

const struct op_info op_info_patchify = {
    OP_IDENTITY(patchify, attention),
    .summary = "latent video to patch tokens",
    .dim = {COUNT(patchify, B, 1), COUNT(patchify, T, DIM_REQUIRED),
            COUNT(patchify, H, DIM_REQUIRED), COUNT(patchify, W, DIM_REQUIRED),
            COUNT(patchify, C, DIM_REQUIRED), RANGE(patchify, pt, 1, 1, 64),
            RANGE(patchify, ph, 2, 1, 64), RANGE(patchify, pw, 2, 1, 64)},
    .tensor = {TENSOR(patchify, x, ROLE_IN, OPERAND_UNIFORM, ALWAYS(ELEM_F32)),
               OUTPUT(patchify, y, -1, FREE_STRIDE)},
    .tolerance = {TOLERANCE_EXACT},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "patchify:T=5,H=30,W=52,C=16,type=f32",
};
