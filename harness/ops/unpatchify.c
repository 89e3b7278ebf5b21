// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* unpatchify.c   Adapter of attention/unpatchify. */
#include "op_help.h"

enum { X, Y };

static const char *const channels[] = {"fastest", "slowest", NULL};

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct unpatchify_problem *p = problem;
    int64_t tokens = times(times(p->B, p->T / p->pt), times(p->H / p->ph, p->W / p->pw));
    const struct extent all[] = {
        [X] = {tokens, times(p->C, p->pt * p->ph * p->pw)},
        [Y] = {times(times(p->B, p->T), times(p->H, p->W)), p->C},
    };
    return extent_give(all[index], rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct unpatchify_problem *)problem)->C;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct unpatchify_problem *p = problem;
    TRY(check_divides("unpatchify", "pt", p->pt, "T", p->T, fault));
    TRY(check_divides("unpatchify", "ph", p->ph, "H", p->H, fault));
    return check_divides("unpatchify", "pw", p->pw, "W", p->W, fault);
}

OP_REF(unpatchify)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct unpatchify_problem *p = problem;
    if (axis == 0)
        return cut_count(&p->B, units);
    return axis == 1   ? cut_cells(&p->T, p->pt, units)
           : axis == 2 ? cut_cells(&p->H, p->ph, units)
                       : 0;
}

static const char *const verify_shapes[] = {"unpatchify:T=1,H=2,W=2,C=16,type=f32",
                                            "unpatchify:T=3,H=6,W=10,C=16,type=f32",
                                            "unpatchify:T=3,H=6,W=10,C=16,type=bf16",
                                            "unpatchify:B=2,T=2,H=4,W=14,C=7,type=f16",
                                            "unpatchify:T=4,H=3,W=5,C=3,pt=2,ph=1,pw=1,type=f32",
                                            "unpatchify:T=2,H=9,W=6,C=1,ph=3,type=bf16",
                                            "unpatchify:T=3,H=6,W=10,C=16,channel=slowest,type=f32",
                                            "unpatchify:B=2,T=4,H=3,W=6,C=5,pt=2,ph=3,"
                                            "channel=slowest,type=bf16",
                                            NULL};

const struct op_info op_info_unpatchify = {
    OP_IDENTITY(unpatchify, attention),
    .summary = "patch tokens back to a latent video",
    .dim = {COUNT(unpatchify, B, 1), COUNT(unpatchify, T, DIM_REQUIRED),
            COUNT(unpatchify, H, DIM_REQUIRED), COUNT(unpatchify, W, DIM_REQUIRED),
            COUNT(unpatchify, C, DIM_REQUIRED), RANGE(unpatchify, pt, 1, 1, 64),
            RANGE(unpatchify, ph, 2, 1, 64), RANGE(unpatchify, pw, 2, 1, 64),
            SYMBOL(unpatchify, channel, channels)},
    .tensor = {TENSOR(unpatchify, x, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE),
               OUTPUT(unpatchify, y, -1, ALWAYS(ELEM_F32))},
    .tolerance = {TOLERANCE_EXACT},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "unpatchify:T=5,H=30,W=52,C=16,type=f32",
};
