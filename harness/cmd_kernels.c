// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_kernels.c   patchmark kernels: the variants of an op against each other at one shape.
 *
 * Each variant lives in its own worker. All are verified first; then they take turns in blocks, in
 * a new random order every round, on the same fresh data, until every interval is narrow or the
 * budget is spent; then the timed outputs are checked. Everything statistical happens here, out of
 * reach of the code under test. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "host.h"
#include "kernels.h"
#include "patchmark.h"
#include "random.h"
#include "record.h"
#include "verify.h"
#include "worker.h"

#define NARROW 0.01                     /* half width of the interval over the median: done */
#define WIDE 0.05                       /* above it a row is unstable */
#define LEAST_SAMPLES 10
#define LEAST_ROUNDS 5                  /* samples of one visit resemble each other */
#define MOST_SAMPLES 4096
#define OVERRUN 0.5                     /* of the budget, see arms_sampled */
#define FLOOR_SLACK 1.1                 /* the peak is measured too, and a neighbour may dent it */
#define CHECK_SECONDS 2.0               /* of reference per variant; past it rows are sampled */

struct request {
    struct kernels_options options;
    const struct registry_entry **picked;
    int picked_count;
    double peak_flops;
    const char *peak_isa;
    struct record_file *record;
    struct json document;
    bool any_timed, any_failed;
};

#define OPTIONS(o)                                                                                 \
    {                                                                                              \
        {"--shape", "LINE", OPTION_TEXT, &(o)->shape,                                              \
         "as linear:S=512,K=1536,O=1536 (each op's own)"},                                         \
        {"--threads", "N", OPTION_COUNT, &(o)->threads, "threads of a variant (all cores)"},       \
        {"--budget", "SECONDS", OPTION_REAL, &(o)->budget,                                         \
         "for each shape, verification included (12), half more at most"},                         \
        {"--repetitions", "N", OPTION_COUNT, &(o)->repetitions,                                    \
         "samples of each variant, whatever the budget"},                                          \
        {"--backend", "NAME", OPTION_TEXT, &(o)->backend_text,                                     \
         "gbench or loop (gbench where it is built in)"},                                          \
        {"--counters", "LIST", OPTION_TEXT, &(o)->counters,                                        \
         "PAPI events, as perf::TASK-CLOCK,PAPI_TOT_CYC"},                                         \
        {"--seed", "N", OPTION_SEED, &(o)->seed, "of data and order (1)"},                         \
        PLUGIN_OPTION,                                                                             \
        {"--results", "DIR|none", OPTION_TEXT, &(o)->results, "where the record goes (results)"},  \
        {"--format", "text|json", OPTION_TEXT, &(o)->format, "json: one document on stdout"},      \
        {0},                                                                                       \
    }

void help_kernels(FILE *out)
{
    struct kernels_options o = {.glob = NULL};
    const struct option options[] = OPTIONS(&o);
    options_help(options, out);
}

/* ---- request ---------------------------------------------------------------------------------- */

enum status backend_find(const char *name, enum backend *out, struct fault *fault)
{
    *out = backend_default();
    if (!name)
        return ST_OK;
    int b = BACKEND_LOOP;
    while (b <= BACKEND_GBENCH && strcmp(name, backend_name((enum backend)b)) != 0)
        b++;
    if (b > BACKEND_GBENCH)
        return fault_set(fault, ST_BAD_INPUT, "--backend is gbench or loop, not '%s'", name);
    *out = (enum backend)b;
    if (!backend_built(*out))
        return fault_set(fault, ST_NOT_BUILT, "this build has no %s back end; use --backend loop",
                         name);
    return ST_OK;
}

