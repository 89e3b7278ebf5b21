// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "timing/stopping.h"

#include <inttypes.h>
#include <math.h>

#include "timing/measure.h"

/* Looks lie apart by at least this factor of n, so that few of them cover any number of values. */
#define LOOK_STEP 1.05
/* With fewer values order statistics jump too much for a slope; with these, independent noise is
 * taken for a plateau about one time in twenty, over hundreds of looks. */
#define PLATEAU_LEAST 48
#define PLATEAU_SHARE 0.25  /* of the values, the first, which do not count */
#define PLATEAU_SLOPE -0.05 /* independent noise: -0.5 */

const char *stop_name(enum stop stop)
{
    static const char *const names[] = {NULL,    "interval", "plateau",    "budget",
                                        "count", "duration", "interrupted"};
    return names[stop];
}

double stop_width(const struct summary *s)
{
    return s->n >= MEASURE_LEAST_SAMPLES ? (s->hi - s->lo) / 2 / s->median : INFINITY;
}

void stop_look(struct stopping *s, const struct summary *summary)
{
    const double n = (double)summary->n, width = stop_width(summary);
    const double last = s->looks ? s->n[s->looks - 1] : 0;
    if (s->looks == STOP_LOOKS || n < LOOK_STEP * last || n <= last || !(width > 0) || isinf(width))
        return;
    s->n[s->looks] = n;
    s->width[s->looks++] = width;
}

bool stop_at_plateau(const struct stopping *s)
{
    if (!s->looks || s->n[s->looks - 1] < PLATEAU_LEAST)
        return false;
    int first = 0;
    while (s->n[first] < PLATEAU_SHARE * s->n[s->looks - 1])
        first++;
    return stats_loglog_slope(s->n + first, s->width + first, s->looks - first) > PLATEAU_SLOPE;
}

enum stop stop_decide(const struct stop_rule *rule, const struct stopping *s,
                      const struct summary *summary, double spent_s, double next_s)
{
    const int64_t n = summary->n, least = rule->least > rule->fewest ? rule->least : rule->fewest;
    const double budget_s =
        n < MEASURE_LEAST_SAMPLES ? (1 + rule->overrun) * rule->budget_s : rule->budget_s;
    if (rule->exact)
        return n >= rule->exact ? STOP_COUNT : STOP_NOT;
    if (n >= least && stop_width(summary) <= rule->narrow)
        return STOP_INTERVAL;
    if (n >= rule->most)
        return STOP_COUNT;
    if (n >= least && stop_at_plateau(s))
        return STOP_PLATEAU;
    return n >= rule->fewest && spent_s + next_s > budget_s ? STOP_BUDGET : STOP_NOT;
}

bool stop_unstable(const struct stop_rule *rule, enum stop stop, const struct summary *summary,
                   const char *what, char *reason, size_t bytes)
{
    const double width = stop_width(summary);
    reason[0] = '\0';
    if (width <= rule->narrow)
        return false;
    if (summary->n < MEASURE_LEAST_SAMPLES)
        snprintf(reason, bytes, "%" PRId64 " of the least %d %s; raise --budget", summary->n,
                 MEASURE_LEAST_SAMPLES, what);
    else
        snprintf(reason, bytes, "+-%.2g %% of the median after %" PRId64 " %s, above %.0f %%: %s",
                 100 * width, summary->n, what, 100 * rule->narrow,
                 stop == STOP_PLATEAU ? "more would not narrow it, the machine is not quiet"
                                      : "a larger --budget or a quieter machine may help");
    return true;
}
