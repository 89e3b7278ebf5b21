// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_step/c_01_plain.c
 * Idea:     one pass over the latent; every operand of an element is read before it is written, so
 *           that the allowed overlaps need no care.
 * Differs:  the first of its op.   Bound: memory; sums in double cost nothing beside it.
 * Source:   UniPC (arXiv 2302.04867) as the contract writes it. */
#include "denoise/sampler_step/sampler_step.h"
#include "target/c.h"

static bool plan(const struct sampler_step_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    const struct tensor *always[] = {&p->x, &p->cond, &p->m, &p->corrected, &p->next};
    const struct tensor *optional[] = {&p->uncond, &p->last, &p->m1, &p->m2};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!c_is(always[i], ELEM_F32))
            need->reason = "x, cond, m, corrected and next must be f32";
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (!c_is_f32_or_absent(optional[i]))
            need->reason = "uncond, last, m1 and m2 must be f32";
    return !need->reason;
}

/* An operand with coefficient 0 is not read. */
static double term(double coefficient, const float *operand, int64_t i)
{
    return coefficient != 0 ? coefficient * operand[i] : 0;
}

static double guided(const struct sampler_step_problem *p, int64_t s, int64_t c)
{
    double v = ((const float *)p->cond.data)[s * p->cond.stride + c];
    if (!tensor_given(&p->uncond) || (p->guided && c >= p->guided))
        return v;
    double uncond = ((const float *)p->uncond.data)[s * p->uncond.stride + c];
    return uncond + p->guidance * (v - uncond);
}

static void step(const struct sampler_step_problem *p, int64_t i, double v)
{
    const float *m1 = p->m1.data, *m2 = p->m2.data;
    double x = ((const float *)p->x.data)[i];
    double m = p->model[0] * x + p->model[1] * v, corrected = x;
    if (p->corrector)
        corrected = term(p->correct[0], p->last.data, i) + term(p->correct[1], m1, i) +
                    term(p->correct[2], m2, i) + p->correct[3] * m;
    double next = p->predict[0] * corrected + p->predict[1] * m + term(p->predict[2], m1, i) +
                  p->predict[3] * v;
    ((float *)p->m.data)[i] = (float)m;
    ((float *)p->corrected.data)[i] = (float)corrected;
    ((float *)p->next.data)[i] = (float)next;
}

static enum status run(const struct sampler_step_problem *p, const struct exec *exec)
{
    int64_t chunks = c_blocks(p->S * p->C, C_CHUNK);

#pragma omp parallel for num_threads(c_threads(exec, chunks)) schedule(static)
    for (int64_t s = 0; s < p->S; s++)
        for (int64_t c = 0; c < p->C; c++)
            step(p, s * p->C + c, guided(p, s, c));
    return ST_OK;
}

VARIANT(sampler_step, c_01_plain, .needs = 0, .numerics = NUM_F32);
