// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_step.c   Adapter of denoise/sampler_step. */
#include "op_help.h"

#include <string.h>

enum { X, COND, UNCOND, LAST, M1, M2, M, CORRECTED, NEXT };

static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct sampler_step_problem *p = problem;
    const bool given[] = {[X] = true,
                          [COND] = true,
                          [UNCOND] = tensor_given(&p->uncond),
                          [LAST] = p->corrector,
                          [M1] = tensor_given(&p->m1),
                          [M2] = tensor_given(&p->m2),
                          [M] = true,
                          [CORRECTED] = true,
                          [NEXT] = true};
    return extent_give((struct extent){given[index] ? p->S : 0, p->C}, rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct sampler_step_problem *)problem)->C;
}

/* Coefficients of the size a second-order solver has in the middle of its schedule; those of absent
 * tensors are 0. */
static void complete(void *problem, enum elem type)
{
    static const double model[2] = {1, -0.85}, correct[4] = {0.93, 0.31, -0.06, -0.18};
    static const double predict[4] = {0.91, 0.22, -0.13, -0.07};
    struct sampler_step_problem *p = problem;
    (void)type;
    p->guidance = 5;
    memcpy(p->model, model, sizeof model);
    memcpy(p->predict, predict, sizeof predict);
    if (p->corrector)
        memcpy(p->correct, correct, sizeof correct);
    if (!tensor_given(&p->m1))
        p->correct[1] = p->predict[2] = 0;
    if (!tensor_given(&p->m2))
        p->correct[2] = 0;
}

/* A product and a sum per term: guidance 3, prediction 3, corrector up to 7, step up to 7. */
static enum status check(const void *problem, struct fault *fault)
{
    const struct sampler_step_problem *p = problem;
    if (p->guided <= p->C)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape sampler_step: guided=%lld exceeds C=%lld",
                     (long long)p->guided, (long long)p->C);
}

OP_REF(sampler_step)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct sampler_step_problem *p = problem;
    return axis ? 0 : cut_count(&p->S, units);
}

static const char *const verify_shapes[] = {
    "sampler_step:S=1,C=16,corrector=0,m1=0,m2=0,type=f32",
    "sampler_step:S=31,C=16,type=f32",
    "sampler_step:S=20,C=7,m2=0,type=f32",
    "sampler_step:S=9,C=16,corrector=0,m2=0,type=f32",
    "sampler_step:S=13,C=5,corrector=0,uncond=0,m1=0,m2=0,type=f32",
    "sampler_step:S=2,C=16,uncond=0,type=f32",
    "sampler_step:S=11,C=4,corrector=0,m1=0,m2=0,guided=3,type=f32",
    NULL};

#define PIXELS(FIELD) TENSOR(sampler_step, FIELD, ROLE_IN, OPERAND_UNIFORM, ALWAYS(ELEM_F32))
#define PREDICTED(FIELD)                                                                           \
    TENSOR(sampler_step, FIELD, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32))
#define RESULT(FIELD, ALIAS) OUTPUT(sampler_step, FIELD, ALIAS, ALWAYS(ELEM_F32))

const struct op_info op_info_sampler_step = {
    OP_IDENTITY(sampler_step, denoise),
    .summary = "one step of a multistep solver with guidance",
    .dim = {COUNT(sampler_step, S, DIM_REQUIRED), COUNT(sampler_step, C, DIM_REQUIRED),
            RANGE(sampler_step, corrector, 1, 0, 1), FLAG("uncond", UNCOND, 1), FLAG("m1", M1, 1),
            FLAG("m2", M2, 1), RANGE(sampler_step, guided, 0, 0, COUNT_MOST)},
    .tensor = {PIXELS(x), PREDICTED(cond), PREDICTED(uncond), PIXELS(last), PIXELS(m1), PIXELS(m2),
               RESULT(m, M2), RESULT(corrected, LAST), RESULT(next, X)},
    .tolerance = {TOLERANCE_FEW},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "sampler_step:S=7800,C=16,type=f32",
};
