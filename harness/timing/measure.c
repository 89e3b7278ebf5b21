// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "timing/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/patchmark.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "timing/gbench.h"

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static enum status loop_block(const char *name, measured_fn *fn, void *user, int64_t iterations,
                              int64_t count, double *samples, struct fault *fault)
{
    for (int64_t i = 0; i < count; i++) {
        double begin = clock_seconds();
        enum status s = fn(user, iterations);
        samples[i] = (clock_seconds() - begin) / (double)iterations;
        if (s != ST_OK)
            return fault_set(fault, s, "%s failed while it was timed", name);
    }
    return ST_OK;
}

#ifdef HAVE_BENCHMARK
struct gbench_call {
    measured_fn *fn;
    void *user;
    enum status status;
};

static int gbench_body(void *user, int64_t iterations)
{
    struct gbench_call *call = user;
    call->status = call->fn(call->user, iterations);
    return call->status != ST_OK;
}

static enum status gbench_back_end(const char *name, measured_fn *fn, void *user,
                                   int64_t iterations, int64_t count, double *samples,
                                   struct fault *fault)
{
    struct gbench_call call = {fn, user, ST_OK};
    int failed = gbench_block(name, gbench_body, &call, iterations, count, samples);
    if (failed == 2)
        return fault_set(fault, ST_DEVICE, "Google Benchmark gave no times for %s", name);
    if (failed)
        return fault_set(fault, call.status, "%s failed while it was timed", name);
    return ST_OK;
}
#else
#define gbench_back_end NULL
#endif

static const struct {
    const char *name;
    enum status (*block)(const char *, measured_fn *, void *, int64_t, int64_t, double *,
                         struct fault *);
} backends[] = {
    [BACKEND_LOOP] = {"loop", loop_block},
    [BACKEND_GBENCH] = {"gbench", gbench_back_end},
    [BACKEND_EVENTS] = {"events", NULL},
};

const char *backend_name(enum backend backend) { return backends[backend].name; }

bool backend_built(enum backend backend) { return backends[backend].block != NULL; }

enum backend backend_default(void)
{
    return backend_built(BACKEND_GBENCH) ? BACKEND_GBENCH : BACKEND_LOOP;
}

enum status measure_block(enum backend backend, const char *name, measured_fn *fn, void *user,
                          int64_t iterations, int64_t count, double *samples, struct fault *fault)
{
    if (!backend_built(backend))
        return fault_set(fault, ST_NOT_BUILT, "the %s back end is not built in; use --backend loop",
                         backend_name(backend));
    return backends[backend].block(name, fn, user, iterations, count, samples, fault);
}

/* ---- a CUDA device --------------------------------------------------------------------------- */

/* Nothing waits between samples, so that the device never does; a mark is the end of one and the
 * beginning of the next. */
static enum status enqueue(struct gpu *gpu, const char *name, measured_fn *fn, void *user,
                           int64_t iterations, int64_t count, struct fault *fault)
{
    TRY(gpu_mark(gpu, 0, fault));
    for (int64_t i = 0; i < count; i++) {
        enum status s = fn(user, iterations);
        if (s != ST_OK)
            return fault_set(fault, s, "%s failed while it was timed", name);
        TRY(gpu_mark(gpu, (int)i + 1, fault));
    }
    return gpu_sync_device(gpu, fault);
}

enum status measure_events(struct gpu *gpu, const char *name, measured_fn *fn, void *user,
                           int64_t iterations, int64_t count, double *samples, double *wall,
                           struct fault *fault)
{
    TRY(gpu_sync_device(gpu, fault));
    double begin = clock_seconds();
    TRY(enqueue(gpu, name, fn, user, iterations, count, fault));
    *wall = clock_seconds() - begin;
    for (int64_t i = 0; i < count; i++) {
        TRY(gpu_elapsed(gpu, (int)i, (int)i + 1, &samples[i], fault));
        samples[i] /= (double)iterations;
    }
    return ST_OK;
}

/* Marks stand one behind the other in the stream, so the device's times add up to all between the
 * first and the last, and the two clocks agree but for the way to the first mark and the wake-up
 * after the last. That is what the wall may have on top of 5 %; a block of a few ms, of which it is
 * a large part, is held to nothing closer. The device's time has nothing on top. */
