// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_worker.c   The measuring end of `kernels`: one variant at one shape, driven line by line
 * by the supervisor (kernels_arm.c). Every command is answered by one line, `counters` by several:
 *   (start)             ready BYTES FLOPS MOVED NUMERICS KNOBS     memory planned, work really done
 *   check SECONDS [S]   checked STATUS WORST L2 MAX RATIO NONFINITE TEXT    S: for sampled rows alone
 *   launches            launch GRID*3 BLOCK*3 SHARED REGISTERS LOCAL BLOCKS OCCUPANCY KERNEL |
 *                       algorithm TEXT, then: launched COUNT | launched -1 WHY
 *   warm SECONDS        warmed SECONDS_PER_RUN COUNT SECONDS COPIES COPY_BYTES OPENMP OPENBLAS CPUS
 *                       OTHERS       copies: of what rotates; threads; processors they are put on
 *   block SEED RUNS N   began FIRST READ BYTES    the first run on this data, and reading its output
 *                       stopped SECONDS    since then; the supervisor's own clock runs between the two
 *                       times GUARD WALL T1 ... TN GUARD: guard_print. WALL: of all by our clock; 0 where T are by it
 *   recheck SECONDS [S] as check, and the outputs of the last block must come out again
 *   counters RUNS       counter NAME VALUE SCOPE | counter NAME null WHY, then: counted (counted.h)
 *   soak SECONDS RUNS   soaked COUNT SECONDS    runs over and over, RUNS between two looks at the clock
 *   copy                copied BYTES_PER_SECOND    within the device's memory; 0: no room
 *   end                 bye PEAK_BYTES
 * With --profile N it answers no command but verifies, runs N times between marks, and ends.
 * Before an answer there may be lines `alive`: our own work goes on, no variant hangs.
 * Whatever fails is answered by `fault STATUS SENTENCE`, and the worker ends. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/stats.h"
#include "base/worker.h"
#include "check/check.h"
#include "cmd/commands.h"
#include "contest/arm_spec.h"
#include "contest/kernels.h"
#include "contest/rotation.h"
#include "contest/witness.h"
#include "counters/profile.h"
#include "machine/device.h"
#include "machine/host.h"
#include "machine/topology.h"
#include "random.h"
#include "timing/measure.h"

#define SETTLE_SAMPLES 10
#define SETTLE_WITHIN 0.01
#define ALIVE_SECONDS 0.5
#define PROFILE_CHECK_SECONDS 2.0
#define PROFILE_WARM_RUNS 3
#define STACK_MOVES_BYTES 4096
#define STACK_STEP_BYTES 16 /* as every frame is aligned */

struct session {
    FILE *out; /* to the supervisor; stdout itself goes to stderr */
    const char *counter_names, *backend_text, *variant_name, *shape, *knobs, *perf_control,
        *cache_text, *pin_list, *store;
    int64_t cache_bytes;
    int64_t threads, profile_runs; /* above 0: run so often between marks, and nothing else */
    uint64_t seed;
    enum backend backend;
    const struct registry_entry *entry;
    struct operands operands;
    struct bound bound;
    enum cache_state cache;
    struct rotation rotation;
    struct pinned pinned;
    struct guard guard;
    struct witness witness;
    struct counters *counters;
    bool have_operands, have_bound;
    double began_s;          /* the marked part of a block */
    double said_alive, slow; /* slow: planted, share of a run's time */
    size_t stack_bytes;      /* of its page, that lie above the stack during a block */
};

/* ---- start and end --------------------------------------------------------------------------- */

