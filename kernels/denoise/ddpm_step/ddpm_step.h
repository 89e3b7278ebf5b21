// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ddpm_step.h   One step down a chain of noisings whose variance the network predicts, guidance
 * included.
 *   v       = uncond + guidance (cond - uncond) in the first `guided` channels (0: in all of them),
 *             cond in the others and without uncond
 *   f       = (cond[s][C + c] + 1) / 2                        (the network's share of the range)
 *   log_var = (1 - f) log_variance[0] + f log_variance[1]
 *   next    = mean[0] x + mean[1] v + exp(log_var / 2) noise,  without the last term where noise is
 *             absent
 *   The coefficients are functions of the noise levels alone, computed by the caller in double.
 * Shapes: x, noise (optional), next [S][C] f32 packed; cond, uncond (optional) f32 rows of at least
 *   2 C values, free strides; S rows are pixels of the latent.
 * Aliasing: next == x allowed; nothing else. Alignment: 64 bytes at each base.
 * Numerics: f32 maths or better. Memory: caller owns all. Threads: exec.threads.
 * Errors: none after plan() said yes.
 * Source: DDPM (arXiv 2006.11239), learned variance (arXiv 2102.09672), as DiT samples. */
#ifndef PATCHMARK_DDPM_STEP_H
#define PATCHMARK_DDPM_STEP_H

#include "op.h"

struct ddpm_step_problem {
    int64_t S, C, guided;
    double guidance;
    double mean[2], log_variance[2];
    struct tensor x, cond, uncond, noise, next;
};

#endif
