// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ddpm_step.c   Adapter of denoise/ddpm_step. */
#include "op_help.h"

enum { X, COND, UNCOND, NOISE, NEXT };

/* The variance follows the prediction in a row of cond; of uncond it is not read. */
static bool extent(const void *problem, int index, int64_t *rows, int64_t *row_elems)
{
    const struct ddpm_step_problem *p = problem;
    const bool given[] = {[X] = true,
                          [COND] = true,
                          [UNCOND] = tensor_given(&p->uncond),
                          [NOISE] = tensor_given(&p->noise),
                          [NEXT] = true};
    const int64_t columns = index == COND || index == UNCOND ? 2 * p->C : p->C;
    return extent_give((struct extent){given[index] ? p->S : 0, columns}, rows, row_elems);
}

static int64_t ref_row_elems(const void *problem, int index)
{
    (void)index;
    return ((const struct ddpm_step_problem *)problem)->C;
}

/* Coefficients of the middle of a chain of 250 steps. */
static void complete(void *problem, enum elem type)
{
    struct ddpm_step_problem *p = problem;
    (void)type;
    p->guidance = 4;
    p->mean[0] = 1.02;
    p->mean[1] = -0.043;
    p->log_variance[0] = -3.3;
    p->log_variance[1] = -3.2;
}

static enum status check(const void *problem, struct fault *fault)
{
    const struct ddpm_step_problem *p = problem;
    if (p->guided <= p->C)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape ddpm_step: guided=%lld exceeds C=%lld",
                     (long long)p->guided, (long long)p->C);
}

OP_REF(ddpm_step)

static int64_t cut(void *problem, int axis, int64_t units)
{
    struct ddpm_step_problem *p = problem;
    return axis ? 0 : cut_count(&p->S, units);
}

static const char *const verify_shapes[] = {"ddpm_step:S=31,C=4,type=f32",
                                            "ddpm_step:S=9,C=4,guided=3,type=f32",
                                            "ddpm_step:S=1,C=1,uncond=0,type=f32",
                                            "ddpm_step:S=20,C=7,noise=0,type=f32",
                                            "ddpm_step:S=5,C=16,uncond=0,noise=0,type=f32",
                                            NULL};

#define PIXELS(FIELD) TENSOR(ddpm_step, FIELD, ROLE_IN, OPERAND_UNIFORM, ALWAYS(ELEM_F32))
#define PREDICTED(FIELD)                                                                           \
    TENSOR(ddpm_step, FIELD, ROLE_IN, OPERAND_UNIFORM, FREE_STRIDE, ALWAYS(ELEM_F32))

const struct op_info op_info_ddpm_step = {
    OP_IDENTITY(ddpm_step, denoise),
    .summary = "one step of a DDPM chain with learned variance and guidance",
    .dim = {COUNT(ddpm_step, S, DIM_REQUIRED), COUNT(ddpm_step, C, DIM_REQUIRED),
            RANGE(ddpm_step, guided, 0, 0, COUNT_MOST), FLAG("uncond", UNCOND, 1),
            FLAG("noise", NOISE, 1)},
    .tensor = {PIXELS(x), PREDICTED(cond), PREDICTED(uncond), PIXELS(noise),
               OUTPUT(ddpm_step, next, X, ALWAYS(ELEM_F32))},
    .tolerance = {TOLERANCE_FEW},
    .extent = extent,
    .ref_row_elems = ref_row_elems,
    .complete = complete,
    .check = check,
    .flops = no_flops,
    .ref = ref,
    .cut = cut,
    .verify_shapes = verify_shapes,
    .timing_shape = "ddpm_step:S=4096,C=4,type=f32",
};
