// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_contest.c   Each variant lives in its own worker. All are verified first; then they take
 * turns in blocks, in a new random order every round, on the same fresh data, until every interval
 * is narrow or the budget is spent; then the timed outputs are checked. Everything statistical
 * happens here, out of reach of the code under test. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "contest/kernels.h"
#include "contest/other_build.h"
#include "machine/device.h"
#include "machine/host.h"
#include "random.h"

#define OVERRUN 0.5       /* of the budget, see arms_sampled */
#define CHECK_SECONDS 2.0 /* of reference per variant; past it rows are sampled */

/* The budget is all arms' together: see rounds_run. */
static struct stop_rule rule_of(const struct contest *c)
{
    return (struct stop_rule){.narrow = STOP_NARROW_KERNEL,
                              .least = STOP_LEAST_KERNEL,
                              .exact = c->options->repetitions,
                              .most = KERNELS_MOST_BLOCKS,
                              .budget_s = INFINITY};
}

static enum stop arm_ends(const struct contest *c, const struct arm *a)
{
    const struct stop_rule rule = rule_of(c);
    return stop_decide(&rule, &a->stopping, &a->summary, 0, 0);
}

/* An interval needs a least number of samples; for these a slow machine may overrun the budget. */
static bool arms_sampled(const struct contest *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->arms[i].worker && c->arms[i].n < MEASURE_LEAST_SAMPLES)
            return false;
    return true;
}

static int arms_open(const struct contest *c)
{
    int open = 0;
    for (int i = 0; i < c->count; i++)
        open += c->arms[i].worker && !arm_ends(c, &c->arms[i]);
    return open;
}

static void progress(const struct contest *c, const char *doing, double left)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (doing)
        fprintf(stderr, "\r\033[K%s: %s, %d of %d variants to go, %.0f s left",
                op_table[c->problem.op]->name, doing, arms_open(c), c->count, fmax(0, left));
    else
        fputs("\r\033[K", stderr);
}

