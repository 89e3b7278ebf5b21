// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ddpm_step/c_01_plain.c
 * Idea:     one pass over the latent in double, as written; every operand of an element is read
 *           before it is written.
 * Differs:  the first of its op.   Bound: exp().
 * Source:   the contract. */
#include "denoise/ddpm_step/ddpm_step.h"
#include "target/c.h"

static bool plan(const struct ddpm_step_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->x, ELEM_F32) || !c_is(&p->cond, ELEM_F32) || !c_is(&p->next, ELEM_F32) ||
        !c_is_f32_or_absent(&p->uncond) || !c_is_f32_or_absent(&p->noise))
        need->reason = "all tensors must be f32";
    return !need->reason;
}

static void step(const struct ddpm_step_problem *p, int64_t s)
{
    const float *x = (const float *)p->x.data + s * p->C;
    const float *cond = (const float *)p->cond.data + s * p->cond.stride;
    float *next = (float *)p->next.data + s * p->C;
    const int64_t guided = p->guided ? p->guided : p->C;
    for (int64_t c = 0; c < p->C; c++) {
        double v = cond[c];
        if (tensor_given(&p->uncond) && c < guided) {
            const double uncond = ((const float *)p->uncond.data)[s * p->uncond.stride + c];
            v = uncond + p->guidance * (v - uncond);
        }
        double y = p->mean[0] * x[c] + p->mean[1] * v;
        if (tensor_given(&p->noise)) {
            const double f = (cond[p->C + c] + 1.0) / 2;
            const double log_var = (1 - f) * p->log_variance[0] + f * p->log_variance[1];
            y += exp(log_var / 2) * ((const float *)p->noise.data)[s * p->C + c];
        }
        next[c] = (float)y;
    }
}

static enum status run(const struct ddpm_step_problem *p, const struct exec *exec)
{
#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++)
        step(p, s);
    return ST_OK;
}

VARIANT(ddpm_step, c_01_plain, .needs = 0, .numerics = NUM_F32);
