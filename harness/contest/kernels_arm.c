// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_arm.c   The supervisor's side of one variant: its worker, asked in lines (the protocol is
 * in kernels_worker.c). Whatever goes wrong becomes the arm's state and reason. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "contest/kernels.h"
#include "machine/device.h"

void arm_stop(struct arm *a, const char *state, const char *reason)
{
    a->state = state;
    snprintf(a->reason, sizeof a->reason, "%s", reason);
    worker_end(a->worker);
    a->worker = NULL;
    if (strcmp(state, "passed") != 0 && strcmp(state, "unstable") != 0) {
        a->n = 0; /* a time nobody may read is not kept */
        raw_free(&a->raw);
    }
}

static void arm_fail(struct arm *a, enum status status, const struct fault *fault)
{
    char text[1024];
    if (status == ST_CRASHED && a->touched[0]) {
        snprintf(text, sizeof text, "reached %s: %.800s", a->touched, fault->text);
        arm_stop(a, status_name(status), text);
        return;
    }
    /* Another build may not know a knob that this one cannot look up. */
    arm_stop(a, status_name(status == ST_BAD_INPUT ? ST_REFUSED : status), fault->text);
}

static bool said_fault(struct arm *a, const char *line)
{
    struct fault fault = {{0}};
    const enum status status = worker_fault(line, &fault);
    if (status != ST_OK)
        arm_fail(a, status, &fault);
    return status != ST_OK;
}

/* Lines that may come before the answer. */
static bool in_between(struct arm *a, const char *line)
{
    if (!strncmp(line, "touch ", 6))
        snprintf(a->touched, sizeof a->touched, "%s", line + 6);
    else if (!strncmp(line, "began ", 6))
        watch_began(&a->watch, worker_pid(a->worker), line + 6);
    else if (!strncmp(line, "stopped ", 8))
        watch_stopped(&a->watch, worker_pid(a->worker), line + 8);
    else
        return !strcmp(line, "alive");
    return true;
}

/* Sends a command (NULL: none) and waits for the answer that begins with `word`, `seconds` at most
 * from one sign of life to the next; what follows it in *answer. False: the arm has been
 * stopped. */
static bool ask(struct arm *a, const char *command, double seconds, const char *word,
                const char **answer)
{
    struct fault fault = {{0}};
    const char *line = NULL;
    size_t letters = strlen(word);
    enum status status = command ? worker_send(a->worker, command, &fault) : ST_OK;
    do
        if (status == ST_OK)
            status = worker_receive(a->worker, seconds, &line, &fault);
    while (status == ST_OK && in_between(a, line));
    if (status != ST_OK) {
        arm_fail(a, status, &fault);
        return false;
    }
    if (said_fault(a, line))
        return false;
    if (strncmp(line, word, letters) != 0 || (line[letters] && line[letters] != ' ')) {
        fault_set(&fault, ST_CRASHED, "the worker answered '%.80s' where '%s' was due", line, word);
        arm_fail(a, ST_CRASHED, &fault);
        return false;
    }
    *answer = line + letters + (line[letters] == ' ');
    return true;
}

/* How long a worker may stay silent: what the budget grants several times over, a slow machine's
 * process start, and between two signs of life the filling of its operands. */
static double patience(const struct contest *c)
{
    return fmax(3, 5 * c->options->budget) + worker_fill_seconds(problem_bytes(&c->problem));
}

static void choose_pin(const struct contest *c, struct arm *a)
{
    if (device_kind() == DEVICE_CPU) {
        pinning_choose(c->options->pin, (int)a->spec.threads, &a->pin);
        return;
    }
    a->pin = (struct pinning){.list = "-"};
    snprintf(a->pin.why, sizeof a->pin.why, "the device computes");
}

/* Of another build only itself can say whether it may run here. */
static enum status spawn(struct arm *a, const char *const *argv, struct fault *fault)
{
    if (a->spec.program[0])
        return worker_spawn_program(a->spec.program, argv, &a->worker, fault);
    TRY(registry_usable(a->entry, fault));
    return worker_spawn(argv, &a->worker, fault);
}

