// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_step/cuda_01_plain.cu
 * Idea:     a thread per element, in double; every operand of an element is read before any result
 *           is written, so that the allowed overlaps need no care.
 * Differs:  the first of its op on a GPU.   Bound: memory.
 * Source:   UniPC (arXiv 2302.04867) as the contract writes it.
 * Floor:    S=131040, C=16: nine tensors of f32 are 75 MB, 16 us at 4.8 TB/s.
 * Outcome:  not yet run on a GPU. */
#include "denoise/sampler_step/sampler_step.h"
#include "target/cuda.h"

#define THREADS 256

static bool plan(const struct sampler_step_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    const struct tensor *always[] = {&p->x, &p->cond, &p->m, &p->corrected, &p->next};
    const struct tensor *optional[] = {&p->uncond, &p->last, &p->m1, &p->m2};
    for (const struct tensor *t : always)
        if (!cuda_is(t, ELEM_F32))
            need->reason = "x, cond, m, corrected and next must be f32";
    for (const struct tensor *t : optional)
        if (!cuda_is_f32_or_absent(t))
            need->reason = "uncond, last, m1 and m2 must be f32";
    return !need->reason;
}

GPU_FN double value(const struct tensor *t, int64_t i)
{
    return ((const float *)t->data)[i];
}

/* An operand with coefficient 0 is not read. */
GPU_FN double term(double coefficient, const struct tensor *operand, int64_t i)
{
    return coefficient != 0 ? coefficient * value(operand, i) : 0;
}

static __global__ void __launch_bounds__(THREADS) sampler_step(const struct sampler_step_problem p)
{
    for (int64_t i = cuda_thread(); i < p.S * p.C; i += cuda_threads()) {
        int64_t s = i / p.C, c = i % p.C;
        double x = value(&p.x, i), v = value(&p.cond, s * p.cond.stride + c);
        if (cuda_given(&p.uncond) && (!p.guided || c < p.guided)) {
            double uncond = value(&p.uncond, s * p.uncond.stride + c);
            v = uncond + p.guidance * (v - uncond);
        }
        double m = p.model[0] * x + p.model[1] * v, corrected = x;
        if (p.corrector)
            corrected = term(p.correct[0], &p.last, i) + term(p.correct[1], &p.m1, i) +
                        term(p.correct[2], &p.m2, i) + p.correct[3] * m;
        double next = p.predict[0] * corrected + p.predict[1] * m + term(p.predict[2], &p.m1, i) +
                      p.predict[3] * v;
        ((float *)p.m.data)[i] = (float)m;
        ((float *)p.corrected.data)[i] = (float)corrected;
        ((float *)p.next.data)[i] = (float)next;
    }
}

static enum status run(const struct sampler_step_problem *p, const struct exec *exec)
{
    LAUNCH(sampler_step, cuda_grid(p->S * p->C, THREADS), THREADS, 0, exec->stream, *p);
    return LAUNCHED();
}

VARIANT(sampler_step, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