static enum status check_ranges(struct kernels_options *o, struct fault *fault)
{
    if (o->threads < 1 || o->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %" PRId64,
                         o->threads);
    if (!(o->budget > 0) || o->budget > 86400)
        return fault_set(fault, ST_BAD_INPUT, "--budget wants seconds, above 0 and at most a day");
    if (o->repetitions < 0 || o->repetitions > MOST_SAMPLES)
        return fault_set(fault, ST_BAD_INPUT, "--repetitions wants 1 to %d, not %" PRId64,
                         MOST_SAMPLES, o->repetitions);
    o->json = !strcmp(o->format, "json");
    if (!o->json && strcmp(o->format, "text") != 0)
        return fault_set(fault, ST_BAD_INPUT, "--format is text or json, not '%s'", o->format);
    return backend_find(o->backend_text, &o->backend, fault);
}

/* A counter's name may be unknown here and known elsewhere; a list that cannot be read is wrong. */
static enum status check_counters(const char *names, struct fault *fault)
{
    struct counters *counters = NULL;
    if (!names)
        return ST_OK;
    TRY(counters_open(names, &counters, fault));
    counters_free(counters);
    return ST_OK;
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    struct kernels_options *o = &r->options;
    const struct option options[] = OPTIONS(o);
    int words = 1;
    *o = (struct kernels_options){.results = "results", .format = "text", .budget = 12, .seed = 1};
    o->threads = host_cores();
    TRY(options_parse(options, argc, argv, &o->glob, &words, fault));
    TRY(check_ranges(o, fault));
    TRY(check_counters(o->counters, fault));
    return verify_select(o->glob, &r->picked, &r->picked_count, fault);
}

/* ---- one arm ---------------------------------------------------------------------------------- */

static void arm_stop(struct arm *a, const char *state, const char *reason)
{
    a->state = state;
    snprintf(a->reason, sizeof a->reason, "%s", reason);
    worker_end(a->worker);
    a->worker = NULL;
    if (strcmp(state, "passed") != 0 && strcmp(state, "unstable") != 0)
        a->n = 0; /* a time nobody may read is not kept */
}

static void arm_fail(struct arm *a, enum status status, const struct fault *fault)
{
    arm_stop(a, status_name(status), fault->text);
}

/* The worker's own word on what went wrong: "fault STATUS SENTENCE". */
static bool said_fault(struct arm *a, const char *line)
{
    int status, used = 0;
    struct fault fault = {{0}};
    if (sscanf(line, "fault %d %n", &status, &used) != 1 || !used)
        return false;
    status = status > ST_OK && status < ST_COUNT ? status : ST_CRASHED;
    fault_set(&fault, ST_OK, "%s", line + used);
    arm_fail(a, (enum status)status, &fault);
    return true;
}

/* Sends a command (NULL: none) and waits for the answer that begins with `word`; what follows it in
 * *answer. False: the arm has been stopped. */
static bool ask(struct arm *a, const char *command, double seconds, const char *word,
                const char **answer)
{
    struct fault fault = {{0}};
    const char *line = NULL;
    size_t letters = strlen(word);
    enum status status = command ? worker_send(a->worker, command, &fault) : ST_OK;
    if (status == ST_OK)
        status = worker_receive(a->worker, seconds, &line, &fault);
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

/* How long a worker may stay silent: what the budget grants several times over, and a slow
 * machine's process start. */
static double patience(const struct contest *c) { return fmax(3, 5 * c->options->budget); }

static void arm_start(const struct contest *c, struct arm *a)
{
    char threads[24], seed[24];
    const char *argv[16] = {"worker", "kernels", a->entry->name, c->shape,
                                              "--threads", threads, "--seed", seed,
                                              "--backend", backend_name(c->options->backend)};
    int n = 10;
    struct fault fault = {{0}};
    snprintf(threads, sizeof threads, "%" PRId64, c->options->threads);
    snprintf(seed, sizeof seed, "%" PRIu64, c->options->seed);
    if (c->options->counters) {
        argv[n++] = "--counters";
        argv[n++] = c->options->counters;
    }
    enum status status = registry_usable(a->entry, &fault);
    if (status == ST_OK)
        status = worker_spawn(argv, &a->worker, &fault);
    if (status != ST_OK)
        arm_fail(a, status, &fault);
}

static bool arm_ready(const struct contest *c, struct arm *a)
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
    return true;
}

