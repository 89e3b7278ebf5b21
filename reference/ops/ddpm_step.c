// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ddpm_step.c   Definition of ddpm_step.h. */
#include "denoise/ddpm_step/ddpm_step.h"
#include "ops/load.h"
#include "ref.h"

/* The guided prediction; adds the sum of |terms| to *size. */
static double guided(const struct ddpm_step_problem *p, int64_t row, int64_t c, double *size)
{
    double cond = load_at(&p->cond, row, c);
    *size = fabs(cond);
    if (!tensor_given(&p->uncond) || (p->guided && c >= p->guided))
        return cond;
    double uncond = load_at(&p->uncond, row, c);
    *size = fabs(uncond) + fabs(p->guidance) * (fabs(cond) + fabs(uncond));
    return uncond + p->guidance * (cond - uncond);
}

/* An error of the logarithm is one of its exponential's relative error. */
static double noise_term(const struct ddpm_step_problem *p, int64_t row, int64_t c, double *size)
{
    if (!tensor_given(&p->noise))
        return 0;
    double f = (load_at(&p->cond, row, p->C + c) + 1) / 2;
    double low = (1 - f) * p->log_variance[0], high = f * p->log_variance[1];
    double term = exp((low + high) / 2) * load(&p->noise, row * p->C + c);
    *size += fabs(term) * (1 + (fabs(low) + fabs(high)) / 2);
    return term;
}

void ref_ddpm_step(const struct ddpm_step_problem *p, int output, int64_t row, double *value,
                   double *mag)
{
    (void)output;
    for (int64_t c = 0; c < p->C; c++) {
        double x = load(&p->x, row * p->C + c), size, v = guided(p, row, c, &size);
        size = fabs(p->mean[0] * x) + fabs(p->mean[1]) * size;
        value[c] = p->mean[0] * x + p->mean[1] * v + noise_term(p, row, c, &size);
        if (mag)
            mag[c] = size;
    }
}