void arm_start(const struct contest *c, struct arm *a)
{
    char threads[24], seed[24], slow[32];
    char cache_bytes[24];
    const char *argv[32] = {"worker",      "kernels",     a->entry->name, c->shape,
                            "--threads",   threads,       "--seed",       seed,
                            "--device",    device_text(), "--cache",      "",
                            "--llc-bytes", cache_bytes,   "--cpus",       a->pin.list};
    int n = 16;
    argv[11] = cache_state_name(c->cache.state);
    struct fault fault = {{0}};
    choose_pin(c, a);
    snprintf(threads, sizeof threads, "%" PRId64, a->spec.threads);
    snprintf(seed, sizeof seed, "%" PRIu64, c->options->seed);
    snprintf(cache_bytes, sizeof cache_bytes, "%zu", c->cache.cache_bytes);
    if (device_kind() == DEVICE_CPU) {
        argv[n++] = "--backend";
        argv[n++] = backend_name(c->options->backend);
    }
    if (c->options->counters) {
        argv[n++] = "--counters";
        argv[n++] = c->options->counters;
    }
    if (a->spec.knobs[0]) {
        argv[n++] = "--knobs";
        argv[n++] = a->spec.knobs;
    }
    if (a->store) {
        argv[n++] = "--store";
        argv[n++] = a->store;
    }
    if (a->spec.slow > 0) {
        snprintf(slow, sizeof slow, "%.9g", a->spec.slow);
        argv[n++] = "--slow";
        argv[n++] = slow;
    }
    enum status status = spawn(a, argv, &fault);
    if (status != ST_OK)
        arm_fail(a, status, &fault);
    a->processes += status == ST_OK;
}

bool arm_ready(const struct contest *c, struct arm *a)
{
    const char *answer;
    int numerics;
    if (!ask(a, NULL, patience(c), "ready", &answer))
        return false;
    if (sscanf(answer, "%zu %lf %lf %d %255s", &a->planned_bytes, &a->flops, &a->bytes, &numerics,
               a->knobs) != 5 ||
        numerics < 0 || numerics >= NUM_COUNT) {
        arm_stop(a, status_name(ST_CRASHED), "the worker's description cannot be read");
        return false;
    }
    a->numerics = (enum numerics)numerics;
    watch_ready(&a->watch, worker_pid(a->worker));
    return true;
}

/* command: "check" or "recheck". The worst of all is what the row reports; of what was checked the
 * least, but for checks that were cut short because others were not. */
bool arm_check(const struct contest *c, struct arm *a, const char *command, double seconds)
{
    char text[64];
    const char *answer;
    int status, used = 0;
    double worst, l2, max_abs, ratio;
    int64_t nonfinite;
    struct fault fault = {{0}};
    int length = snprintf(text, sizeof text, "%s %.6g", command, seconds);
    if (a->sample_seconds > 0)
        snprintf(text + length, sizeof text - (size_t)length, " %.6g", a->sample_seconds);
    if (!ask(a, text, patience(c), "checked", &answer))
        return false;
    if (sscanf(answer, "%d %lf %lf %lf %lf %" SCNd64 " %n", &status, &worst, &l2, &max_abs, &ratio,
               &nonfinite, &used) != 6 ||
        status < 0 || status >= ST_COUNT) {
        arm_stop(a, status_name(ST_CRASHED), "the worker's verdict cannot be read");
        return false;
    }
    a->worst = fmax(a->worst, worst);
    a->l2 = fmax(a->l2, l2);
    a->max_abs = fmax(a->max_abs, max_abs);
    a->checked_ratio = !a->checked             ? ratio
                       : a->sample_seconds > 0 ? a->checked_ratio
                                               : fmin(a->checked_ratio, ratio);
    a->nonfinite += nonfinite;
    a->checked = true;
    if (status == ST_OK)
        return true;
    fault_set(&fault, ST_OK, "%s", answer + used);
    arm_fail(a, (enum status)status, &fault);
    return false;
}

bool arm_warm(const struct contest *c, struct arm *a, double seconds)
{
    char text[64];
    const char *answer;
    snprintf(text, sizeof text, "warm %.6g", seconds);
    if (!ask(a, text, patience(c), "warmed", &answer))
        return false;
    if (sscanf(answer, "%lf %" SCNd64 " %lf %d %zu %d %d %1023s %255s", &a->run_seconds,
               &a->warm_samples, &a->warm_seconds, &a->copies, &a->turn_bytes, &a->openmp,
               &a->openblas, a->pinned, a->others) != 9 ||
        !(a->run_seconds > 0)) {
        arm_stop(a, status_name(ST_CRASHED), "the worker's warm-up cannot be read");
        return false;
    }
    a->cache = c->cache.state;
    a->cache_bytes = c->cache.cache_bytes;
    a->runs = kernels_runs_per_sample(a->run_seconds);
    return true;
}

