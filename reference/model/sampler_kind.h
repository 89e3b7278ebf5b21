// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_kind.h   A scheduler as a row of sampler.c's table. Internal to reference/model. */
#ifndef PATCHMARK_SAMPLER_KIND_H
#define PATCHMARK_SAMPLER_KIND_H

#include "model/sampler.h"

#define TRAIN_STEPS 1000

/* Which of the training's steps a sampler visits. */
enum spacing {
    SPACING_LEADING = 0, /* every (1000 / N)th from 0 up */
    SPACING_ENDS,        /* from the first to the last, evenly, rounded to even */
    SPACING_TRAILING     /* every (1000 / N)th from the last down, rounded to even */
};

/* How much noise training added. */
struct noise_schedule {
    double first, last; /* beta of the first and the last step, linear in between */
    bool root;          /* its root is what is linear */
    bool drowned;       /* shifted in signal to noise, and no signal is left in the last step */
    bool single;        /* made in f32, as diffusers does, which the shares' last digits show */
    enum spacing spacing;
};

struct sampler_kind {
    const char *name, *grid;
    enum prediction predicts;
    bool draws;
    /* fills level and time; shift as in sampler_new() */
    void (*levels)(const struct sampler_kind *kind, struct sampler *s, double shift);
    void (*coefficients)(const struct sampler *s, int64_t step, struct sampler_step_problem *p);
    struct noise_schedule noise; /* where it does not predict flow */
};

const struct sampler_kind *sampler_kind(enum scheduler scheduler);

/* sampler_flow.c */
void unipc_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void unipc_original_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void unipc_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p);
void euler_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void euler_once_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void euler_terminal_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void euler_quadratic_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void euler_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p);

/* sampler_noise.c */
void noise_levels(const struct sampler_kind *kind, struct sampler *s, double shift);
void ddim_coefficients(const struct sampler *s, int64_t step, struct sampler_step_problem *p);

#endif