/* Fisher and Yates, from the seed: the order can be had again. */
static void shuffle(int *order, int count, uint64_t seed, uint64_t round)
{
    struct random_stream stream = random_stream_of(seed, "order of arms");
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int other = (int)(random_bits(stream, round * 4096 + (uint64_t)i) % (uint64_t)(i + 1));
        int kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

/* All arms take part until all are done: one that left early would no longer be interleaved. */
static enum status rounds_run(struct contest *c, double deadline, struct fault *fault)
{
    int *order = malloc((size_t)c->count * sizeof *order);
    if (!order)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the order of variants");
    for (uint64_t round = 0; arms_open(c) > 0 && !interrupted_by; round++) {
        double over = clock_seconds() - deadline;
        if (round > 0 && !c->options->repetitions && over > 0 &&
            (arms_sampled(c) || over > OVERRUN * c->options->budget))
            break;
        progress(c, "timing", deadline - clock_seconds());
        shuffle(order, c->count, c->options->seed, round);
        for (int i = 0; i < c->count && !interrupted_by; i++)
            if (c->arms[order[i]].worker)
                arm_block(c, &c->arms[order[i]], c->options->seed + 1 + round, i);
    }
    free(order);
    return interrupted_by ? fault_set(fault, ST_INTERRUPTED, "interrupted") : ST_OK;
}

/* Of the arm that has most: under a roof of fewer threads it would be called impossible. A case that
 * is only profiled has no arms. */
static int threads_of(const struct contest *c)
{
    int64_t most = c->arms ? 1 : c->options->threads;
    for (int i = 0; c->arms && i < c->count; i++)
        most = c->arms[i].spec.threads > most ? c->arms[i].spec.threads : most;
    return (int)most;
}

/* One cache is as much as a thread can fill; threads on several fill them all. */
static size_t cache_bytes(const struct contest *c)
{
    const size_t one = host_last_level_cache(), all = (size_t)c->roof->cache_bytes;
    if (c->options->cache_bytes)
        return (size_t)c->options->cache_bytes;
    const size_t reached = one * (size_t)threads_of(c);
    return c->roof->device || reached > all ? all : reached;
}

/* What a device has in all is what its supervisor can know of it. */
static size_t room_bytes(const struct contest *c)
{
    struct gpu_info info;
    if (c->roof->device && gpu_describe(device_index(), &info, NULL) == ST_OK)
        return info.memory_bytes;
    return host_memory_available();
}

enum status contest_cache(struct contest *c, struct fault *fault)
{
    return cache_choose(&c->problem, c->options->cache, c->count, cache_bytes(c), room_bytes(c),
                        &c->cache, fault);
}

void contest_choose_cache(struct contest *c)
{
    struct fault fault = {{0}};
    enum status status = contest_cache(c, &fault);
    for (int i = 0; status != ST_OK && i < c->count; i++)
        arm_stop(&c->arms[i], status_name(status), fault.text);
}

/* Returns the seconds lost to variants that failed: a hanging one must not eat the others' time. */
static double verify_arms(struct contest *c)
{
    double share = c->options->budget / (4 * c->count), lost = 0;
    for (int i = 0; i < c->count && !interrupted_by; i++) {
        struct arm *a = &c->arms[i];
        double begin = clock_seconds();
        if (a->state)
            continue;
        progress(c, "verifying", c->options->budget);
        arm_start(c, a);
        if (a->worker && arm_ready(c, a) && arm_check(c, a, "check", fmin(CHECK_SECONDS, share))) {
            if (c->roof->device)
                arm_launches(c, a);
            if (a->worker)
                arm_warm(c, a, fmin(0.5, share / 2));
        }
        lost += a->worker ? 0 : clock_seconds() - begin;
    }
    return lost;
}

static void recheck_arms(struct contest *c)
{
    double seconds = fmin(CHECK_SECONDS, c->options->budget / (8 * c->count));
    for (int i = 0; i < c->count && !interrupted_by; i++) {
        struct arm *a = &c->arms[i];
        if (a->worker && arm_check(c, a, "recheck", seconds) && c->options->counters)
            arm_counters(c, a);
        if (a->worker && c->roof->device && c->roof->copy_bytes == 0)
            arm_copy(c, a, &c->roof->copy_bytes);
        if (a->worker)
            arm_finish(c, a);
    }
}

/* Before the last check, so that these runs' outputs are held to it too. */
static void soak_arms(struct contest *c)
{
    for (int i = 0; i < c->count && !interrupted_by; i++)
        if (c->arms[i].worker && c->options->soak_s > 0) {
            progress(c, "energy", c->options->soak_s);
            arm_energy(c, &c->arms[i]);
        }
}

static void judge_roof(const struct contest *c, struct arm *a)
{
    char reason[256];
    if (roof_beaten(c->roof, &c->problem, a, reason, sizeof reason))
        arm_stop(a, "mistrusted", reason);
}

static void judge_spread(const struct contest *c, struct arm *a)
{
    const struct stop_rule rule = rule_of(c);
    const enum stop stop = arm_ends(c, a) ? arm_ends(c, a) : STOP_BUDGET;
    a->stop_reason = stop_name(stop);
    bool wide = stop_unstable(&rule, stop, &a->summary, "blocks", a->reason, sizeof a->reason);
    a->state = wide ? "unstable" : "passed";
}

static void judge_clocks(struct arm *a)
{
    if (a->guard.marred_by[GUARD_THROTTLE] == 0)
        return; /* throttled blocks, if any, were timed anew */
    a->state = "throttled";
    snprintf(a->reason, sizeof a->reason, "heat or the supply held the device's clock down");
}

static void judge_apart(struct arm *a)
{
    if (2 * a->blocks_apart > a->rounds)
        arm_stop(a, "mistrusted", a->apart);
}

/* A variant that only another build knows may start threads, for all that is known here. */
static void judge_watch(const struct contest *c, struct arm *a)
{
    char reason[256];
    const struct variant *v = a->entry->variant;
    const struct watch_case seen = {.median_s = a->summary.median,
                                    .operand_bytes = problem_bytes(&c->problem),
                                    .threads = (int)a->spec.threads,
                                    .own_threads = !v || v->open,
                                    .device = c->roof->device};
    if (watch_doubts(&a->watch, &seen, reason, sizeof reason))
        arm_stop(a, "mistrusted", reason);
}

/* What was seen of the variant says more than that its time cannot be: the roof comes last. */
static void judge_trust(const struct contest *c, struct arm *a)
{
    judge_watch(c, a);
    if (a->n > 0)
        judge_apart(a);
    if (a->n > 0)
        judge_roof(c, a);
}

static void judge(const struct contest *c, struct arm *a)
{
    if (!a->state && a->n > 0) {
        judge_spread(c, a);
        a->outliers = raw_flag_outliers(&a->raw);
        judge_clocks(a);
        judge_trust(c, a);
    }
    if (!a->state)
        arm_stop(a, status_name(ST_CRASHED), "no sample was taken");
}

static const struct arm *fastest_but(const struct contest *c, const struct arm *but)
{
    const struct arm *best = NULL;
    for (int i = 0; i < c->count; i++) {
        const struct arm *a = &c->arms[i];
        if (a != but && arm_timed(a) && numerics_exact(a->numerics) &&
            (!best || a->summary.median < best->summary.median))
            best = a;
    }
    return best;
}

/* NaN where either has too few blocks for an interval: two times are no comparison. */
static void ratio_of(const struct contest *c, const struct arm *slow, const struct arm *fast,
                     double ratio[3])
{
    ratio[0] = ratio[1] = ratio[2] = NAN;
    if (slow->n >= MEASURE_LEAST_SAMPLES && fast->n >= MEASURE_LEAST_SAMPLES)
        stats_ratio(slow->samples, slow->n, fast->samples, fast->n, c->options->seed, &ratio[0],
                    &ratio[1], &ratio[2]);
}

static void compare_arms(struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        struct arm *a = &c->arms[i];
        a->ratio[0] = a->ratio[1] = a->ratio[2] = NAN;
        if (!arm_timed(a) || !numerics_exact(a->numerics))
            continue;
        if (!c->baseline) { /* the registry is sorted by number */
            c->baseline = a;
            a->ratio[0] = a->ratio[1] = a->ratio[2] = 1;
            continue;
        }
        ratio_of(c, c->baseline, a, a->ratio);
    }
    c->best = fastest_but(c, NULL);
    c->against = c->best == c->baseline ? fastest_but(c, c->best) : c->baseline;
    if (c->best && c->against)
        ratio_of(c, c->against, c->best, c->ratio);
}

