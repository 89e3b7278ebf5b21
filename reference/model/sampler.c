// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/sampler.h"

#include <math.h>
#include <stdlib.h>

#define TRAIN_STEPS 1000

static double shifted(double u, double shift) { return shift * u / (1.0 + (shift - 1.0) * u); }

/* ---- noise levels ---------------------------------------------------------------------------- */

/* The grid since diffusers 0.37: 1 down to just above 1/1000, kept off 1 where log(1 - sigma)
 * ends. */
static double unipc_level(int64_t i, int64_t steps, double shift)
{
    const double u = 1.0 - (1.0 - 1.0 / TRAIN_STEPS) * (double)i / (double)steps;
    const double sigma = shifted(u, shift);
    return i == 0 && fabs(sigma - 1.0) < 1e-6 ? sigma - 1e-6 : sigma;
}

/* The grid of the original release and of diffusers before 0.37. */
static double unipc_original_level(int64_t i, int64_t steps, double shift)
{
    const double top = 1.0 - 1.0 / TRAIN_STEPS;
    return shifted(top * (1.0 - (double)i / (double)steps), shift);
}

/* The lowest level is shifted when the schedule is made and again with all the others. */
static double euler_level(int64_t i, int64_t steps, double shift)
{
    const double lowest = shifted(1.0 / TRAIN_STEPS, shift);
    const double part = steps > 1 ? (double)i / (double)(steps - 1) : 0.0;
    return shifted(1.0 + (lowest - 1.0) * part, shift);
}

enum status sampler_new(enum scheduler scheduler, int64_t steps, double shift, struct sampler *out,
                        struct fault *fault)
{
    static double (*const level[])(int64_t, int64_t, double) = {
        [SCHEDULER_UNIPC] = unipc_level,
        [SCHEDULER_EULER] = euler_level,
        [SCHEDULER_UNIPC_ORIGINAL] = unipc_original_level,
    };
    *out = (struct sampler){.scheduler = scheduler, .steps = steps};
    if (steps < 1 || steps > 1000)
        return fault_set(fault, ST_BAD_INPUT, "%lld denoising steps; choose 1 to 1000.",
                         (long long)steps);
    if (!(shift > 0.0) || !isfinite(shift))
        return fault_set(fault, ST_BAD_INPUT, "A shift of %g; choose a positive number.", shift);
    out->sigma = calloc((size_t)steps + 1, sizeof *out->sigma);
    out->time = calloc((size_t)steps, sizeof *out->time);
    if (!out->sigma || !out->time) {
        sampler_free(out);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the noise levels");
    }
    for (int64_t i = 0; i < steps; i++) {
        const double sigma = level[scheduler](i, steps, shift);
        out->sigma[i] = (float)sigma;
        /* UniPC tells the network whole numbers, Euler f32 ones */
        out->time[i] = scheduler == SCHEDULER_EULER ? (float)(TRAIN_STEPS * sigma)
                                                    : trunc(TRAIN_STEPS * sigma);
    }
    return ST_OK;
}

void sampler_free(struct sampler *sampler)
{
    free(sampler->sigma);
    free(sampler->time);
    *sampler = (struct sampler){0};
}

/* ---- UniPC (arXiv 2302.04867), order 2, B(h) = e^h - 1, data prediction ---------------------- */

static double lambda(double sigma)
{
    return log(1.0 - sigma) - log(sigma); /* +inf at 0, where expm1(-h) below is -1 */
}

/* From level s to level t: the sample's share, and the weight W of the data prediction, of which
 * the solver's differences get a part. */
struct jump {
    double h, e, keep, weight;
};

static struct jump jump_between(double s, double t)
{
    struct jump j = {.h = lambda(t) - lambda(s), .keep = t / s};
    j.e = expm1(-j.h);
    j.weight = -(1.0 - t) * j.e;
    return j;
}

/* corrected = keep last + W (m1 + rho1 (m2 - m1) / r + rho2 (m - m1)) */
static void correct(const struct sampler *s, int64_t i, double out[4])
{
    const struct jump j = jump_between(s->sigma[i - 1], s->sigma[i]);
    double older = 0.0, newest = 0.5;
    if (i > 1) { /* the predictor before had order 2 */
        const double r = (lambda(s->sigma[i - 2]) - lambda(s->sigma[i - 1])) / j.h;
        const double g1 = j.e / -j.h - 1.0, b1 = g1 / j.e;
        const double g2 = g1 / -j.h - 0.5, b2 = 2.0 * g2 / j.e;
        const double rho1 = (b1 - b2) / (1.0 - r);
        newest = b1 - rho1;
        older = rho1 / r;
    }
    out[0] = j.keep;
    out[1] = j.weight * (1.0 - older - newest);
    out[2] = j.weight * older;
    out[3] = j.weight * newest;
}

/* next = keep corrected + W (m + (m1 - m) / 2r); first order at both ends */
static void predict(const struct sampler *s, int64_t i, double out[4])
{
    const struct jump j = jump_between(s->sigma[i], s->sigma[i + 1]);
    double older = 0.0;
    if (i > 0 && i < s->steps - 1)
        older = 0.5 * j.h / (lambda(s->sigma[i - 1]) - lambda(s->sigma[i]));
    out[0] = j.keep;
    out[1] = j.weight * (1.0 - older);
    out[2] = j.weight * older;
    out[3] = 0.0;
}

void sampler_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    const double sigma = s->sigma[step];
    p->model[0] = 1.0;
    p->model[1] = -sigma;
    p->corrector = s->scheduler != SCHEDULER_EULER && step > 0;
    for (int i = 0; i < 4; i++)
        p->correct[i] = p->predict[i] = 0.0;
    if (s->scheduler == SCHEDULER_EULER) {
        p->predict[0] = 1.0;
        p->predict[3] = s->sigma[step + 1] - sigma;
        return;
    }
    if (p->corrector)
        correct(s, step, p->correct);
    predict(s, step, p->predict);
}