static enum status read_arguments(struct session *s, int argc, char **argv, struct fault *fault)
{
    const struct option options[] = {PLUGIN_OPTION,
                                     {"--counters", "LIST", OPTION_TEXT, &s->counter_names, ""},
                                     {"--backend", "NAME", OPTION_TEXT, &s->backend_text, ""},
                                     {"--knobs", "LIST", OPTION_TEXT, &s->knobs, ""},
                                     {"--slow", "SHARE", OPTION_REAL, &s->slow, ""},
                                     {"--threads", "N", OPTION_COUNT, &s->threads, ""},
                                     {"--profile", "N", OPTION_COUNT, &s->profile_runs, ""},
                                     {"--perf-control", "P", OPTION_TEXT, &s->perf_control, ""},
                                     {"--seed", "N", OPTION_SEED, &s->seed, ""},
                                     {"--cache", "STATE", OPTION_TEXT, &s->cache_text, ""},
                                     {"--llc-bytes", "N", OPTION_COUNT, &s->cache_bytes, ""},
                                     {"--cpus", "LIST", OPTION_TEXT, &s->pin_list, ""},
                                     {"--store", "FILE", OPTION_TEXT, &s->store, ""},
                                     DEVICE_OPTION,
                                     {0}};
    const char *word[2];
    int count = 2;
    TRY(options_parse(options, argc, argv, word, &count, fault));
    if (s->cache_text && !cache_state_find(s->cache_text, &s->cache))
        return fault_set(fault, ST_BAD_INPUT, "no cache state %s", s->cache_text);
    if (count != 2 || s->threads < 1)
        return fault_set(fault, ST_BAD_INPUT, "a kernels worker wants VARIANT and SHAPE");
    s->variant_name = word[0];
    s->shape = word[1];
    return backend_find(s->backend_text, &s->backend, fault);
}

static void say_alive(void *user)
{
    struct session *s = user;
    double now = clock_seconds();
    if (now - s->said_alive < ALIVE_SECONDS || s->profile_runs > 0)
        return;
    s->said_alive = now;
    fputs("alive\n", s->out);
    fflush(s->out);
}

/* Counters come first: threads that exist already cannot be counted. */
static enum status session_open(struct session *s, struct fault *fault)
{
    struct problem shape;
    int64_t knob[KNOB_MAX];
    if (s->counter_names)
        TRY(counters_open(s->counter_names, COUNTERS_IN_PASSES, &s->counters, fault));
    pinning_apply(s->pin_list, (int)s->threads, &s->pinned);
    TRY(shape_parse(s->shape, &shape, fault));
    s->entry = registry_find(shape.op, s->variant_name);
    if (!s->entry)
        return fault_set(fault, ST_BAD_INPUT, "no variant %s", s->variant_name);
    TRY(registry_usable(s->entry, fault));
    TRY(knobs_parse(s->entry->variant, s->knobs, knob, fault));
    if (s->slow > 0 && device_kind() == DEVICE_CUDA)
        return fault_set(fault, ST_BAD_INPUT, "@slow holds up the CPU, not a CUDA device");
    TRY(operands_new(&shape, false, false, &s->operands, fault));
    s->have_operands = true;
    s->operands.threads = (int)s->threads;
    operands_fill(&s->operands, s->seed, PATTERN_RANDOM);
    say_alive(s);
    TRY(bound_new(s->entry->variant, knob, &s->operands, (int)s->threads, &s->bound, fault));
    s->have_bound = true;
    s->bound.alive = say_alive;
    s->bound.alive_user = s;
    s->rotation = (struct rotation){.bound = &s->bound, .copies = 1};
    s->guard = (struct guard){.root = "",
                              .threads = s->bound.mirror.gpu ? 0 : (int)s->threads,
                              .pinned = s->pinned.wish.count > 0,
                              .cpus = s->pinned.wish.count,
                              .cpu = s->pinned.wish.cpu};
    return bound_prepare(&s->bound, fault);
}

static void session_close(struct session *s)
{
    if (s->have_bound) {
        rotation_free(&s->rotation);
        bound_free(&s->bound);
    }
    if (s->have_operands)
        operands_free(&s->operands);
    counters_free(s->counters);
    if (s->out)
        fclose(s->out);
}