enum status contest_run(struct contest *c, struct fault *fault)
{
    kernels_idle(c);
    double deadline = clock_seconds() + c->options->budget;
    contest_choose_cache(c);
    deadline += verify_arms(c);
    contest_settle(c);
    /* The outputs are checked once more at the end; that belongs to the budget too. */
    double spent = c->options->budget - (deadline - clock_seconds());
    enum status status = rounds_run(c, deadline - fmin(spent, c->options->budget / 3), fault);
    if (status == ST_OK)
        soak_arms(c);
    if (status == ST_OK)
        recheck_arms(c);
    progress(c, NULL, 0);
    if (interrupted_by)
        return fault_set(fault, ST_INTERRUPTED, "interrupted");
    TRY(status);
    contest_judge(c);
    return ST_OK;
}

void contest_judge(struct contest *c)
{
    const int threads = threads_of(c);
    roof_measure(c->roof, threads);
    roof_measure_classes(c->roof, threads, &c->problem, c->arms, c->count);
    roof_measure_copy(c->roof, threads, &c->problem, c->arms, c->count);
    for (int i = 0; i < c->count; i++)
        judge(c, &c->arms[i]);
    compare_arms(c);
}

/* The title leaves out the op, which the shape says, and of another program all but its name. */
static void name_arm(const struct kernels_options *options, struct arm *a)
{
    struct arm_spec shown = a->spec;
    char text[2048], *slash = strrchr(shown.program, '/');
    if (slash)
        memmove(shown.program, slash + 1, strlen(slash));
    arm_spec_print(&shown, text, sizeof text);
    snprintf(a->title, sizeof a->title, "%s", text + strlen(shown.op) + 1);
    if (!a->spec.threads)
        a->spec.threads = options->threads;
}