static int64_t block_count(const struct contest *c, const struct arm *a)
{
    double sample = a->run_seconds * (double)a->runs;
    double block = c->roof->device ? KERNELS_BLOCK_DEVICE_SECONDS : KERNELS_BLOCK_SECONDS;
    double least = sample < block ? (double)c->options->block_least : 1;
    return (int64_t)fmin(KERNELS_BLOCK_MAX, fmax(fmax(1, least), block / sample));
}

static bool read_times(struct arm *a, const char *answer, int64_t count, double *times)
{
    for (int64_t i = 0; i < count; i++) {
        char *end;
        times[i] = strtod(answer, &end);
        if (end == answer || !(times[i] > 0)) {
            arm_stop(a, status_name(ST_CRASHED), "the worker's times cannot be read");
            return false;
        }
        answer = end;
    }
    return true;
}

/* One block may have met a busy host, so it takes most of them to mistrust a variant (judge_apart);
 * but where the device's clock saw next to nothing of the time, work went past the marks. */
#define CLOCKS_ABSURD 10

/* A block's times against the wall's for all of them; 0: timed by the wall itself. */
static bool clocks_agree(struct arm *a, double wall, const double *times, int64_t count)
{
    double events = 0;
    if (!(wall > 0))
        return true;
    for (int64_t i = 0; i < count; i++)
        events += times[i] * (double)a->runs;
    a->event_seconds += events;
    a->wall_seconds += wall;
    const bool agree = measure_clocks_agree(events, wall, a->apart, sizeof a->apart);
    a->blocks_apart += !agree;
    if (agree || wall < CLOCKS_ABSURD * events)
        return true;
    arm_stop(a, "mistrusted", a->apart);
    return false;
}

/* The samples of a block resemble each other, so a block is one value: their median. False where
 * something befell the block and it is to be done again. */
static bool take_block(struct arm *a, const struct guard_look *look, bool throttled,
                       const double *times, int64_t count, int place)
{
    const uint8_t flags = guard_judge(&a->guard, look, throttled, a->n);
    if (!raw_add(&a->raw, times, count, look->mhz, flags)) {
        arm_stop(a, status_name(ST_NO_MEMORY), "no memory for the samples");
        return true;
    }
    if (flags & RAW_DISCARDED)
        return false;
    a->order[a->rounds++] = place;
    a->samples[a->n++] = stats_median(times, count);
    a->summary = stats_summary(a->samples, a->n);
    stop_look(&a->stopping, &a->summary);
    return true;
}

/* Of a device, by the driver's looks from the `first` on. */
static bool device_look(const struct nvml_window *w, int64_t first, struct guard_look *look)
{
    uint64_t events = 0;
    double hz = NAN;
    for (int64_t i = first; i < w->count; i++) {
        events |= w->samples[i].events;
        hz = fmin(hz, w->samples[i].figure[NVML_SM_CLOCK]);
    }
    if (w->count > first)
        look->mhz = hz * 1e-6;
    return events & NVML_EVENTS_THROTTLED;
}

/* Of a device the worker tells its own wall too. */
static double told_seconds(const struct arm *a, double wall, const double *times, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += times[i] * (double)a->runs;
    return wall > 0 ? wall : sum;
}

/* True where the block stands, or the arm has ended. */
static bool one_block(const struct contest *c, struct arm *a, uint64_t seed, int place)
{
    char text[96], *end;
    const char *answer;
    double times[KERNELS_BLOCK_MAX];
    struct guard_look look;
    int64_t count = block_count(c, a);
    snprintf(text, sizeof text, "block %" PRIu64 " %" PRId64 " %" PRId64, seed, a->runs, count);
    double expected = a->run_seconds * (double)(a->runs * count);
    int64_t looks = a->window.count;
    nvml_window_open(c->nvml, &a->window);
    bool answered = ask(a, text, patience(c) + 10 * expected, "times", &answer);
    nvml_window_close(c->nvml, &a->window);
    if (!answered)
        return true;
    int used = guard_read(answer, &look);
    double wall = strtod(answer + used, &end);
    if (!used || !read_times(a, end, count, times)) {
        if (!used)
            arm_stop(a, status_name(ST_CRASHED), "the worker's look at its processors is unclear");
        return true;
    }
    watch_told(&a->watch, told_seconds(a, wall, times, count), (int)a->spec.threads);
    bool throttled = device_look(&a->window, looks, &look);
    return !clocks_agree(a, wall, times, count) ||
           take_block(a, &look, throttled, times, count, place);
}

