// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler.h   Times of a sampler and the coefficients of its steps.
 * Two conventions, by what the network predicts:
 *   flow    x = (1 - sigma) x0 + sigma noise; the network predicts v = noise - x0
 *   noise   x = sqrt(a) x0 + sqrt(1 - a) noise, a the signal's share; the network predicts the
 *           noise or v = sqrt(a) noise - sqrt(1 - a) x0 */
#ifndef PATCHMARK_SAMPLER_H
#define PATCHMARK_SAMPLER_H

#include "denoise/ddpm_step/ddpm_step.h"
#include "denoise/sampler_step/sampler_step.h"
#include "model/model.h"

struct sampler {
    enum scheduler scheduler;
    int64_t steps;
    double *level; /* steps + 1: sigma of flow samplers, the last is 0; else a, the last is 1 */
    double *next;  /* of DDIM, the level that each step leads to */
    double *time;  /* what the transformer is told, one per step */
};

/* What a network must predict for a scheduler to make sense of it. */
enum prediction { PREDICTS_FLOW = 0, PREDICTS_NOISE, PREDICTS_VELOCITY };

const char *sampler_name(enum scheduler scheduler);
/* Which of the published ways to place noise levels it follows, for records. */
const char *sampler_grid(enum scheduler scheduler);
bool sampler_shifts(enum scheduler scheduler); /* its levels depend on a shift */
bool sampler_draws(enum scheduler scheduler);  /* takes ddpm_step, with noise in every step */

/* Refuses a scheduler that the model's network does not predict for with ST_BAD_INPUT. */
enum status sampler_fits(enum scheduler scheduler, const struct model_config *model,
                         struct fault *fault);

/* Refuses steps outside of 1 .. 1000 and shifts that are not positive, where it shifts, with
 * ST_BAD_INPUT. */
enum status sampler_new(enum scheduler scheduler, int64_t steps, double shift, struct sampler *out,
                        struct fault *fault);
void sampler_free(struct sampler *sampler);

/* Sets corrector, model, correct and predict of step 0 .. steps-1. */
void sampler_coefficients(const struct sampler *sampler, int64_t step,
                          struct sampler_step_problem *p);

/* Sets mean and log_variance of a sampler that draws; its last step takes no noise. */
void sampler_ddpm_coefficients(const struct sampler *sampler, int64_t step,
                               struct ddpm_step_problem *p);

#endif
