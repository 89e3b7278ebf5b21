// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_case.c   The supervisor's side of a pipeline case: has the worker (run_worker.c) spawned, reads
 * its lines, decides when there are samples enough. */
#include "run/run_case.h"
#include "base/worker.h"
#include "external/external.h"
#include "machine/gpu.h"
#include "machine/nvml.h"
#include "run/run_replicas.h"
#include "run/run_sustain.h"
#include "timing/measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the worker says: a handler per word, false where the line is not as it should be ----
 */

/* One sample per `go`, with as many steps as the plan. */
static bool take_sample(struct outcome *o, const char *text)
{
    char *end;
    int64_t i = o->samples, steps = o->c.request.steps;
    if (!o->asked || i == SAMPLES_MAX)
        return false;
    o->asked = false;
    o->total[i] = (double)strtoll(text, &end, 10);
    for (int s = 0; s < STAGE_COUNT; s++)
        o->stage[s][i] = (double)strtoll(end, &end, 10);
    for (int s = 0; s < STAGE_COUNT; s++)
        o->load[s][i] = (double)strtoll(end, &end, 10);
    o->stage[STAGE_ENCODE][i] += o->stage[STAGE_IMAGE][i];
    o->stage[STAGE_DENOISE][i] += o->stage[STAGE_DENOISE_LOW][i];
    o->clip_hash = strtoull(end, &end, 16);
    if (!o->c.spec.scenario && (o->clip == 0 || o->c.spec.noise))
        o->frames_differ = o->frames_differ || o->clip_hash != o->frames_hash;
    for (int64_t k = 0; k < steps; k++)
        o->step[k * SAMPLES_MAX + i] = (double)strtoll(end, &end, 10);
    o->samples++;
    o->passes++;
    o->passes_ns += o->total[i];
    return !*end && o->total[i] > 0;
}

static bool take_counter(struct outcome *o, const char *text)
{
    return o->counters < COUNTERS_MAX && counted_take(text, &o->counter[o->counters++]);
}

static bool take_check(struct outcome *o, const char *text)
{
    struct checked *c = &o->check;
    int status;
    c->given = sscanf(text, "%d %lg %lg %lg %lg %" SCNd64 " %" SCNu64, &status, &c->worst, &c->l2,
                      &c->max_abs, &c->ratio, &c->problems, &c->seed) == 7;
    return c->given;
}

static bool keep_text(char *to, size_t bytes, const char *text)
{
    return (size_t)snprintf(to, bytes, "%s", text) < bytes;
}

static bool take_recipe(struct outcome *o, const char *t)
{
    return keep_text(o->recipe, sizeof o->recipe, t);
}
static bool take_work(struct outcome *o, const char *t)
{
    return keep_text(o->work, sizeof o->work, t);
}
static bool take_sha256(struct outcome *o, const char *t)
{
    return keep_text(o->sha256, sizeof o->sha256, t);
}

static bool take_plugin(struct outcome *o, const char *text)
{
    size_t used = strlen(o->plugins);
    return keep_text(o->plugins + used, sizeof o->plugins - used, text) &&
           keep_text(o->plugins + strlen(o->plugins), sizeof o->plugins - strlen(o->plugins), " ");
}

static bool take_tuned(struct outcome *o, const char *text)
{
    struct tuned_use *t = &o->tuned;
    int used = 0;
    t->asked = sscanf(text, "%d %d %d %d %16s %n", &t->tuned, &t->problems, &t->lines, &t->stale,
                      t->hash, &used) == 5;
    return t->asked && keep_text(t->why, sizeof t->why, text + used);
}

static bool take_planned(struct outcome *o, const char *t)
{
    return (o->planned = strtod(t, NULL)) > 0;
}
static bool take_resident(struct outcome *o, const char *t)
{
    return (o->resident = strtod(t, NULL)) > 0;
}

