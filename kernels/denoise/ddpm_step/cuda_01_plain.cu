// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ddpm_step/cuda_01_plain.cu
 * Idea:     a thread per element, as written, in double; every operand of an element is read before
 *           it is written.
 * Differs:  the first of its op on a GPU.   Bound: the launch; a latent of DiT is small.
 * Source:   the contract.
 * Floor:    S=4096, C=4: seven values of f32 an element are 0.5 MB, nothing beside the launch.
 * Outcome:  not yet run on a GPU. */
#include "denoise/ddpm_step/ddpm_step.h"
#include "target/cuda.h"

#define THREADS 256

static bool plan(const struct ddpm_step_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!cuda_is(&p->x, ELEM_F32) || !cuda_is(&p->cond, ELEM_F32) || !cuda_is(&p->next, ELEM_F32) ||
        !cuda_is_f32_or_absent(&p->uncond) || !cuda_is_f32_or_absent(&p->noise))
        need->reason = "all tensors must be f32";
    return !need->reason;
}

GPU_FN double value(const struct tensor *t, int64_t i) { return ((const float *)t->data)[i]; }

static __global__ void __launch_bounds__(THREADS) ddpm_step(const struct ddpm_step_problem p)
{
    const int64_t guided = p.guided ? p.guided : p.C;
    for (int64_t i = cuda_thread(); i < p.S * p.C; i += cuda_threads()) {
        int64_t s = i / p.C, c = i % p.C, at = s * p.cond.stride + c;
        double v = value(&p.cond, at);
        if (cuda_given(&p.uncond) && c < guided) {
            double uncond = value(&p.uncond, s * p.uncond.stride + c);
            v = uncond + p.guidance * (v - uncond);
        }
        double y = p.mean[0] * value(&p.x, i) + p.mean[1] * v;
        if (cuda_given(&p.noise)) {
            double f = (value(&p.cond, at + p.C) + 1.0) / 2;
            double log_var = (1 - f) * p.log_variance[0] + f * p.log_variance[1];
            y += exp(log_var / 2) * value(&p.noise, i);
        }
        ((float *)p.next.data)[i] = (float)y;
    }
}

static enum status run(const struct ddpm_step_problem *p, const struct exec *exec)
{
    LAUNCH(ddpm_step, cuda_grid(p->S * p->C, THREADS), THREADS, 0, exec->stream, *p);
    return LAUNCHED();
}

VARIANT(ddpm_step, cuda_01_plain, .needs = GPU_CUDA, .numerics = NUM_F32);
