// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_passes.c   The timing of a sampled case, seen from the supervisor: pass after pass, until their
 * sum is known well enough. */
#include "base/worker.h"
#include "run/run_case.h"
#include "timing/measure.h"

static void sum_up(struct outcome *o)
{
    struct sampled *s = &o->sampled;
    double pass_ns[SAMPLE_PASSES_MAX];
    sampled_sum_up(s, o->c.spec.seed);
    for (int i = 0; i < s->passes; i++)
        o->total[i] = pass_ns[i] = 1e9 * s->pass_s[i];
    o->samples = s->passes;
    o->summary = stats_summary(pass_ns, s->passes);
    o->summary.median = 1e9 * s->total_s;
    o->summary.lo = 1e9 * s->lo_s;
    o->summary.hi = 1e9 * s->hi_s;
    o->summary.level = s->passes >= MEASURE_LEAST_SAMPLES ? 0.95 : 0;
}

/* Parts differ more than their sum does, and each has an interval of its own: more passes, and a
 * narrower interval, than clips need. */
static struct stop_rule pass_rule(const struct run_limits *limits)
{
    const bool more = limits->least_samples > MEASURE_LEAST_SAMPLES;
    return (struct stop_rule){.narrow = STOP_NARROW_PIPELINE / 2,
                              .least = 2 * MEASURE_LEAST_SAMPLES,
                              .fewest = more ? limits->least_samples : MEASURE_LEAST_SAMPLES,
                              .most = SAMPLE_PASSES_MAX,
                              .budget_s = limits->budget_s};
}

/* As guard_clip. */
static enum status guard_pass(struct outcome *o, struct fault *fault)
{
    const uint8_t flags = guard_judge(&o->guard, &o->look, false, o->sampled.passes - 1);
    sum_up(o);
    TRY(outcome_keep(o, o->sampled.pass_s[o->sampled.passes - 1], flags, fault));
    if (!(flags & RAW_DISCARDED))
        return ST_OK;
    o->samples = --o->sampled.passes;
    o->summary = (struct summary){.n = 0};
    if (o->sampled.passes > 0)
        sum_up(o);
    return ST_OK;
}

/* The budget counts from the worker's first line: choosing and verifying tiles is most of it. */
static enum status time_passes(struct worker *w, const struct run_limits *limits, struct outcome *o,
                               double started_s, struct fault *fault)
{
    const struct stop_rule rule = pass_rule(limits);
    for (o->stop = STOP_NOT; !o->stop;) {
        const double begin = clock_seconds();
        o->asked = true;
        TRY(worker_send(w, "pass", fault));
        TRY(outcome_wait(o, w, limits, "times", fault));
        const double now = clock_seconds();
        TRY(guard_pass(o, fault));
        stop_look(&o->stopping, &o->summary);
        o->stop = stop_decide(&rule, &o->stopping, &o->summary, now - started_s, now - begin);
        outcome_progress(o, fmin(1, fmax(0.5, (now - started_s) / limits->budget_s)));
    }
    return ST_OK;
}

enum status outcome_passes(struct outcome *o, struct worker *w, const struct run_limits *limits,
                           double started_s, struct fault *fault)
{
    TRY(time_passes(w, limits, o, started_s, fault));
    TRY(worker_send(w, "end", fault));
    TRY(outcome_wait(o, w, limits, "bye", fault));
    outcome_judge(o);
    return ST_OK;
}
