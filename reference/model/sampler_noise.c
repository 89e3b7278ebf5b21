// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_noise.c   Steps of the samplers for diffusion by a chain of noisings, of which the signal
 * keeps the share a: a_k = (1 - beta_0) ... (1 - beta_k). */
#include "model/sampler_kind.h"

#include <math.h>

/* ---- signal shares --------------------------------------------------------------------------- */

/* Shares a / (shift + (1 - shift) a), signal to noise divided by the shift; then their roots are moved
 * and stretched so that the last is 0 and the first stays (arXiv 2305.08891, algorithm 1). */
static void drown(double shift, double share[TRAIN_STEPS])
{
    for (int k = 0; k < TRAIN_STEPS; k++)
        share[k] = sqrt(share[k] / (shift + (1.0 - shift) * share[k]));
    const double first = share[0], last = share[TRAIN_STEPS - 1];
    for (int k = 0; k < TRAIN_STEPS; k++) {
        const double root = (share[k] - last) * first / (first - last);
        share[k] = root * root;
    }
}

/* The share after each of training's steps. In f32 what is rounded is beta, 1 - beta and the
 * share, while the product is kept in double. */
static void signal_shares(const struct noise_schedule *n, double shift, double share[TRAIN_STEPS])
{
    const double first = n->root ? sqrt(n->first) : n->first;
    const double last = n->root ? sqrt(n->last) : n->last;
    double product = 1.0;
    for (int k = 0; k < TRAIN_STEPS; k++) {
        const double line = first + (last - first) * k / (TRAIN_STEPS - 1);
        const double beta = n->root ? line * line : line;
        product *= n->single ? (double)(1.0f - (float)beta) : 1.0 - beta;
        share[k] = n->single ? (float)product : product;
    }
    if (n->drowned)
        drown(shift, share);
}

/* Training's step that is visited as the i-th from the quiet end. The original DiT adds its strides
 * up and rounds halves to even. */
static int64_t visited(enum spacing spacing, int64_t i, int64_t steps)
{
    if (spacing == SPACING_LEADING)
        return i * (TRAIN_STEPS / steps);
    if (spacing == SPACING_TRAILING)
        return (int64_t)rint(TRAIN_STEPS - (double)(steps - 1 - i) * TRAIN_STEPS / (double)steps) -
               1;
    const double stride = steps > 1 ? (double)(TRAIN_STEPS - 1) / (double)(steps - 1) : 1.0;
    double at = 0.0;
    for (int64_t k = 0; k < i; k++)
        at += stride;
    return (int64_t)rint(at);
}

void noise_levels(const struct sampler_kind *kind, struct sampler *s, double shift)
{
    double share[TRAIN_STEPS];
    const int64_t stride = TRAIN_STEPS / s->steps;
    signal_shares(&kind->noise, shift, share);
    for (int64_t i = 0; i < s->steps; i++) {
        const int64_t k = visited(kind->noise.spacing, s->steps - 1 - i, s->steps);
        s->time[i] = (double)k;
        s->level[i] = share[k];
        /* whole strides, even where the next step visited is not that far */
        s->next[i] = k < stride ? 1.0 : share[k - stride];
    }
    s->level[s->steps] = 1.0;
}

/* ---- DDIM (arXiv 2010.02502), eta 0 ---------------------------------------------------------- */

/* m is the data x0 and e the noise, both linear in x and the prediction v;
 * next = sqrt(a') x0 + sqrt(1 - a') e. */
void ddim_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    const double signal = sqrt(s->level[step]), noise = sqrt(1.0 - s->level[step]);
    const double next = sqrt(s->next[step]), left = sqrt(1.0 - s->next[step]);
    const bool velocity = sampler_kind(s->scheduler)->predicts == PREDICTS_VELOCITY;
    p->model[0] = velocity ? signal : 1.0 / signal;
    p->model[1] = velocity ? -noise : -noise / signal;
    p->predict[0] = velocity ? left * noise : 0.0;
    p->predict[1] = next;
    p->predict[3] = velocity ? left * signal : left;
}

/* ---- DDPM (arXiv 2006.11239) with the variance of arXiv 2102.09672 --------------------------- */

/* From share a to share b of the next, less noisy step: beta = 1 - a/b, the data prediction
 * x0 = (x - sqrt(1 - a) v) / sqrt(a),
 * mean = (sqrt(b) beta x0 + sqrt(1 - beta) (1 - b) x) / (1 - a). The variance lies between beta (1 - b) / (1 - a) and beta. */
void sampler_ddpm_coefficients(const struct sampler *s, int64_t step, struct ddpm_step_problem *p)
{
    const double a = s->level[step], b = s->level[step + 1], beta = 1.0 - a / b;
    const double data = sqrt(b) * beta / (1.0 - a), same = sqrt(1.0 - beta) * (1.0 - b) / (1.0 - a);
    const bool last = step == s->steps - 1; /* its variance is 0 and not used */
    p->mean[0] = data / sqrt(a) + same;
    p->mean[1] = -data * sqrt(1.0 - a) / sqrt(a);
    p->log_variance[0] = last ? 0.0 : log(beta * (1.0 - b) / (1.0 - a));
    p->log_variance[1] = last ? 0.0 : log(beta);
}
