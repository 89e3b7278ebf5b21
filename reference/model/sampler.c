// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler.c   The schedulers as a table, and what all of them share. */
#include "model/sampler_kind.h"

#include <math.h>
#include <stdlib.h>

static const struct sampler_kind kinds[SCHEDULER_COUNT] = {
    [SCHEDULER_UNIPC] = {.name = "unipc",
                         .grid = "linspace-from-1",
                         .predicts = PREDICTS_FLOW,
                         .levels = unipc_levels,
                         .coefficients = unipc_coefficients},
    [SCHEDULER_EULER] = {.name = "euler",
                         .grid = "shift-twice",
                         .predicts = PREDICTS_FLOW,
                         .levels = euler_levels,
                         .coefficients = euler_coefficients},
    [SCHEDULER_UNIPC_ORIGINAL] = {.name = "unipc-original",
                                  .grid = "linspace-from-0.999",
                                  .predicts = PREDICTS_FLOW,
                                  .levels = unipc_original_levels,
                                  .coefficients = unipc_coefficients},
    /* diffusers' scheduler for DiT: no clipping, eta 0, no noise left after the last step */
    [SCHEDULER_DDIM] = {.name = "ddim",
                        .grid = "leading",
                        .predicts = PREDICTS_NOISE,
                        .levels = noise_levels,
                        .coefficients = ddim_coefficients,
                        .noise = {1e-4, 0.02, .single = true, .spacing = SPACING_LEADING}},
    /* the original DiT's: its chain of 1000 steps respaced, variance learned */
    [SCHEDULER_DDPM] = {.name = "ddpm",
                        .grid = "respaced",
                        .predicts = PREDICTS_NOISE,
                        .draws = true,
                        .levels = noise_levels,
                        .noise = {1e-4, 0.02, .spacing = SPACING_ENDS}},
    [SCHEDULER_EULER_ONCE] = {.name = "euler-once",
                              .grid = "shift-once",
                              .predicts = PREDICTS_FLOW,
                              .levels = euler_once_levels,
                              .coefficients = euler_coefficients},
    /* CogVideoX's: noise drowns the signal in the end, and a shift says how early */
    [SCHEDULER_DDIM_COGVIDEOX] = {.name = "ddim-cogvideox",
                                  .grid = "trailing",
                                  .predicts = PREDICTS_VELOCITY,
                                  .levels = noise_levels,
                                  .coefficients = ddim_coefficients,
                                  .noise = {0.00085, 0.012, .root = true, .drowned = true,
                                            .spacing = SPACING_TRAILING}},
    [SCHEDULER_EULER_TERMINAL] = {.name = "euler-terminal",
                                  .grid = "stretched-to-0.1",
                                  .predicts = PREDICTS_FLOW,
                                  .levels = euler_terminal_levels,
                                  .coefficients = euler_coefficients},
    [SCHEDULER_EULER_QUADRATIC] = {.name = "euler-quadratic",
                                   .grid = "linear-then-quadratic",
                                   .predicts = PREDICTS_FLOW,
                                   .levels = euler_quadratic_levels,
                                   .coefficients = euler_coefficients},
};

const struct sampler_kind *sampler_kind(enum scheduler scheduler) { return &kinds[scheduler]; }

const char *sampler_name(enum scheduler scheduler) { return kinds[scheduler].name; }
const char *sampler_grid(enum scheduler scheduler) { return kinds[scheduler].grid; }
bool sampler_draws(enum scheduler scheduler) { return kinds[scheduler].draws; }

bool sampler_shifts(enum scheduler scheduler)
{
    return kinds[scheduler].predicts == PREDICTS_FLOW || kinds[scheduler].noise.drowned;
}

enum status sampler_fits(enum scheduler scheduler, const struct model_config *model,
                         struct fault *fault)
{
    static const char *const what[] = {
        [PREDICTS_FLOW] = "the flow from data to noise",
        [PREDICTS_NOISE] = "the noise",
        [PREDICTS_VELOCITY] = "a velocity between data and noise",
    };
    const enum prediction wanted = kinds[scheduler].predicts;
    const enum prediction given = kinds[model->scheduler].predicts;
    if (wanted != given)
        return fault_set(fault, ST_BAD_INPUT,
                         "--scheduler %s is for networks that predict %s, and %s predicts %s; take"
                         " its own, %s",
                         sampler_name(scheduler), what[wanted], model->name, what[given],
                         sampler_name(model->scheduler));
    if (kinds[scheduler].draws && model->transformer.out_channels < 2 * model->vae.z_dim)
        return fault_set(fault, ST_BAD_INPUT,
                         "--scheduler %s needs a network that predicts a variance too, which %s"
                         " does not; take its own, %s",
                         sampler_name(scheduler), model->name, sampler_name(model->scheduler));
    return ST_OK;
}

enum status sampler_new(enum scheduler scheduler, int64_t steps, double shift, struct sampler *out,
                        struct fault *fault)
{
    *out = (struct sampler){.scheduler = scheduler, .steps = steps};
    if (steps < 1 || steps > TRAIN_STEPS)
        return fault_set(fault, ST_BAD_INPUT, "%lld denoising steps; choose 1 to %d.",
                         (long long)steps, TRAIN_STEPS);
    if (sampler_shifts(scheduler) && (!(shift > 0.0) || !isfinite(shift)))
        return fault_set(fault, ST_BAD_INPUT, "A shift of %g; choose a positive number.", shift);
    out->level = calloc((size_t)steps + 1, sizeof *out->level);
    out->next = calloc((size_t)steps, sizeof *out->next);
    out->time = calloc((size_t)steps, sizeof *out->time);
    if (!out->level || !out->next || !out->time) {
        sampler_free(out);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the noise levels");
    }
    kinds[scheduler].levels(&kinds[scheduler], out, shift);
    return ST_OK;
}

void sampler_free(struct sampler *sampler)
{
    free(sampler->level);
    free(sampler->next);
    free(sampler->time);
    *sampler = (struct sampler){0};
}

void sampler_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p)
{
    p->corrector = 0;
    for (int i = 0; i < 4; i++)
        p->correct[i] = p->predict[i] = 0.0;
    kinds[s->scheduler].coefficients(s, step, p);
}