static void say_ready(struct session *s)
{
    const struct variant *v = s->entry->variant;
    const struct problem *p = &s->operands.problem;
    struct work work = {problem_flops(p), problem_bytes(p)};
    if (v->work)
        v->work(&p->linear, s->bound.knob, &work); /* every member of the union starts there */
    char knobs[256];
    knobs_print(v, s->bound.knob, knobs, sizeof knobs);
    fprintf(s->out, "ready %zu %.17g %.17g %d %s\n", bound_bytes(&s->bound), work.flops, work.bytes,
            (int)v->numerics, knobs);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void say_checked(struct session *s, const struct check_result *r)
{
    fprintf(s->out, "checked %d %.9g %.9g %.9g %.9g %" PRId64 " %s\n", (int)r->status, r->worst,
            r->l2, r->max_abs, r->checked_ratio, r->nonfinite, r->text);
}

static void check_within(struct session *s, uint64_t seed, const char *words,
                         struct check_result *result)
{
    double seconds = 0, sampled = 0;
    if (sscanf(words, "%lf %lf", &seconds, &sampled) == 2)
        check_bound_within(&s->bound, seed, seconds, sampled, result);
    else
        check_bound(&s->bound, seed, seconds, result);
}

static enum status do_check(struct session *s, const char *words, struct fault *fault)
{
    (void)fault;
    struct check_result result;
    check_within(s, s->seed, words, &result);
    say_checked(s, &result);
    return ST_OK;
}

static void idle_until(double seconds)
{
    while (clock_seconds() < seconds)
        continue;
}

static enum status run_many(void *user, int64_t iterations)
{
    struct session *s = user;
    size_t here = (uintptr_t)__builtin_frame_address(0) % STACK_MOVES_BYTES;
    volatile char *below = __builtin_alloca(s->stack_bytes + here + 1);
    double begin = s->slow > 0 ? clock_seconds() : 0;
    below[0] = 0;
    for (int64_t i = 0; i < iterations; i++)
        TRY(rotation_run(&s->rotation));
    if (s->slow > 0)
        idle_until(begin + (1 + s->slow) * (clock_seconds() - begin));
    return ST_OK;
}

/* *wall: of the whole block, where the samples are by the device's clock; else 0. */
static enum status sample(struct session *s, int64_t runs, int64_t count, double *samples,
                          double *wall, struct fault *fault)
{
    struct gpu *gpu = s->bound.mirror.gpu;
    *wall = 0;
    if (gpu)
        return measure_events(gpu, s->variant_name, run_many, s, runs, count, samples, wall, fault);
    return measure_block(s->backend, s->variant_name, run_many, s, runs, count, samples, fault);
}

static bool settled(const double *samples, int64_t n)
{
    if (n < 2 * SETTLE_SAMPLES)
        return false;
    double last = stats_median(samples + n - SETTLE_SAMPLES, SETTLE_SAMPLES);
    double before = stats_median(samples + n - 2 * SETTLE_SAMPLES, SETTLE_SAMPLES);
    return fabs(last / before - 1) <= SETTLE_WITHIN;
}

/* Warm-up by state, not by count: until ten samples have the median of the ten before, or time is
 * up. The first run is the coldest; it and the next only say how many make a sample. */
static enum status do_warm(struct session *s, const char *words, struct fault *fault)
{
    double samples[256], wall, begin, deadline;
    int64_t n = 0, most = sizeof samples / sizeof *samples;
    if (s->bound.mirror.gpu && gpu_info(s->bound.mirror.gpu)->emulated)
        return fault_set(fault, ST_UNAVAILABLE, "emulated devices are never timed");
    TRY(rotation_new_in(s->store, s->cache, (size_t)s->cache_bytes, &s->bound, &s->rotation,
                        fault));
    pinning_apply(s->pin_list, (int)s->threads, &s->pinned);
    begin = clock_seconds();
    deadline = begin + strtod(words, NULL);
    TRY(sample(s, 1, 1, samples, &wall, fault));
    if (clock_seconds() < deadline)
        TRY(sample(s, 1, 1, samples, &wall, fault));
    int64_t runs = kernels_runs_per_sample(samples[0]);
    do
        TRY(sample(s, runs, 1, &samples[n++], &wall, fault));
    while (n < most && !settled(samples, n) && clock_seconds() < deadline);
    int64_t last = n < SETTLE_SAMPLES ? n : SETTLE_SAMPLES;
    fprintf(s->out, "warmed %.9g %" PRId64 " %.6g %d %zu %d %d %s %s\n",
            stats_median(samples + n - last, last), n, clock_seconds() - begin, s->rotation.copies,
            s->rotation.turn_bytes, s->pinned.openmp, s->pinned.openblas, s->pinned.cpus,
            s->pinned.other_cpus);
    return ST_OK;
}

/* Fresh data outside of the timed window, so that no earlier answer is of use; then enough untimed
 * runs for caches and clock, and for another variant's idle threads to fall asleep. */
static enum status warm_block(struct session *s, int64_t runs, struct fault *fault)
{
    const double end = clock_seconds() - s->witness.run_s + KERNELS_BLOCK_WARM_SECONDS;
    double unused, wall;
    while (clock_seconds() < end)
        if (s->bound.mirror.gpu)
            TRY(sample(s, runs, 1, &unused, &wall, fault));
        else if (run_many(s, 1) != ST_OK)
            return fault_set(fault, ST_WRONG, "run() reported an error");
    return ST_OK;
}

/* Where the stack stands within its page decides which of its addresses get in the data's way, and what
 * on it crosses cache lines. It begins below the words of the command line, so that a longer option
 * would make an arm faster or slower; and it is drawn for every block, as the data's pages are, so that
 * a process is not lucky or unlucky for life. */
static void move_stack(struct session *s, uint64_t seed)
{
    uint64_t places = STACK_MOVES_BYTES / STACK_STEP_BYTES;
    s->stack_bytes =
        (size_t)(random_bits(random_stream_of(seed, "stack"), 0) % places) * STACK_STEP_BYTES;
}

/* Between the two marks the supervisor's own clock runs too (kernels_watch.h). */
static void say_began(struct session *s)
{
    const struct witness *w = &s->witness;
    fprintf(s->out, "began %.9g %.9g %.9g\n", w->run_s, w->read_s, w->read_bytes);
    fflush(s->out);
    s->began_s = clock_seconds();
}

static void say_stopped(struct session *s)
{
    fprintf(s->out, "stopped %.9g\n", clock_seconds() - s->began_s);
    fflush(s->out);
}

static enum status do_block(struct session *s, const char *words, struct fault *fault)
{
    uint64_t seed;
    int64_t runs, count;
    double samples[KERNELS_BLOCK_MAX], wall;
    struct guard_look look;
    if (sscanf(words, "%" SCNu64 " %" SCNd64 " %" SCNd64, &seed, &runs, &count) != 3 || runs < 1 ||
        count < 1 || count > KERNELS_BLOCK_MAX)
        return fault_set(fault, ST_BAD_INPUT, "a worker cannot read 'block %s'", words);
    move_stack(s, seed);
    TRY(rotation_renew(&s->rotation, seed, fault));
    pinning_apply(s->pin_list, (int)s->threads, &s->pinned);
    TRY(witness_run(&s->witness, &s->rotation, fault));
    TRY(warm_block(s, runs, fault));
    witness_speck(&s->witness, &s->rotation, seed);
    say_began(s);
    guard_begin(&s->guard);
    TRY(sample(s, runs, count, samples, &wall, fault));
    guard_end(&s->guard, &look);
    say_stopped(s);
    TRY(witness_compare(&s->witness, &s->rotation, seed, fault));
    fputs("times ", s->out);
    guard_print(&look, s->out);
    fprintf(s->out, " %.9g", wall);
    for (int64_t i = 0; i < count; i++)
        fprintf(s->out, " %.9g", samples[i]);
    fputc('\n', s->out);
    return ST_OK;
}

/* What the timed runs left behind is held to the check: the check proves the variant right and
 * repeatable on the last block's data, and its result must be, bit for bit, what the clock saw. */
static enum status do_recheck(struct session *s, const char *words, struct fault *fault)
{
    struct check_result result;
    uint64_t timed;
    TRY(rotation_left(&s->rotation, &timed, fault));
    check_within(s, s->operands.seed, words, &result);
    if (result.status == ST_OK && check_outputs_hash(&s->operands) != timed) {
        result.status = ST_WRONG;
        snprintf(result.text, sizeof result.text,
                 "the timed runs left another output than the same data gives when checked");
    }
    if (result.status == ST_OK)
        TRY(witness_replay(&s->witness, &s->bound, fault));
    rotation_rehome(&s->rotation);
    say_checked(s, &result);
    return ST_OK;
}

static enum status run_one(void *user) { return bound_run(user); }

static void say_launches(struct session *s, const struct gpu_launch *launch, int count)
{
    for (int i = 0; i < count && i < KERNELS_LAUNCHES_MAX; i++) {
        const struct gpu_launch *l = &launch[i];
        fprintf(s->out, "launch %u %u %u %u %u %u %zu %d %d %d %.6g %s\n", l->grid[0], l->grid[1],
                l->grid[2], l->block[0], l->block[1], l->block[2], l->shared_bytes, l->registers,
                l->local_bytes, l->blocks_per_processor, l->occupancy, l->kernel);
    }
    fprintf(s->out, "launched %d\n", count);
}

static void say_algorithm(struct session *s)
{
    const struct variant *v = s->entry->variant;
    char text[512] = "";
    if (v->describe)
        v->describe(s->bound.exec.handle, problem_body(&s->bound.problem), s->bound.knob, text,
                    sizeof text);
    text[strcspn(text, "\n")] = '\0';
    if (text[0])
        fprintf(s->out, "algorithm %s\n", text);
}

static enum status do_launches(struct session *s, const char *words, struct fault *fault)
{
    struct gpu_launch launch[KERNELS_LAUNCHES_MAX] = {{.kernel = ""}};
    struct fault why = {""};
    int count = 0;
    (void)words, (void)fault;
    say_algorithm(s);
    if (!s->bound.mirror.gpu)
        fprintf(s->out, "launched -1 it runs on the CPU\n");
    else if (gpu_launches(s->bound.mirror.gpu, run_one, &s->bound, launch, KERNELS_LAUNCHES_MAX,
                          &count, &why) == ST_OK)
        say_launches(s, launch, count);
    else
        fprintf(s->out, "launched -1 %.240s\n", why.text[0] ? why.text : "no reason was given");
    return ST_OK;
}

static enum status do_copy(struct session *s, const char *words, struct fault *fault)
{
    double rate = 0;
    (void)words;
    if (s->bound.mirror.gpu)
        TRY(measure_device_copy(s->bound.mirror.gpu, &rate, fault));
    fprintf(s->out, "copied %.9g\n", rate);
    return ST_OK;
}

/* For sensors that need seconds to see anything. */
static enum status do_soak(struct session *s, const char *words, struct fault *fault)
{
    double seconds, taken, wall, busy = 0, begin = clock_seconds();
    int64_t runs, count = 0;
    if (sscanf(words, "%lf %" SCNd64, &seconds, &runs) != 2 || runs < 1)
        return fault_set(fault, ST_BAD_INPUT, "a worker cannot read 'soak %s'", words);
    while (clock_seconds() - begin < seconds) {
        TRY(sample(s, runs, 1, &taken, &wall, fault));
        busy += taken * (double)runs;
        count += runs;
        say_alive(s);
    }
    fprintf(s->out, "soaked %" PRId64 " %.9g\n", count, busy);
    return ST_OK;
}

static enum status count_pass(struct session *s, int pass, int64_t runs, struct fault *fault)
{
    counters_start(s->counters, pass);
    enum status status = run_many(s, runs);
    if (status == ST_OK && s->bound.mirror.gpu)
        status = gpu_sync(s->bound.mirror.gpu, fault);
    counters_stop(s->counters);
    return status == ST_OK ? ST_OK : fault_set(fault, status, "run() reported an error");
}

/* The same runs for every pass, so that all events saw the same work. */
static enum status do_counters(struct session *s, const char *words, struct fault *fault)
{
    int64_t runs = strtoll(words, NULL, 10);
    for (int pass = 0; pass < counters_passes(s->counters); pass++)
        TRY(count_pass(s, pass, runs, fault));
    for (int i = 0; i < counters_count(s->counters); i++) {
        fputs("counter ", s->out);
        counted_say(counters_at(s->counters, i), (double)runs, s->out);
        fputc('\n', s->out);
    }
    fputs("counted\n", s->out);
    return ST_OK;
}

static enum status profile_runs(void *user)
{
    struct session *s = user;
    return run_many(s, s->profile_runs);
}

/* Without a supervisor: what a profiler starts. Warm, so that it sees a run as it usually is. */
static enum status profile(struct session *s, struct fault *fault)
{
    struct check_result result;
    char name[640];
    snprintf(name, sizeof name, "%s/%s %s", s->entry->op, s->entry->name, s->shape);
    check_bound(&s->bound, s->seed, PROFILE_CHECK_SECONDS, &result);
    if (result.status != ST_OK)
        return fault_set(fault, result.status, "%s", result.text);
    fprintf(s->out, "verified at worst %.2g of tolerance, %.3g%% of values\n", result.worst,
            100 * result.checked_ratio);
    TRY(rotation_new(s->cache, (size_t)s->cache_bytes, &s->bound, &s->rotation, fault));
    if (run_many(s, PROFILE_WARM_RUNS) != ST_OK)
        return fault_set(fault, ST_WRONG, "run() reported an error");
    TRY(profile_marked(s->bound.mirror.gpu, name, s->perf_control, profile_runs, s, fault));
    fprintf(s->out, "ran %" PRId64 " times between the marks\n", s->profile_runs);
    return ST_OK;
}

static enum status serve(struct session *s, char *line, struct fault *fault)
{
    static const struct {
        const char *name;
        enum status (*run)(struct session *, const char *, struct fault *);
    } commands[] = {{"check", do_check},       {"launches", do_launches}, {"copy", do_copy},
                    {"warm", do_warm},         {"block", do_block},       {"recheck", do_recheck},
                    {"counters", do_counters}, {"soak", do_soak}};
    line[strcspn(line, "\n")] = '\0';
    char *words = line + strcspn(line, " ");
    words += *words ? (*words = '\0', 1) : 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(line, commands[i].name))
            return commands[i].run(s, words, fault);
    return fault_set(fault, ST_BAD_INPUT, "a worker does not know '%s'", line);
}

