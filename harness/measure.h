// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* measure.h   Timing: one interface, two back ends that a test holds to agree. */
#ifndef PATCHMARK_MEASURE_H
#define PATCHMARK_MEASURE_H

#include "op.h"

/* When samples are enough, and when a figure is not to be believed. */
#define MEASURE_LEAST_SAMPLES 6 /* the fewest whose extremes cover the median with 95% */
#define MEASURE_WIDE 0.05       /* half width of the interval over the median: unstable above */
#define MEASURE_PEAK_SLACK 1.1  /* the peak is measured too, and a neighbour may dent it */

/* The measured body: `iterations` runs of the work, nothing else. Returns the work's status. */
typedef enum status measured_fn(void *user, int64_t iterations);

enum backend { BACKEND_LOOP = 0, BACKEND_GBENCH };
const char *backend_name(enum backend backend);
bool backend_built(enum backend backend);
enum backend backend_default(void); /* Google Benchmark where it is built in */

/* One block: `count` samples, each `iterations` runs of fn timed together; seconds per run go to
 * samples. The clock is CLOCK_MONOTONIC (loop) or the library's manual time from the same clock. */
enum status measure_block(enum backend backend, const char *name, measured_fn *fn, void *user,
                          int64_t iterations, int64_t count, double *samples, struct fault *fault);

double clock_seconds(void); /* CLOCK_MONOTONIC */

/* What makes a time worth reading, wherever one is judged. */
#define MEASURE_PEAK_SLACK 1.1  /* roofs are measured too; a neighbour may dent them */
#define MEASURE_LEAST_SAMPLES 6 /* fewer carry no 95 % interval of the median */
#define MEASURE_WIDE 0.05       /* half an interval over its median; above: unstable */

/* Floating-point peak of this machine as it is now: independent FMAs on `threads` threads, best of
 * the vector sets this build and machine have (`isa` names it), flops per second. About 50 ms. */
double measure_fma_peak(int threads, const char **isa);
double measure_fma_peak_of(uint64_t cpu_feature, int threads); /* 0 where not built or not here */
/* Copy bandwidth of buffers over twice the last-level cache, bytes per second (read + write). */
double measure_copy_bandwidth(int threads);

/* Counters around a stretch of work, through PAPI. Unavailable ones carry their reason. */
#define COUNTERS_MAX 16
struct counter {
    const char *name;
    bool available;
    bool threads; /* threads started after counters_open are counted as well */
    int64_t value;
    char why[160];
};
struct counters;
enum status counters_open(const char *names, struct counters **out,
                          struct fault *fault); /* a,b,c */
void counters_start(struct counters *c);
void counters_stop(struct counters *c);
int counters_count(const struct counters *c);
const struct counter *counters_at(const struct counters *c, int index);
void counters_free(struct counters *c);

#endif
