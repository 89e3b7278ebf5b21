// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* stopping.h   When enough has been measured: one rule for kernels, clips and sampled passes. A
 * value is what is counted and what the interval is over: the median of a block of a kernel's
 * samples, a clip, a pass. A narrow distribution-free interval of the median ends it (asked for in
 * google/benchmark #1848), else a noise plateau (nvbench has one over the standard deviation), else
 * the time budget. */
#ifndef PATCHMARK_STOPPING_H
#define PATCHMARK_STOPPING_H

#include "base/stats.h"
#include "op.h"

/* Why it ended. INTERVAL: half of the interval is within `narrow` of the median. PLATEAU: the
 * interval has stopped shrinking: more of the same would not make it narrow. BUDGET: time was up.
 * COUNT: as many as asked for, or as can be kept. Of a long run DURATION, as long as asked for, and
 * INTERRUPTED, by a signal. */
enum stop {
    STOP_NOT = 0,
    STOP_INTERVAL,
    STOP_PLATEAU,
    STOP_BUDGET,
    STOP_COUNT,
    STOP_DURATION,
    STOP_INTERRUPTED
};
const char *stop_name(enum stop stop); /* "interval", ...; STOP_NOT: NULL */

#define STOP_NARROW_KERNEL 0.01
#define STOP_NARROW_PIPELINE 0.02
#define STOP_LEAST_KERNEL 10 /* blocks before an interval is believed */

struct stop_rule {
    double narrow;
    int64_t least;  /* values below which neither interval nor plateau ends it */
    int64_t fewest; /* values that are waited for whatever the budget */
    int64_t exact;  /* values asked for, which alone end it then; 0: none were */
    int64_t most;   /* values that can be kept */
    double budget_s;
    double overrun; /* share of the budget on top, while there are too few for an interval */
};

#define STOP_LOOKS 192

/* How the interval fared so far. Zero-initialised. */
struct stopping {
    int looks;
    double n[STOP_LOOKS], width[STOP_LOOKS];
};

/* Half of the interval over the median; infinite where n is below MEASURE_LEAST_SAMPLES. */
double stop_width(const struct summary *s);
/* Remembers the interval of what was measured so far; to be called after every value. */
void stop_look(struct stopping *s, const struct summary *summary);
/* The half width falls with the square root of n where the noise is independent. Where its slope in
 * logarithms over the last three quarters of the values is no steeper than a tenth of that, and
 * there are enough values to tell, it has stopped shrinking: the noise has two levels, drifts or
 * comes in bursts. */
bool stop_at_plateau(const struct stopping *s);
/* Whether to end after `summary->n` values and `spent_s` seconds, where the next value takes about
 * `next_s`. */
enum stop stop_decide(const struct stop_rule *rule, const struct stopping *s,
                      const struct summary *summary, double spent_s, double next_s);
/* The sentence of the status `unstable`, or false where the interval is narrow: whatever ended it,
 * a time whose interval is wide is not called stable. `what`: "blocks", "clips", "passes". */
bool stop_unstable(const struct stop_rule *rule, enum stop stop, const struct summary *summary,
                   const char *what, char *reason, size_t bytes);

#endif