#define CLOCKS_SLACK 1.05
#define CLOCKS_WAYS 0.0005 /* of first launch and last wake-up */
#define CLOCKS_SECONDS 0.005

bool measure_clocks_agree(double events, double wall, char *reason, size_t bytes)
{
    bool longer = events > CLOCKS_SECONDS && events > CLOCKS_SLACK * wall;
    bool shorter = wall > CLOCKS_SECONDS && wall > CLOCKS_SLACK * events + CLOCKS_WAYS;
    if (longer || shorter)
        snprintf(reason, bytes,
                 "the device says %.4g ms of a block that took %.4g ms by the wall: over 5 %%"
                 " apart",
                 1e3 * events, 1e3 * wall);
    return !longer && !shorter;
}

#define DEVICE_COPY_BYTES ((size_t)1 << 30)
#define DEVICE_COPY_TRIALS 8

struct device_copy {
    struct gpu *gpu;
    void *from, *to;
    size_t bytes;
};

static enum status copy_many(void *user, int64_t iterations)
{
    const struct device_copy *c = user;
    for (int64_t i = 0; i < iterations; i++)
        TRY(gpu_copy(c->gpu, c->to, c->from, c->bytes, NULL));
    return ST_OK;
}

static enum status time_copies(struct device_copy *c, double *rate, struct fault *fault)
{
    double seconds[DEVICE_COPY_TRIALS], wall, best = 0;
    TRY(gpu_fill(c->gpu, c->from, 1, c->bytes, fault));
    TRY(measure_events(c->gpu, "a copy", copy_many, c, 2, DEVICE_COPY_TRIALS, seconds, &wall,
                       fault));
    for (int i = 0; i < DEVICE_COPY_TRIALS; i++)
        best = fmax(best, 2.0 * (double)c->bytes / seconds[i]);
    *rate = best;
    return ST_OK;
}

enum status measure_device_copy(struct gpu *gpu, double *bytes_per_second, struct fault *fault)
{
    struct device_copy c = {.gpu = gpu};
    size_t room = 0;
    *bytes_per_second = 0;
    TRY(gpu_memory_free(gpu, &room, fault));
    c.bytes = room / 4 < DEVICE_COPY_BYTES ? room / 4 : DEVICE_COPY_BYTES;
    if (c.bytes < 4 * gpu_info(gpu)->l2_bytes)
        return ST_OK;
    enum status s = gpu_alloc(gpu, c.bytes, "a copy's source", &c.from, fault);
    if (s == ST_OK)
        s = gpu_alloc(gpu, c.bytes, "a copy's target", &c.to, fault);
    if (s == ST_OK)
        s = time_copies(&c, bytes_per_second, fault);
    gpu_free(gpu, c.from);
    gpu_free(gpu, c.to);
    return s;
}

/* ---- ceilings -------------------------------------------------------------------------------- */

#define COPY_TRIALS 3
#define COPY_LEAST_BYTES ((size_t)64 << 20)
#define COPY_MOST_BYTES ((size_t)256 << 20)

/* Each thread its own part, so that first touch puts pages beside the thread that uses them. */
static double copy_seconds(char *to, const char *from, size_t bytes, int threads)
{
    double begin = clock_seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        size_t first = bytes / (size_t)threads * (size_t)part;
        memcpy(to + first, from + first, bytes / (size_t)threads);
    }
    return clock_seconds() - begin;
}

static void touch(char *block, size_t bytes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++)
        memset(block + bytes / (size_t)threads * (size_t)part, part + 1, bytes / (size_t)threads);
}

double measure_copy_bandwidth(int threads)
{
    size_t bytes = host_last_level_cache(), room = host_memory_available() / 8;
    bytes = bytes < COPY_LEAST_BYTES ? COPY_LEAST_BYTES : bytes;
    bytes = bytes > COPY_MOST_BYTES ? COPY_MOST_BYTES : bytes;
    bytes = bytes > room && room ? room : bytes;
    bytes -= bytes % (size_t)threads;
    char *from = malloc(bytes), *to = malloc(bytes);
    double best = 0;
    if (from && to) {
        touch(from, bytes, threads);
        touch(to, bytes, threads);
        for (int trial = 0; trial < COPY_TRIALS; trial++) {
            double rate = 2.0 * (double)bytes / copy_seconds(to, from, bytes, threads);
            best = rate > best ? rate : best;
        }
    }
    free(from);
    free(to);
    return best;
}
