// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_case.c   The supervisor's side of a pipeline case: spawns the worker (run_worker.c), reads its
 * lines, decides when there are samples enough. */
#include "run_case.h"
#include "measure.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

static void describe_repro(struct outcome *o, const struct case_spec *s)
{
    size_t used = (size_t)snprintf(o->repro, sizeof o->repro,
                                   "build/patchmark run --model %s --size %lldx%lld --frames %lld --steps"
                                   " %lld --threads %d --dtype %s --scheduler %s --guidance %g --seed %llu",
                                   s->model, (long long)o->c.request.geometry.width,
                                   (long long)o->c.request.geometry.height,
                                   (long long)o->c.request.geometry.frames, (long long)o->c.request.steps,
                                   o->c.config.threads, s->dtype, s->scheduler, o->c.request.guidance,
                                   (unsigned long long)s->seed);
    if (s->kernels && used < sizeof o->repro)
        snprintf(o->repro + used, sizeof o->repro - used, " --kernels '%s'", s->kernels);
}

/* ---- talking with the worker ---- */

#define WORDS_MAX 48

struct words {
    const char *word[WORDS_MAX];
    char number[8][40];
    int count, numbers;
};

static void add(struct words *w, const char *flag, const char *value)
{
    if (value) {
        w->word[w->count++] = flag;
        w->word[w->count++] = value;
    }
}

static void add_number(struct words *w, const char *flag, double value)
{
    if (!isnan(value)) {
        char *text = w->number[w->numbers++];
        snprintf(text, sizeof w->number[0], "%.17g", value);
        add(w, flag, text);
    }
}

static enum status spawn(const struct outcome *o, const char *counters, struct worker **out,
                         struct fault *fault)
{
    const struct case_spec *s = &o->c.spec;
    char size[48], seed[24];
    struct words w = {.word = {"worker", "pipeline"}, .count = 2};
    snprintf(size, sizeof size, "%lldx%lld", (long long)o->c.request.geometry.width,
             (long long)o->c.request.geometry.height);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)s->seed);
    add(&w, "--model", s->model);
    add(&w, "--prompt", s->prompt);
    add(&w, "--negative", s->negative);
    add(&w, "--size", size);
    add_number(&w, "--frames", (double)o->c.request.geometry.frames);
    add_number(&w, "--steps", (double)o->c.request.steps);
    add_number(&w, "--threads", (double)o->c.config.threads);
    add_number(&w, "--fps", s->fps);
    add_number(&w, "--guidance", s->guidance);
    add_number(&w, "--shift", s->shift);
    add(&w, "--seed", seed);
    add(&w, "--dtype", s->dtype);
    add(&w, "--kernels", s->kernels);
    add(&w, "--scheduler", s->scheduler);
    add(&w, "--device", s->device);
    add(&w, "--fill", s->fill);
    add(&w, "--counters", counters);
    return worker_spawn(w.word, out, fault);
}

static void take_sample(struct outcome *o, const char *text)
{
    char *end;
    int64_t i = o->samples, steps = o->c.request.steps;
    o->total[i] = (double)strtoll(text, &end, 10);
    for (int s = 0; s < STAGE_COUNT; s++)
        o->stage[s][i] = (double)strtoll(end, &end, 10);
    for (int s = 0; s < STAGE_COUNT; s++)
        o->load[s][i] = (double)strtoll(end, &end, 10);
    for (int64_t k = 0; k < steps; k++)
        o->step[k * SAMPLES_MAX + i] = (double)strtoll(end, &end, 10);
    o->samples++;
}

static void take_counter(struct outcome *o, const char *text, bool available)
{
    char name[128];
    int used = 0;
    if (sscanf(text, "%127s %n", name, &used) != 1)
        return;
    if (!available) {
        json_unavailable(&o->counters, name, text + used);
        return;
    }
    json_open_object(&o->counters, name);
    json_int(&o->counters, "value", strtoll(text + used, NULL, 10));
    json_none(&o->counters, "why");
    json_end(&o->counters);
}

static void take_check(struct outcome *o, const char *text)
{
    double worst, l2, most, ratio;
    long long problems;
    int status;
    if (sscanf(text, "%d %lg %lg %lg %lg %lld", &status, &worst, &l2, &most, &ratio, &problems) == 6)
        snprintf(o->check, sizeof o->check,
                 "{\"worst\":%.9g,\"l2_rel\":%.9g,\"max_abs\":%.9g,\"checked_ratio\":%.9g,"
                 "\"problems\":%lld}", worst, l2, most, ratio, problems);
}

static const char *behind(const char *line, const char *word)
{
    size_t n = strlen(word);
    return !strncmp(line, word, n) && (line[n] == ' ' || !line[n]) ? line + n + (line[n] == ' ') : NULL;
}

