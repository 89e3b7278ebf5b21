// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* measure.h   Timing: one interface, two back ends that a test holds to agree. */
#ifndef PATCHMARK_MEASURE_H
#define PATCHMARK_MEASURE_H

#include "counters/counters.h"
#include "op.h"

/* The measured body: `iterations` runs of the work, nothing else. Returns the work's status. */
typedef enum status measured_fn(void *user, int64_t iterations);

/* The first two time what runs on the CPU, the last what a CUDA device does. */
enum backend { BACKEND_LOOP = 0, BACKEND_GBENCH, BACKEND_EVENTS };
const char *backend_name(enum backend backend);
bool backend_built(enum backend backend); /* for measure_block */
enum backend backend_default(void);       /* Google Benchmark where it is built in */

/* One block: `count` samples, each `iterations` runs of fn timed together; seconds per run go to
 * samples. The clock is CLOCK_MONOTONIC (loop) or the library's manual time from the same clock. */
enum status measure_block(enum backend backend, const char *name, measured_fn *fn, void *user,
                          int64_t iterations, int64_t count, double *samples, struct fault *fault);

/* The same where fn only enqueues: times are the device's own, between marks in its stream. *wall:
 * seconds of the whole block by our clock, which cannot be less than the device's. */
struct gpu;
enum status measure_events(struct gpu *gpu, const char *name, measured_fn *fn, void *user,
                           int64_t iterations, int64_t count, double *samples, double *wall,
                           struct fault *fault);
/* False where the two clocks cannot both be right about a block; why in *reason. */
bool measure_clocks_agree(double events, double wall, char *reason, size_t bytes);

double clock_seconds(void); /* CLOCK_MONOTONIC */

/* What makes a time worth reading, wherever one is judged. */
#define MEASURE_PEAK_SLACK 1.1  /* roofs are measured too; a neighbour may dent them */
#define MEASURE_LEAST_SAMPLES 6 /* the fewest whose extremes cover the median with 95 % */

/* Floating-point peak of this machine as it is now: independent FMAs on `threads` threads, best of
 * the vector sets this build and machine have (`isa` names it), flops per second. About 50 ms. */
double measure_fma_peak(int threads, const char **isa);
double measure_fma_peak_of(uint64_t cpu_feature, int threads); /* 0 where not built or not here */

/* The roof of a numerics class on this CPU: the fastest arithmetic that a variant of that class may
 * use, f32 always among it, operations per second (a multiply-add is two). Classes whose types no
 * CPU multiplies, as fp8, may use any unit. About 20 ms for each unit that is tried. */
double measure_peak_of_class(enum numerics numerics, int threads, const char **isa);

/* One unit of this CPU and what it multiplies: peak_units() of them, whether they are here or not.
 * NULL `why`: it can be measured. peak_sample() is the rate over about `seconds` per thread. */
struct peak_unit {
    const char *isa; /* "avx512", "amx_bf16", ... */
    enum elem elem;  /* f64, f32, bf16, f16, int8 */
    const char *why; /* why it is not here, static text */
    uint64_t needs;  /* CPU_* */
};
int peak_units(void);
struct peak_unit peak_unit_at(int index);
double peak_sample(int index, int threads, double seconds);
/* The unit whose rate stands for the clock: f32 in vectors that no processor slows down for. */
int peak_guard_unit(void);
/* Copy bandwidth of buffers over twice the last-level cache, bytes per second (read + write). */
double measure_copy_bandwidth(int threads);
/* Likewise within the memory of a CUDA device; 0 where it has no room for the buffers. */
enum status measure_device_copy(struct gpu *gpu, double *bytes_per_second, struct fault *fault);

#endif
