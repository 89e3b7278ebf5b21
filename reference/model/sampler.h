// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler.h   Noise levels of a flow-matching sampler and the coefficients of its steps.
 * Model convention: x = (1 - sigma) x0 + sigma noise, the network predicts v = noise - x0. */
#ifndef PATCHMARK_SAMPLER_H
#define PATCHMARK_SAMPLER_H

#include "denoise/sampler_step/sampler_step.h"
#include "model/model.h"

struct sampler {
    enum scheduler scheduler;
    int64_t steps;
    double *sigma; /* steps + 1 levels, each an f32 value; the last is 0 */
    double *time;  /* what the transformer is told, one per step */
};

/* Refuses steps under 1 and shifts that are not positive with ST_BAD_INPUT. */
enum status sampler_new(enum scheduler scheduler, int64_t steps, double shift, struct sampler *out,
                        struct fault *fault);
void sampler_free(struct sampler *sampler);

/* Sets corrector, model, correct and predict of step 0 .. steps-1. */
void sampler_coefficients(const struct sampler *sampler, int64_t step,
                          struct sampler_step_problem *p);

#endif
