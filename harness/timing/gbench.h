// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gbench.h   A C face for Google Benchmark (libbenchmark 1.7.1 and newer).
 *
 * One call is one registered benchmark, run with a fixed iteration count and manual time, its
 * samples handed back raw: the library's own statistics, warm-up and stopping are not used, because
 * it keeps no raw samples and cannot stop on an interval. Not reentrant. No exception leaves it. */
#ifndef PATCHMARK_GBENCH_H
#define PATCHMARK_GBENCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does the work `iterations` times; 0 for success. */
typedef int gbench_fn(void *user, int64_t iterations);

/* Runs `count` repetitions of one library iteration each, fn(user, iterations) inside, timed with
 * CLOCK_MONOTONIC and set as manual time. samples: seconds per run of the work, count entries, as
 * the library reports them. Returns 0; 1 where fn failed; 2 where the library did. */
int gbench_block(const char *name, gbench_fn *fn, void *user, int64_t iterations, int64_t count,
                 double *samples);
const char *gbench_library(void); /* "Google Benchmark, library build type debug" */

#ifdef __cplusplus
}
#endif
#endif
