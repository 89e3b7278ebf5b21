// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_flow.c   Noise levels and steps of the samplers for flow matching. */
#include "model/sampler_kind.h"

#include <math.h>

static double shifted(double u, double shift) { return shift * u / (1.0 + (shift - 1.0) * u); }

/* ---- noise levels ---------------------------------------------------------------------------- */

/* Each level is an f32 value; UniPC tells the network whole numbers. */
static void set_whole(struct sampler *s, int64_t i, double sigma)
{
    s->level[i] = (float)sigma;
    s->time[i] = trunc(TRAIN_STEPS * sigma);
}

/* The grid since diffusers 0.37: 1 down to just above 1/1000, kept off 1 where log(1 - sigma)
 * ends. */
void unipc_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++) {
        const double u = 1.0 - (1.0 - 1.0 / TRAIN_STEPS) * (double)i / (double)s->steps;
        const double sigma = shifted(u, shift);
        set_whole(s, i, i == 0 && fabs(sigma - 1.0) < 1e-6 ? sigma - 1e-6 : sigma);
    }
}

/* The grid of the original release and of diffusers before 0.37. */
void unipc_original_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    const double top = 1.0 - 1.0 / TRAIN_STEPS;
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++)
        set_whole(s, i, shifted(top * (1.0 - (double)i / (double)s->steps), shift));
}

/* Euler tells the network f32 numbers. */
static void set_real(struct sampler *s, int64_t i, double sigma)
{
    s->level[i] = (float)sigma;
    s->time[i] = (float)(TRAIN_STEPS * sigma);
}

/* The lowest level is shifted when the schedule is made and again with all the others. */
void euler_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    const double lowest = shifted(1.0 / TRAIN_STEPS, shift);
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++) {
        const double part = s->steps > 1 ? (double)i / (double)(s->steps - 1) : 0.0;
        set_real(s, i, shifted(1.0 + (lowest - 1.0) * part, shift));
    }
}

/* What the pipelines of HunyuanVideo hand to the same scheduler: even from 1 to 0. */
void euler_once_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++)
        set_real(s, i, shifted(1.0 - (double)i / (double)s->steps, shift));
}

/* 1 down to 1/steps, shifted: how far below 1. In f32 as published: the network is told the levels
 * a thousandfold, where another rounding shows. */
static float below_one(const struct sampler *s, int64_t i, float shift)
{
    const double last = 1.0 / (double)s->steps;
    const double part = s->steps > 1 ? (double)i * ((last - 1.0) / (double)(s->steps - 1)) : 0.0;
    const float u = (float)(i + 1 < s->steps ? 1.0 + part : last);
    return 1.0f - shift / (shift + (1.0f / u - 1.0f));
}

/* LTX-Video and LTX-2: stretched so that the last level before 0 is 0.1. */
void euler_terminal_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    const float stretch = below_one(s, s->steps - 1, (float)shift) / (float)(1.0 - 0.1);
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++) {
        const float sigma = i > 0 ? 1.0f - below_one(s, i, (float)shift) / stretch : 1.0f;
        s->level[i] = sigma;
        s->time[i] = sigma * (float)TRAIN_STEPS;
    }
}

/* LTX-Video from 0.9.5 on: half of the steps fall in a straight line by 1/40, the rest in a
 * parabola that goes on from there and would end at 0. The scheduler is given times, and shifts the
 * levels alone. */
void euler_quadratic_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    const double drop = 0.025, steps = (double)s->steps, line = (double)(s->steps / 2);
    const double curve = steps - line, rest = line - drop * steps;
    const double square = rest / (line * curve * curve);
    const double slope = drop / line - 2.0 * rest / (curve * curve);
    (void)kind;
    for (int64_t i = 0; i < s->steps; i++) {
        const double n = (double)i;
        const double fallen =
            i < s->steps / 2 ? n * drop / line : square * n * n + slope * n + square * line * line;
        s->time[i] = (float)(s->steps > 1 ? 1.0 - fallen : 1.0) * (float)TRAIN_STEPS;
        s->level[i] = (float)shifted((double)((float)s->time[i] / (float)TRAIN_STEPS), shift);
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void data_prediction(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    p->model[0] = 1.0;
    p->model[1] = -s->level[step];
}

void euler_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    data_prediction(s, step, p);
    p->predict[0] = 1.0;
    p->predict[3] = s->level[step + 1] - s->level[step];
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
    const struct jump j = jump_between(s->level[i - 1], s->level[i]);
    double older = 0.0, newest = 0.5;
    if (i > 1) { /* the predictor before had order 2 */
        const double r = (lambda(s->level[i - 2]) - lambda(s->level[i - 1])) / j.h;
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
    const struct jump j = jump_between(s->level[i], s->level[i + 1]);
    double older = 0.0;
    if (i > 0 && i < s->steps - 1)
        older = 0.5 * j.h / (lambda(s->level[i - 1]) - lambda(s->level[i]));
    out[0] = j.keep;
    out[1] = j.weight * (1.0 - older);
    out[2] = j.weight * older;
    out[3] = 0.0;
}

void unipc_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    data_prediction(s, step, p);
    p->corrector = step > 0;
    if (p->corrector)
        correct(s, step, p->correct);
    predict(s, step, p->predict);
}