/* Takes one line in. *done is set on the word waited for; a "fail" line becomes its status. */
static enum status take_line(struct outcome *o, const char *line, const char *until, bool *done)
{
    const char *rest;
    *done = behind(line, until) != NULL;
    if ((rest = behind(line, "recipe")))
        snprintf(o->recipe, sizeof o->recipe, "%s", rest);
    else if ((rest = behind(line, "work")))
        snprintf(o->work, sizeof o->work, "%s", rest);
    else if ((rest = behind(line, "sha256")))
        snprintf(o->sha256, sizeof o->sha256, "%s", rest);
    else if ((rest = behind(line, "planned")))
        o->planned = strtod(rest, NULL);
    else if ((rest = behind(line, "resident")))
        o->resident = strtod(rest, NULL);
    else if ((rest = behind(line, "first")))
        o->first_ns = strtod(rest, NULL);
    else if ((rest = behind(line, "check")))
        take_check(o, rest);
    else if ((rest = behind(line, "peak")))
        sscanf(rest, "%lg %15s", &o->fma_peak, o->isa);
    else if ((rest = behind(line, "sample")))
        take_sample(o, rest);
    else if ((rest = behind(line, "counter")))
        take_counter(o, rest, true);
    else if ((rest = behind(line, "counter_off")))
        take_counter(o, rest, false);
    else if ((rest = behind(line, "fail"))) {
        char *sentence;
        long status = strtol(rest, &sentence, 10);
        snprintf(o->reason, sizeof o->reason, "%s", sentence + (*sentence == ' '));
        return status > 0 && status < ST_COUNT ? (enum status)status : ST_CRASHED;
    }
    return ST_OK;
}

static enum status wait_for(struct worker *w, const struct run_limits *limits, struct outcome *o,
                            const char *until, struct fault *fault)
{
    bool done = false;
    while (!done) {
        const char *line;
        TRY(worker_receive(w, limits->deadline_s, &line, fault));
        TRY(take_line(o, line, until, &done));
    }
    return ST_OK;
}

/* ---- timing ---- */

double outcome_work(const struct outcome *o, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(o->work, quoted);
    return at ? strtod(at + strlen(quoted), NULL) : NAN;
}

bool outcome_timed(const struct outcome *o) { return o->status == ST_OK && !o->mistrusted; }

const char *outcome_state(const struct outcome *o)
{
    if (o->status != ST_OK)
        return status_name(o->status);
    return o->mistrusted ? "mistrusted" : o->unstable ? "unstable" : "passed";
}

static bool narrow(const struct summary *s, double share)
{
    return (s->hi - s->lo) / 2 <= share * s->median;
}

/* Six samples are the fewest whose extremes cover the median with 95%; for them the budget may be
 * overrun by half. */
enum { ENOUGH = 6 };

static const char *reason_to_stop(const struct outcome *o, const struct run_limits *limits, double spent_s)
{
    double next_s = spent_s + o->summary.median * 1e-9;
    double allowed_s = o->samples < ENOUGH ? 1.5 * limits->budget_s : limits->budget_s;
    if (o->samples >= ENOUGH && o->samples >= limits->least_samples && narrow(&o->summary, 0.02))
        return "interval";
    if (o->samples == SAMPLES_MAX)
        return "count";
    return next_s > allowed_s && o->samples >= limits->least_samples ? "budget" : NULL;
}

/* Too few or too scattered samples, or a rate that the machine cannot have. */
static void judge(struct outcome *o)
{
    const double slack = 1.1; /* the peak is measured too, and a neighbour may dent it */
    double rate = outcome_work(o, "flops") * 1e9 / o->summary.median;
    o->mistrusted = rate > slack * o->fma_peak;
    o->unstable = o->samples < ENOUGH || !narrow(&o->summary, 0.05);
    if (o->mistrusted)
        snprintf(o->reason, sizeof o->reason, "%.0f GFLOP/s are more than this machine's measured"
                 " multiply-add peak of %.0f", rate * 1e-9, o->fma_peak * 1e-9);
    else if (o->samples < ENOUGH)
        snprintf(o->reason, sizeof o->reason, "%lld clips are too few for a 95%% interval; raise"
                 " --budget", (long long)o->samples);
    else if (o->unstable)
        snprintf(o->reason, sizeof o->reason, "after %lld clips the interval is still wider than 5%%",
                 (long long)o->samples);
}

static enum status take_samples(struct worker *w, const struct run_limits *limits, struct outcome *o,
                                struct fault *fault)
{
    double start = clock_seconds();
    for (o->stop_reason = NULL; !o->stop_reason;) {
        TRY(worker_send(w, "go", fault));
        TRY(wait_for(w, limits, o, "sample", fault));
        o->summary = stats_summary(o->total, o->samples);
        o->stop_reason = reason_to_stop(o, limits, clock_seconds() - start);
    }
    TRY(worker_send(w, "end", fault));
    TRY(wait_for(w, limits, o, "bye", fault));
    judge(o);
    return ST_OK;
}

void run_case(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct worker *w = NULL;
    o->status = spawn(o, limits->counters, &w, &fault);
    if (o->status == ST_OK)
        o->status = wait_for(w, limits, o, "ready", &fault);
    if (o->status == ST_OK)
        o->status = take_samples(w, limits, o, &fault);
    if (o->status != ST_OK && !o->reason[0])
        snprintf(o->reason, sizeof o->reason, "%s", fault.text);
    if (w)
        worker_end(w);
}

enum status outcome_new(const struct case_spec *s, struct outcome **out, struct fault *fault)
{
    struct outcome *o = calloc(1, sizeof *o);
    if (!o)
        return ST_NO_MEMORY;
    json_init(&o->counters, false);
    json_open_object(&o->counters, NULL);
    *out = o;
    TRY(case_resolve(s, &o->c, fault));
    describe_repro(o, s);
    o->step = calloc((size_t)o->c.request.steps * SAMPLES_MAX, sizeof *o->step);
    return o->step ? ST_OK : ST_NO_MEMORY;
}

void outcome_free(struct outcome *o)
{
    if (!o)
        return;
    json_free(&o->counters);
    free(o->step);
    free(o);
}
