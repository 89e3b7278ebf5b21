// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_settle.c   A device is warm when its clock and its power are flat, whatever the kernel's
 * times say: clocks of a GPU swing for seconds after the first load (CUTLASS's guidelines for
 * measuring). All variants take turns, as they will while they are timed. */
#include <math.h>
#include <stdlib.h>

#include "base/patchmark.h"
#include "contest/kernels.h"

#define TURN_SECONDS 0.25 /* of one variant: a dozen looks of the driver */
#define MOST_SECONDS 6.0
#define SHARE 0.25 /* of the budget, at most */
#define CLOCK_WITHIN 0.01
#define POWER_WITHIN 0.03

/* Median of one figure over some looks; NaN where the driver does not tell it. */
static double middle(const struct nvml_sample *s, int64_t count, enum nvml_figure figure)
{
    double *value = malloc((size_t)(count + 1) * sizeof *value), result = NAN;
    int64_t n = 0;
    for (int64_t i = 0; value && i < count; i++)
        if (!isnan(s[i].figure[figure]))
            value[n++] = s[i].figure[figure];
    if (n > 0)
        result = stats_median(value, n);
    free(value);
    return result;
}

/* A figure that is not told is no hindrance. */
static bool near(double before, double after, double within)
{
    return isnan(before) || isnan(after) || fabs(after / before - 1) <= within;
}

bool settle_flat(const struct nvml_sample *before, int64_t befores, const struct nvml_sample *after,
                 int64_t afters)
{
    return befores > 0 && afters > 0 &&
           near(middle(before, befores, NVML_SM_CLOCK), middle(after, afters, NVML_SM_CLOCK),
                CLOCK_WITHIN) &&
           near(middle(before, befores, NVML_POWER), middle(after, afters, NVML_POWER),
                POWER_WITHIN);
}

static void one_round(struct contest *c, struct nvml_window *w)
{
    int64_t runs;
    double busy_s;
    nvml_window_open(c->nvml, w);
    for (int i = 0; i < c->count && !interrupted_by; i++)
        if (c->arms[i].worker)
            arm_soak(c, &c->arms[i], TURN_SECONDS, &runs, &busy_s);
    nvml_window_close(c->nvml, w);
}

void contest_settle(struct contest *c)
{
    const double begin = clock_seconds(), most = fmin(MOST_SECONDS, SHARE * c->options->budget);
    struct nvml_window w = {0};
    int64_t before = 0, first = 0;
    if (!c->nvml)
        return;
    do {
        before = first;
        first = w.count;
        one_round(c, &w);
        c->settled =
            settle_flat(w.samples + before, first - before, w.samples + first, w.count - first);
    } while (!c->settled && !interrupted_by && clock_seconds() - begin < most);
    c->settle_seconds = clock_seconds() - begin;
    nvml_window_free(&w);
}