/* command: "check" or "recheck". The worst of both is what the row reports. */
static bool arm_check(const struct contest *c, struct arm *a, const char *command, double seconds)
{
    char text[64];
    const char *answer;
    int status, used = 0;
    double worst, l2, max_abs, ratio;
    int64_t nonfinite;
    struct fault fault = {{0}};
    snprintf(text, sizeof text, "%s %.6g", command, seconds);
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
    a->checked_ratio = a->checked ? fmin(a->checked_ratio, ratio) : ratio;
    a->nonfinite += nonfinite;
    a->checked = true;
    if (status == ST_OK)
        return true;
    fault_set(&fault, ST_OK, "%s", answer + used);
    arm_fail(a, (enum status)status, &fault);
    return false;
}

static bool arm_warm(const struct contest *c, struct arm *a, double seconds)
{
    char text[64];
    const char *answer;
    snprintf(text, sizeof text, "warm %.6g", seconds);
    if (!ask(a, text, patience(c), "warmed", &answer))
        return false;
    if (sscanf(answer, "%lf %" SCNd64, &a->run_seconds, &a->warm_samples) != 2 ||
        !(a->run_seconds > 0)) {
        arm_stop(a, status_name(ST_CRASHED), "the worker's warm-up cannot be read");
        return false;
    }
    a->runs = kernels_runs_per_sample(a->run_seconds);
    return true;
}

static int64_t block_count(const struct contest *c, const struct arm *a)
{
    double sample = a->run_seconds * (double)a->runs;
    int64_t count = (int64_t)fmin(KERNELS_BLOCK_MAX, fmax(1, KERNELS_BLOCK_SECONDS / sample));
    int64_t most = c->options->repetitions ? c->options->repetitions : MOST_SAMPLES;
    return count < most - a->n ? count : most - a->n;
}

static void arm_block(const struct contest *c, struct arm *a, uint64_t seed, int place)
{
    char text[96];
    const char *answer;
    int64_t count = block_count(c, a);
    if (count < 1)
        return;
    snprintf(text, sizeof text, "block %" PRIu64 " %" PRId64 " %" PRId64, seed, a->runs, count);
    double expected = a->run_seconds * (double)(a->runs * count);
    if (!ask(a, text, patience(c) + 10 * expected, "times", &answer))
        return;
    for (int64_t i = 0; i < count; i++) {
        char *end;
        a->samples[a->n] = strtod(answer, &end);
        if (end == answer || !(a->samples[a->n] > 0)) {
            arm_stop(a, status_name(ST_CRASHED), "the worker's times cannot be read");
            return;
        }
        a->n++;
        answer = end;
    }
    if (a->rounds < MOST_SAMPLES)
        a->order[a->rounds++] = place;
    a->summary = stats_summary(a->samples, a->n);
}

static void arm_counters(const struct contest *c, struct arm *a)
{
    char text[64];
    const char *line = NULL;
    struct fault fault = {{0}};
    snprintf(text, sizeof text, "counters %" PRId64, a->runs);
    enum status status = worker_send(a->worker, text, &fault);
    while (status == ST_OK) {
        struct kernels_counter *k = &a->counter[a->counters];
        int used = 0;
        char value[32];
        status = worker_receive(a->worker, patience(c), &line, &fault);
        if (status != ST_OK || a->counters == COUNTERS_MAX ||
            sscanf(line, "counter %63s %31s %n", k->name, value, &used) != 2)
            break;
        k->available = strcmp(value, "null") != 0;
        k->value = strtod(value, NULL);
        snprintf(k->text, sizeof k->text, "%s", line + used);
        a->counters++;
    }
    if (status != ST_OK)
        arm_fail(a, status, &fault);
}