/* Done again at once where something befell it, so that arms stay interleaved; on other data, as
 * every block. */
#define TRIES 3
#define OTHER_SEED 0x1000000

void arm_block(const struct contest *c, struct arm *a, uint64_t seed, int place)
{
    if (a->n >= (c->options->repetitions ? c->options->repetitions : KERNELS_MOST_BLOCKS))
        return;
    for (int i = 0; i < TRIES; i++)
        if (one_block(c, a, c->data_seed + seed + (uint64_t)i * OTHER_SEED, place))
            return;
}

void arm_counters(const struct contest *c, struct arm *a)
{
    char text[64];
    const char *line = NULL;
    struct fault fault = {{0}};
    snprintf(text, sizeof text, "counters %" PRId64, a->runs);
    enum status status = worker_send(a->worker, text, &fault);
    while (status == ST_OK) {
        status = worker_receive(a->worker, patience(c), &line, &fault);
        if (status != ST_OK || a->counters == COUNTERS_MAX || strncmp(line, "counter ", 8) != 0 ||
            !counted_take(line + 8, &a->counter[a->counters]))
            break;
        a->counters++;
    }
    if (status != ST_OK)
        arm_fail(a, status, &fault);
}

static bool read_launch(const char *line, struct gpu_launch *l)
{
    int used = 0;
    if (sscanf(line, "%u %u %u %u %u %u %zu %d %d %d %lf %n", &l->grid[0], &l->grid[1], &l->grid[2],
               &l->block[0], &l->block[1], &l->block[2], &l->shared_bytes, &l->registers,
               &l->local_bytes, &l->blocks_per_processor, &l->occupancy, &used) != 11)
        return false;
    snprintf(l->kernel, sizeof l->kernel, "%s", line + used);
    return true;
}

/* Lines `launch` and `algorithm`, then `launched COUNT` or `launched -1 WHY`. */
void arm_launches(const struct contest *c, struct arm *a)
{
    struct fault fault = {{0}};
    const char *line = NULL;
    int known = 0, used = 0;
    enum status status = worker_send(a->worker, "launches", &fault);
    while (status == ST_OK &&
           (status = worker_receive(a->worker, patience(c), &line, &fault)) == ST_OK) {
        if (!strncmp(line, "launch ", 7) && known < KERNELS_LAUNCHES_MAX)
            known += read_launch(line + 7, &a->launch[known]);
        else if (!strncmp(line, "algorithm ", 10))
            snprintf(a->algorithm, sizeof a->algorithm, "%s", line + 10);
        else
            break;
    }
    if (status != ST_OK) {
        arm_fail(a, status, &fault);
        return;
    }
    if (said_fault(a, line))
        return;
    if (sscanf(line, "launched %d %n", &a->launches, &used) == 1)
        snprintf(a->launches_why, sizeof a->launches_why, "%s", line + used);
    else
        arm_stop(a, status_name(ST_CRASHED), "the worker's launches cannot be read");
}

void arm_copy(const struct contest *c, struct arm *a, double *bytes_per_second)
{
    const char *answer;
    if (ask(a, "copy", patience(c), "copied", &answer))
        *bytes_per_second = strtod(answer, NULL);
}

bool arm_soak(const struct contest *c, struct arm *a, double seconds, int64_t *runs, double *busy_s)
{
    char text[64];
    const char *answer;
    snprintf(text, sizeof text, "soak %.6g %" PRId64, seconds, a->runs);
    if (!ask(a, text, patience(c) + 2 * seconds, "soaked", &answer))
        return false;
    if (sscanf(answer, "%" SCNd64 " %lf", runs, busy_s) == 2 && *runs > 0)
        return true;
    arm_stop(a, status_name(ST_CRASHED), "the worker's runs cannot be read");
    return false;
}

void arm_finish(const struct contest *c, struct arm *a)
{
    const char *answer;
    if (ask(a, "end", patience(c), "bye", &answer)) {
        a->peak_bytes = (size_t)strtoull(answer, NULL, 10);
        worker_end(a->worker);
        a->worker = NULL;
    }
}
