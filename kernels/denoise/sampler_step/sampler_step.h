// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sampler_step.h   One step of a multistep diffusion solver, guidance included.
 *   v         = uncond + guidance (cond - uncond) in the first `guided` channels (0: in all of
 *               them), cond in the others and without uncond
 *   m         = model[0] x + model[1] v                       (the solver's data prediction)
 *   corrected = correct[0] last + correct[1] m1 + correct[2] m2 + correct[3] m,  or x if corrector
 *   0 next      = predict[0] corrected + predict[1] m + predict[2] m1 + predict[3] v
 *   The coefficients are functions of the noise levels alone, computed by the caller in double.
 * Shapes: all [S][C] f32: x, cond, uncond (optional), last (the previous step's `corrected`),
 *   m1, m2 (data predictions one and two steps ago; optional where their coefficients are 0; not
 *   read then), m, corrected, next. S rows of C channels are pixels of the latent.
 *   Strides: cond and uncond free between rows (a network may predict more than the C channels
 *   read here), the others packed.
 * Aliasing: next == x, corrected == last and m == m2 allowed; nothing else.
 * Alignment: 64 bytes at each base. Numerics: f32 maths or better. Memory: caller owns all.
 * Threads: exec.threads. Errors: none after plan() said yes.
 * Source: UniPC (arXiv 2302.04867); flow-matching Euler; DDIM (arXiv 2010.02502). */
#ifndef PATCHMARK_SAMPLER_STEP_H
#define PATCHMARK_SAMPLER_STEP_H

#include "op.h"

struct sampler_step_problem {
    int64_t S, C;
    int64_t corrector; /* 0 or 1 */
    double guidance;
    double model[2], correct[4], predict[4];
    struct tensor x, cond, uncond, last, m1, m2, m, corrected, next;
    int64_t guided; /* channels that guidance acts on; 0: all */
};

#endif