/* The best of what is seen before and after: a neighbour may dent either. */
static bool take_peak(struct outcome *o, const char *text)
{
    double peak;
    char isa[16];
    if (sscanf(text, "%lg %15s", &peak, isa) != 2)
        return false;
    if (peak > o->fma_peak || !o->isa[0]) {
        o->fma_peak = peak;
        strcpy(o->isa, isa);
    }
    return true;
}

static bool take_host(struct outcome *o, const char *text)
{
    return sscanf(text, "%" SCNd64 " %" SCNd64, &o->host_step_ns, &o->graph_nodes) == 2;
}

static bool take_took(struct outcome *o, const char *text)
{
    return (o->took_s = strtod(text, NULL)) > 0;
}

static bool take_pinned(struct outcome *o, const char *text)
{
    return sscanf(text, "%d %d %1023s %255s", &o->openmp, &o->openblas, o->pinned, o->others) == 4;
}

static bool take_look(struct outcome *o, const char *text)
{
    int used = guard_read(text, &o->look);
    return used && !text[used];
}

static bool take_first(struct outcome *o, const char *text)
{
    return sscanf(text, "%lg %" SCNx64, &o->first_ns, &o->frames_hash) == 2;
}

static bool take_share(struct outcome *o, const char *text)
{
    outcome_progress(o, strtod(text, NULL));
    return true;
}

/* Why a clip that was to be dumped is none for this machine. */
static bool take_far(struct outcome *o, const char *text)
{
    return keep_text(o->reason, sizeof o->reason, text);
}

static bool take_part(struct outcome *o, const char *text)
{
    return sampled_take_part(&o->sampled, text);
}

/* One pass per "pass". */
static bool take_times(struct outcome *o, const char *text)
{
    const bool asked = o->asked;
    o->asked = false;
    return asked && sampled_take_times(&o->sampled, text);
}

static bool take_rechecked(struct outcome *o, const char *text) { return (o->rechecked = !*text); }
static bool take_nothing(struct outcome *o, const char *text) { return o && !*text; }

static const struct {
    const char *word;
    bool (*take)(struct outcome *o, const char *rest);
} handlers[] = {
    {"recipe", take_recipe}, {"work", take_work},       {"sha256", take_sha256},
    {"plugin", take_plugin}, {"planned", take_planned}, {"resident", take_resident},
    {"check", take_check},   {"peak", take_peak},       {"first", take_first},
    {"host", take_host},     {"at", take_share},        {"sample", take_sample},
    {"part", take_part},     {"times", take_times},     {"counter", take_counter},
    {"ready", take_nothing}, {"bye", take_nothing},     {"rechecked", take_rechecked},
    {"pinned", take_pinned}, {"guard", take_look},      {"tuned", take_tuned},
    {"took", take_took},     {"far", take_far},
};

static const char *behind(const char *line, const char *word)
{
    size_t n = strlen(word);
    return !strncmp(line, word, n) && (line[n] == ' ' || !line[n]) ? line + n + (line[n] == ' ')
                                                                   : NULL;
}

/* Takes one line in. *done is set on the word waited for; a "fail" line becomes its status. */
static enum status take_line(struct outcome *o, const char *line, const char *until, bool *done,
                             struct fault *fault)
{
    const char *rest = behind(line, "fail");
    if (rest) {
        char *sentence;
        long status = strtol(rest, &sentence, 10);
        snprintf(o->reason, sizeof o->reason, "%s", sentence + (*sentence == ' '));
        return status > 0 && status < ST_COUNT ? (enum status)status : ST_CRASHED;
    }
    *done = behind(line, until) != NULL;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if ((rest = behind(line, handlers[i].word)) && handlers[i].take(o, rest))
            return ST_OK;
    return fault_set(fault, ST_CRASHED,
                     "the worker said something that run does not understand: %.200s", line);
}