/* entry NULL: only the other build of the spec knows the variant. */
static enum status add_arm(struct contest *c, const struct registry_entry *entry,
                           const struct arm_spec *spec, struct fault *fault)
{
    struct arm *a = &c->arms[c->count++];
    a->spec = *spec;
    a->foreign = (struct registry_entry){.op = op_table[c->problem.op]->name,
                                         .name = a->spec.variant,
                                         .target = "other",
                                         .origin = a->spec.program};
    a->entry = entry ? entry : &a->foreign;
    name_arm(c->options, a);
    a->launches = -1;
    snprintf(a->launches_why, sizeof a->launches_why, "the worker ended before it could say");
    a->samples = malloc(KERNELS_MOST_BLOCKS * sizeof *a->samples);
    a->order = malloc(KERNELS_MOST_BLOCKS * sizeof *a->order);
    return a->samples && a->order ? ST_OK
                                  : fault_set(fault, ST_NO_MEMORY, "no memory for the samples");
}

/* Even, and within what JSON readers keep exactly. */
static void draw_data(struct contest *c)
{
    if (getrandom(&c->data_seed, sizeof c->data_seed, 0) != sizeof c->data_seed)
        c->data_seed = (uint64_t)(1e9 * clock_seconds()) ^ (uint64_t)getpid() << 32;
    c->data_seed = c->data_seed >> 16 << 1;
}

static enum status begin(const struct kernels_options *options, const struct problem *shape,
                         int most, struct roof *roof, struct contest *c, struct fault *fault)
{
    *c = (struct contest){.options = options, .problem = *shape, .roof = roof};
    shape_print(shape, c->shape, sizeof c->shape);
    draw_data(c);
    c->arms = calloc((size_t)most, sizeof *c->arms);
    struct gpu_info info;
    if (device_kind() == DEVICE_CUDA && gpu_describe(device_index(), &info, &c->unwatched) == ST_OK)
        nvml_open(info.uuid, &c->nvml, &c->unwatched);
    return c->arms ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory for the variants");
}

enum status contest_new(const struct kernels_options *options, const struct problem *shape,
                        const struct registry_entry *const *picked, int picked_count,
                        struct roof *roof, struct contest *c, struct fault *fault)
{
    TRY(begin(options, shape, picked_count, roof, c, fault));
    for (int i = 0; i < picked_count; i++) {
        struct arm_spec spec = {.threads = 0};
        if (strcmp(picked[i]->op, op_table[shape->op]->name) != 0)
            continue;
        snprintf(spec.op, sizeof spec.op, "%s", picked[i]->op);
        snprintf(spec.variant, sizeof spec.variant, "%s", picked[i]->name);
        TRY(add_arm(c, picked[i], &spec, fault));
    }
    return ST_OK;
}

static enum status meet_program(struct arm *a, struct fault *fault)
{
    struct other_build other = {""};
    if (!a->spec.program[0])
        return ST_OK;
    TRY(other_build_meet(a->spec.program, &other, fault));
    memcpy(a->program_sha256, other.sha256, sizeof a->program_sha256);
    memcpy(a->program_commit, other.commit, sizeof a->program_commit);
    return ST_OK;
}

enum status contest_new_arms(const struct kernels_options *options, const struct problem *shape,
                             const struct arm_spec *specs, int spec_count, struct roof *roof,
                             struct contest *c, struct fault *fault)
{
    TRY(begin(options, shape, spec_count, roof, c, fault));
    for (int i = 0; i < spec_count; i++) {
        const struct registry_entry *entry;
        TRY(arm_spec_find(&specs[i], &entry, fault));
        TRY(add_arm(c, entry, &specs[i], fault));
        TRY(meet_program(&c->arms[i], fault));
    }
    return ST_OK;
}

void contest_free(struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        worker_end(c->arms[i].worker);
        free(c->arms[i].samples);
        free(c->arms[i].order);
        raw_free(&c->arms[i].raw);
        nvml_window_free(&c->arms[i].window);
        json_free(&c->arms[i].energy);
    }
    nvml_close(c->nvml);
    free(c->arms);
}