/* Its exit code is the profiler's to see; a supervisor reads the line. */
static int profile_alone(struct session *s, enum status status, struct fault *fault)
{
    if (status == ST_OK)
        status = profile(s, fault);
    if (status != ST_OK)
        fprintf(s->out, "fault %d %s\n", (int)status, fault->text);
    fault->text[0] = '\0';
    session_close(s);
    return exit_code_of(status);
}

int worker_kernels(int argc, char **argv, struct fault *fault)
{
    struct session s = {.threads = 1};
    char line[256];
    enum status status = worker_take_line_out(&s.out, fault);
    if (status != ST_OK)
        return EXIT_CHECK;
    status = read_arguments(&s, argc, argv, fault);
    if (status == ST_OK)
        status = session_open(&s, fault);
    guarded_report_faults(fileno(s.out));
    if (s.profile_runs > 0)
        return profile_alone(&s, status, fault);
    if (status == ST_OK)
        say_ready(&s);
    while (status == ST_OK && fflush(s.out) == 0 && fgets(line, sizeof line, stdin) &&
           strcmp(line, "end\n") != 0)
        status = serve(&s, line, fault);
    if (status != ST_OK)
        fprintf(s.out, "fault %d %s\n", (int)status, fault->text);
    else
        fprintf(s.out, "bye %zu\n", host_peak_resident());
    fault->text[0] = '\0'; /* told to the supervisor already */
    session_close(&s);
    return EXIT_OK;
}