enum status outcome_wait(struct outcome *o, struct worker *w, const struct run_limits *limits,
                         const char *until, struct fault *fault)
{
    bool done = false;
    while (!done) {
        const char *line;
        TRY(worker_receive(w, limits->deadline_s, &line, fault));
        TRY(take_line(o, line, until, &done, fault));
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

void outcome_progress(const struct outcome *o, double share)
{
    if (o->progress)
        o->progress(o, share);
}

bool outcome_timed(const struct outcome *o) { return o->status == ST_OK && !o->mistrusted; }

const char *outcome_state(const struct outcome *o)
{
    if (o->status != ST_OK)
        return status_name(o->status);
    return o->mistrusted  ? "mistrusted"
           : o->throttled ? "throttled"
           : o->unstable  ? "unstable"
                          : "passed";
}

/* Of clips; for the fewest that give an interval the budget may be overrun by half. */
static struct stop_rule clip_rule(const struct run_limits *limits)
{
    return (struct stop_rule){.narrow = STOP_NARROW_PIPELINE,
                              .least = limits->least_samples,
                              .fewest = limits->least_samples,
                              .most = SAMPLES_MAX,
                              .budget_s = limits->budget_s,
                              .overrun = 0.5};
}

double outcome_stage_ns(const struct outcome *o, enum stage stage)
{
    if (!o->sampling)
        return stats_median(o->stage[stage], o->samples);
    const double *s = o->sampled.stage_s;
    return 1e9 * (stage == STAGE_ENCODE    ? s[STAGE_IMAGE] + s[STAGE_ENCODE]
                  : stage == STAGE_DENOISE ? s[STAGE_DENOISE] + s[STAGE_DENOISE_LOW]
                                           : s[stage]);
}

/* The worker's process is the kernels' too, and its clock what they make of it. From `go` to the
 * sample both clocks run over the same stretch; what of it is no clip has room of its own. On a busy
 * machine the least disturbed clip counts. */
#define CLOCK_SLACK_S 0.005
#define CLOCK_WITHIN 1.1
#define CLIP_SLACK_S 0.2
#define CLIP_WITHIN 1.25

/* Too few or too scattered samples, or a rate that the machine cannot have. */
void outcome_judge(struct outcome *o)
{
    double rate = outcome_work(o, "flops") * 1e9 / o->summary.median;
    o->mistrusted = o->fma_peak > 0 && rate > MEASURE_PEAK_SLACK * o->fma_peak;
    char wide[256];
    o->outliers = raw_flag_outliers(&o->raw);
    const struct stop_rule rule = {.narrow = STOP_NARROW_PIPELINE};
    o->unstable = stop_unstable(&rule, o->stop, &o->summary, o->sampling ? "passes" : "clips", wide,
                                sizeof wide);
    const bool slow_clock = !o->sampling && o->clock > 1;
    if (slow_clock)
        snprintf(
            o->reason, sizeof o->reason,
            "by the supervisor's clock a clip took over %.2g times as long as its process tells:"
            " the clock there is not to be trusted",
            o->clock);
    else if (o->mistrusted)
        snprintf(o->reason, sizeof o->reason,
                 "%.0f GFLOP/s are more than this machine's multiply-add peak of %.0f", rate * 1e-9,
                 o->fma_peak * 1e-9);
    else if (o->throttled)
        snprintf(o->reason, sizeof o->reason,
                 "the device's clocks were held down while clips were timed (heat or power brake);"
                 " let it cool and run again");
    else if (o->unstable)
        snprintf(o->reason, sizeof o->reason, "%s", wide);
    o->mistrusted = o->mistrusted || slow_clock;
}

enum status outcome_keep(struct outcome *o, double seconds, uint8_t flags, struct fault *fault)
{
    return raw_add(&o->raw, &seconds, 1, o->look.mhz, flags)
               ? ST_OK
               : fault_set(fault, ST_NO_MEMORY, "no memory for the samples");
}

/* What is found beside the clip may say that its time does not stand; it is kept as it was, and the
 * next one takes its place. */
static enum status guard_clip(struct outcome *o, struct fault *fault)
{
    const uint8_t flags = guard_judge(&o->guard, &o->look, false, o->samples - 1);
    TRY(outcome_keep(o, o->total[o->samples - 1] * 1e-9, flags, fault));
    if (flags & RAW_DISCARDED)
        o->samples--;
    o->summary = o->samples ? stats_summary(o->total, o->samples) : (struct summary){.n = 0};
    stop_look(&o->stopping, &o->summary);
    return ST_OK;
}

static void watch_clip(struct outcome *o, double wall_s)
{
    const int64_t i = o->samples - 1;
    double told_ns = o->total[i];
    for (int s = 0; s < STAGE_COUNT; s++)
        told_ns += o->load[s][i];
    const double whole = (wall_s - CLOCK_SLACK_S) / o->took_s / CLOCK_WITHIN;
    const double clip = (wall_s - CLIP_SLACK_S) / (told_ns * 1e-9) / CLIP_WITHIN;
    const double clock = fmax(whole, clip);
    o->clock = o->clock > 0 ? fmin(o->clock, clock) : clock;
}

static enum status time_clip(struct worker *w, const struct run_limits *limits, struct outcome *o,
                             int64_t clip, struct fault *fault)
{
    char go[32];
    snprintf(go, sizeof go, "go %" PRId64, clip);
    o->asked = true;
    o->clip = clip;
    const double begin = clock_seconds();
    TRY(worker_send(w, go, fault));
    TRY(outcome_wait(o, w, limits, "sample", fault));
    watch_clip(o, clock_seconds() - begin);
    o->summary = stats_summary(o->total, o->samples);
    return ST_OK;
}

int64_t outcome_next_clip(struct outcome *o, const struct run_limits *limits)
{
    return o->samples == limits->least_samples - 1 ? 0 : ++o->last_clip;
}

static enum status time_clips(struct worker *w, const struct run_limits *limits, struct outcome *o,
                              struct fault *fault)
{
    const struct stop_rule rule = clip_rule(limits);
    const double start = clock_seconds();
    for (o->stop = STOP_NOT; !o->stop;) {
        TRY(time_clip(w, limits, o, outcome_next_clip(o, limits), fault));
        TRY(guard_clip(o, fault));
        o->stop = stop_decide(&rule, &o->stopping, &o->summary, clock_seconds() - start,
                              o->summary.median * 1e-9);
    }
    return ST_OK;
}

enum status outcome_clip(struct outcome *o, struct worker *w, const struct run_limits *limits,
                         int64_t clip, struct fault *fault)
{
    TRY(time_clip(w, limits, o, clip, fault));
    return outcome_keep(o, o->total[o->samples - 1] * 1e-9, 0, fault);
}

/* Sensors are asked from here: what the worker does is not disturbed. */
static enum status time_watched(struct worker *w, const struct run_limits *limits,
                                struct outcome *o, struct fault *fault)
{
    const bool device = o->c.config.device != DEVICE_CPU;
    struct gpu_info info = {.name = ""};
    struct nvml *nvml = NULL;
    struct nvml_window window = {0};
    struct energy_window drawn;
    struct fault why = {{0}};
    enum status (*clips)(struct worker *, const struct run_limits *, struct outcome *,
                         struct fault *) = limits->clips ? limits->clips : time_clips;
    if (device && gpu_describe(o->c.config.device_index, &info, &why) == ST_OK)
        nvml_open(info.uuid, &nvml, &why);
    nvml_window_open(nvml, &window);
    energy_window_open(limits->energy, &drawn);
    enum status s = clips(w, limits, o, fault);
    energy_window_close(limits->energy, &drawn);
    nvml_window_close(nvml, &window);
    const struct energy_board board = {nvml, &window, info.name, why.text,
                                       o->c.config.device_index};
    if (s == ST_OK && limits->energy)
        outcome_energy(o, limits, &drawn, device ? &board : NULL);
    if (device) {
        o->throttled = nvml_window_throttled(&window);
        nvml_window_json(nvml, &window, why.text, &o->gpu, NULL);
    }
    nvml_window_free(&window);
    nvml_close(nvml);
    return s;
}

enum status outcome_end(struct outcome *o, struct worker *w, const struct run_limits *limits,
                        struct fault *fault)
{
    TRY(worker_send(w, "end", fault));
    TRY(outcome_wait(o, w, limits, "bye", fault));
    outcome_judge(o);
    if (o->frames_differ)
        return fault_set(fault, ST_WRONG,
                         "a timed clip of the first one's noise differs from it; every run of a"
                         " plan must give the same frames");
    return ST_OK;
}

/* A device's clips are enqueued by one thread, which may run anywhere. */
static void place_threads(struct outcome *o, const struct run_limits *limits)
{
    const bool device = o->c.config.device != DEVICE_CPU;
    pinning_choose(limits->pin && !device ? limits->pin : "none", o->c.config.threads, &o->pinning);
    if (device)
        snprintf(o->pinning.why, sizeof o->pinning.why, "the device computes");
}

static enum status start(struct outcome *o, const struct run_limits *limits, struct worker **w,
                         struct fault *fault)
{
    outcome_repro(o, limits);
    TRY(case_ready(&o->c, fault));
    TRY(outcome_spawn(o, limits, w, fault));
    return outcome_wait(o, *w, limits, "ready", fault);
}

void outcome_finish(struct outcome *o, struct worker *w, enum status status,
                    const struct fault *fault)
{
    o->status = status;
    if (status != ST_OK && fault->text[0]) /* in place of what was said of its times */
        snprintf(o->reason, sizeof o->reason, "%s", fault->text);
    if (w)
        worker_end(w);
}

static enum status take_samples(struct worker *w, const struct run_limits *limits,
                                struct outcome *o, struct fault *fault)
{
    TRY(time_watched(w, limits, o, fault));
    return outcome_end(o, w, limits, fault);
}

void run_case(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct worker *w = NULL;
    outcome_idle(o, limits);
    place_threads(o, limits);
    const double started_s = clock_seconds();
    enum status status = start(o, limits, &w, &fault);
    if (status == ST_OK)
        status = o->sampling ? outcome_passes(o, w, limits, started_s, &fault)
                             : take_samples(w, limits, o, &fault);
    outcome_finish(o, w, status, &fault);
    o->elapsed_ns = 1e9 * (clock_seconds() - started_s);
}

void run_case_between(struct outcome *o, const struct run_limits *limits, int clips,
                      enum status (*between)(void *user, int clip), void *user)
{
    struct fault fault = {{0}};
    struct worker *w = NULL;
    place_threads(o, limits);
    enum status status = start(o, limits, &w, &fault);
    for (int i = 0; status == ST_OK && i < clips; i++) {
        status = outcome_clip(o, w, limits, outcome_next_clip(o, limits), &fault);
        if (status == ST_OK)
            status = between(user, i);
    }
    o->stop = STOP_COUNT;
    if (status == ST_OK)
        status = outcome_end(o, w, limits, &fault);
    outcome_finish(o, w, status, &fault);
}

enum status outcome_new(const struct case_spec *s, struct outcome **out, struct fault *fault)
{
    struct outcome *o = calloc(1, sizeof *o);
    if (!o)
        return ST_NO_MEMORY;
    json_init(&o->gpu, false);
    json_init(&o->energy, false);
    o->look = GUARD_NONE;
    o->visible = -1;
    *out = o;
    TRY(case_resolve(s, &o->c, fault));
    o->step = calloc((size_t)o->c.request.steps * SAMPLES_MAX, sizeof *o->step);
    return o->step ? ST_OK : ST_NO_MEMORY;
}

void outcome_free(struct outcome *o)
{
    if (!o)
        return;
    json_free(&o->gpu);
    json_free(&o->energy);
    sampled_free(&o->sampled);
    raw_free(&o->raw);
    throughput_free(o->throughput);
    sustained_free(o->sustained);
    free(o->audit);
    external_free(o->external);
    free(o->step);
    free(o);
}