static void arm_finish(const struct contest *c, struct arm *a)
{
    const char *answer;
    if (ask(a, "end", patience(c), "bye", &answer)) {
        a->peak_bytes = (size_t)strtoull(answer, NULL, 10);
        worker_end(a->worker);
        a->worker = NULL;
    }
}

/* ---- the contest ------------------------------------------------------------------------------ */

static double half_width(const struct arm *a)
{
    return (a->summary.hi - a->summary.lo) / 2 / a->summary.median;
}

static bool arm_done(const struct contest *c, const struct arm *a)
{
    if (c->options->repetitions)
        return a->n >= c->options->repetitions;
    if (a->n >= MOST_SAMPLES)
        return true;
    return a->n >= LEAST_SAMPLES && a->rounds >= LEAST_ROUNDS && half_width(a) <= NARROW;
}

/* An interval needs a least number of samples; for these a slow machine may overrun the budget. */
static bool arms_sampled(const struct contest *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->arms[i].worker && c->arms[i].n < KERNELS_LEAST_SAMPLES)
            return false;
    return true;
}

static int arms_open(const struct contest *c)
{
    int open = 0;
    for (int i = 0; i < c->count; i++)
        open += c->arms[i].worker && !arm_done(c, &c->arms[i]);
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

/* Returns the seconds lost to variants that failed: a hanging one must not eat the others' time. */
static double verify_arms(struct contest *c)
{
    double share = c->options->budget / (4 * c->count), lost = 0;
    for (int i = 0; i < c->count && !interrupted_by; i++) {
        struct arm *a = &c->arms[i];
        double begin = clock_seconds();
        progress(c, "verifying", c->options->budget);
        arm_start(c, a);
        if (a->worker && arm_ready(c, a) && arm_check(c, a, "check", fmin(CHECK_SECONDS, share)))
            arm_warm(c, a, fmin(0.5, share / 2));
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
        if (a->worker)
            arm_finish(c, a);
    }
}

/* No vector set is faster than what the probe reached, slack included; for narrower types than f32
 * the probe says nothing. A time below that floor is not believed: the work was not done. */
static void judge_floor(const struct contest *c, struct arm *a)
{
    double floor = a->flops / (c->peak_flops * FLOOR_SLACK);
    char reason[256];
    if (a->numerics != NUM_F32 || !(c->peak_flops > 0) || a->summary.median >= floor)
        return;
    snprintf(reason, sizeof reason,
             "%.3g ms is less than the %.3g ms that %.3g MFLOP need at a peak of %.1f GFLOP/s",
             1e3 * a->summary.median, 1e3 * floor, a->flops / 1e6, c->peak_flops / 1e9);
    arm_stop(a, "mistrusted", reason);
}

static void judge_spread(struct arm *a)
{
    bool enough = a->n >= KERNELS_LEAST_SAMPLES, narrow = enough && half_width(a) <= WIDE;
    a->state = narrow ? "passed" : "unstable";
    if (!enough)
        snprintf(a->reason, sizeof a->reason,
                 "%" PRId64 " of the least %d samples; raise --budget", a->n,
                 KERNELS_LEAST_SAMPLES);
    else if (!narrow)
        snprintf(a->reason, sizeof a->reason,
                 "the %.3g %% interval is +-%.2g %% of the median after %" PRId64
                 " samples; a quieter machine or a larger --budget may help",
                 100 * a->summary.level, 100 * half_width(a), a->n);
}

static void judge(const struct contest *c, struct arm *a)
{
    if (!a->state && a->n > 0) {
        bool counted = c->options->repetitions && a->n >= c->options->repetitions;
        a->stop_reason = counted || a->n >= MOST_SAMPLES ? "count"
                         : arm_done(c, a)                ? "interval"
                                                         : "budget";
        judge_spread(a);
        judge_floor(c, a);
    }
    if (!a->state)
        arm_stop(a, status_name(ST_CRASHED), "no sample was taken");
}

/* A busy neighbour during the first measurement must not brand a kernel: the peak is the best of
 * what was seen before and after. */
static void peak_again(struct request *r)
{
    const char *isa = "";
    double again = measure_fma_peak((int)r->options.threads, &isa);
    if (again <= r->peak_flops)
        return;
    r->peak_flops = again;
    r->peak_isa = isa;
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

/* NaN where either has too few samples for an interval: two times are no comparison. */
static void ratio_of(const struct contest *c, const struct arm *slow, const struct arm *fast,
                     double ratio[3])
{
    ratio[0] = ratio[1] = ratio[2] = NAN;
    if (slow->n >= KERNELS_LEAST_SAMPLES && fast->n >= KERNELS_LEAST_SAMPLES)
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

static enum status contest_run(struct request *r, struct contest *c, struct fault *fault)
{
    double deadline = clock_seconds() + c->options->budget;
    deadline += verify_arms(c);
    /* The outputs are checked once more at the end; that belongs to the budget too. */
    double spent = c->options->budget - (deadline - clock_seconds());
    enum status status = rounds_run(c, deadline - fmin(spent, c->options->budget / 3), fault);
    if (status == ST_OK)
        recheck_arms(c);
    progress(c, NULL, 0);
    if (interrupted_by)
        return fault_set(fault, ST_INTERRUPTED, "interrupted");
    TRY(status);
    peak_again(r);
    c->peak_flops = r->peak_flops;
    c->peak_isa = r->peak_isa;
    for (int i = 0; i < c->count; i++)
        judge(c, &c->arms[i]);
    compare_arms(c);
    return ST_OK;
}

static enum status contest_new(const struct request *r, const struct problem *shape,
                               struct contest *c, struct fault *fault)
{
    *c = (struct contest){.options = &r->options, .problem = *shape};
    shape_print(shape, c->shape, sizeof c->shape);
    c->arms = calloc((size_t)r->picked_count, sizeof *c->arms);
    for (int i = 0; c->arms && i < r->picked_count; i++) {
        struct arm *a = &c->arms[c->count];
        if (strcmp(r->picked[i]->op, op_table[shape->op]->name) != 0)
            continue;
        a->entry = r->picked[i];
        c->count++;
        a->samples = malloc((MOST_SAMPLES + KERNELS_BLOCK_MAX) * sizeof *a->samples);
        a->order = malloc(MOST_SAMPLES * sizeof *a->order);
        if (!a->samples || !a->order)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the samples");
    }
    return c->arms ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory for the variants");
}

static void contest_free(struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        worker_end(c->arms[i].worker);
        free(c->arms[i].samples);
        free(c->arms[i].order);
    }
    free(c->arms);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static enum status write_records(struct request *r, const struct contest *c, struct fault *fault)
{
    for (int i = 0; r->record && i < c->count; i++) {
        struct json j;
        record_begin(r->record, &j, "case");
        kernels_case(c, &c->arms[i], &j);
        TRY(record_write(r->record, &j, fault));
    }
    return ST_OK;
}

static void write_document(struct json *j, const struct contest *c)
{
    char line[1024];
    json_open_object(j, NULL);
    json_text(j, "op", op_table[c->problem.op]->name);
    json_text(j, "shape", c->shape);
    kernels_winner(c, line, sizeof line);
    json_text(j, "verdict", line);
    json_text(j, "baseline", c->baseline ? c->baseline->entry->name : NULL);
    json_text(j, "best", c->best ? c->best->entry->name : NULL);
    json_open_array(j, "variants");
    for (int i = 0; i < c->count; i++) {
        json_open_object(j, NULL);
        kernels_case(c, &c->arms[i], j);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void take_stock(struct request *r, const struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        r->any_timed = r->any_timed || arm_timed(&c->arms[i]);
        r->any_failed = r->any_failed || kernels_failed(&c->arms[i]);
    }
}

static enum status contest_at(struct request *r, const struct problem *shape, struct fault *fault)
{
    struct contest c;
    enum status status = contest_new(r, shape, &c, fault);
    if (status == ST_OK)
        status = contest_run(r, &c, fault);
    if (status == ST_OK) {
        take_stock(r, &c);
        status = write_records(r, &c, fault);
        if (r->options.json)
            write_document(&r->document, &c);
        else
            kernels_table(&c, stdout);
        fflush(stdout);
    }
    contest_free(&c);
    return status;
}

/* Ops in the table's order; each once, at the shape asked for or its own. */
static enum status contests(struct request *r, struct fault *fault)
{
    struct problem shape;
    if (r->options.shape)
        return shape_parse(r->options.shape, &shape, fault) == ST_OK ? contest_at(r, &shape, fault)
                                                                     : ST_BAD_INPUT;
    for (int op = 0; op < OP_COUNT; op++) {
        bool wanted = false;
        for (int i = 0; i < r->picked_count; i++)
            wanted = wanted || !strcmp(r->picked[i]->op, op_table[op]->name);
        if (!wanted)
            continue;
        TRY(shape_parse(op_table[op]->timing_shape, &shape, fault));
        TRY(contest_at(r, &shape, fault));
    }
    return ST_OK;
}

/* The shape's op and the glob must meet before a process is started. */
static enum status check_shape(const struct request *r, struct fault *fault)
{
    struct problem shape;
    if (!r->options.shape)
        return ST_OK;
    TRY(shape_parse(r->options.shape, &shape, fault));
    for (int i = 0; i < r->picked_count; i++)
        if (!strcmp(r->picked[i]->op, op_table[shape.op]->name))
            return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "the shape is one of %s, but '%s' names no variant of it",
                     op_table[shape.op]->name, r->options.glob ? r->options.glob : "*");
}

static void command_line(int argc, char **argv, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "build/patchmark kernels");
    for (int i = 0; i < argc && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used,
                                 strpbrk(argv[i], " *?[\"") ? " '%s'" : " %s", argv[i]);
}

static enum status open_outputs(struct request *r, int argc, char **argv, struct fault *fault)
{
    char command[4096];
    command_line(argc, argv, command, sizeof command);
    if (strcmp(r->options.results, "none") != 0)
        TRY(record_open(r->options.results, command, &r->record, fault));
    r->peak_flops = measure_fma_peak((int)r->options.threads, &r->peak_isa);
    json_init(&r->document, true);
    json_open_object(&r->document, NULL);
    json_open_object(&r->document, "schema");
    json_text(&r->document, "name", "patchmark");
    json_text(&r->document, "version", RECORD_SCHEMA_VERSION);
    json_end(&r->document);
    json_text(&r->document, "machine", host_machine_slug());
    json_text(&r->document, "command", command);
    json_open_array(&r->document, "shapes");
    return ST_OK;
}

static enum status close_outputs(struct request *r, struct fault *fault)
{
    const char *path = NULL;
    if (r->record)
        TRY(record_close(r->record, &path, fault));
    json_end(&r->document);
    json_text(&r->document, "record", path);
    json_end(&r->document);
    if (r->options.json && r->document.failed)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the document");
    if (r->options.json)
        printf("%s\n", r->document.text);
    else if (path)
        printf("record: %s\n", path);
    return ST_OK;
}

int cmd_kernels(int argc, char **argv, struct fault *fault)
{
    struct request r = {.peak_isa = ""};
    enum status status = parse(argc, argv, &r, fault);
    if (status == ST_OK)
        status = check_shape(&r, fault);
    if (status == ST_OK)
        status = open_outputs(&r, argc, argv, fault);
    if (status == ST_OK)
        status = contests(&r, fault);
    if (status == ST_OK)
        status = close_outputs(&r, fault);
    if (r.record)
        record_free(r.record);
    json_free(&r.document);
    free(r.picked);
    if (status != ST_OK)
        return exit_code_of(status);
    return r.any_failed ? EXIT_CHECK : r.any_timed ? EXIT_OK : EXIT_NOTHING;
}
