// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_run.c   Pipeline cases, each in a worker of its own: verified, timed until the interval of the
 * median is narrow or the budget is spent, one row and one record each. */
#include "commands.h"
#include "elem.h"
#include "measure.h"
#include "record.h"
#include "run_cases.h"
#include "stats.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct case_spec base = CASE_DEFAULTS;
static struct axes axes;
static const char *suite, *results = "results", *format = "text", *counter_names;
static double budget_s = 12, deadline_s = 3600;
static int64_t least_samples = 3;
static bool dry_run;

static const struct option options[] = {
    {"--suite", "NAME|FILE", OPTION_TEXT, &suite, "quick, standard, or a file of sections and lists"},
    {"--model", "LIST", OPTION_TEXT, &axes.model, "presets, comma-separated (tiny)"},
    {"--prompt", "TEXT", OPTION_TEXT, &base.prompt, "the same prompt for every case"},
    {"--size", "LIST", OPTION_TEXT, &axes.size, "sizes, as 128x72,72x128"},
    {"--frames", "LIST", OPTION_TEXT, &axes.frames, "frame counts"},
    {"--seconds", "LIST", OPTION_TEXT, &axes.seconds, "durations, instead of --frames"},
    {"--steps", "LIST", OPTION_TEXT, &axes.steps, "denoising steps"},
    {"--threads", "LIST", OPTION_TEXT, &axes.threads, "CPU threads"},
    {"--dtype", "LIST", OPTION_TEXT, &axes.dtype, "f32, bf16, f16"},
    {"--kernels", "LIST", OPTION_TEXT, &axes.kernels, "plans, separated by '/', as base/auto"},
    {"--budget", "SECONDS", OPTION_REAL, &budget_s, "timing of one case ends here (12)"},
    {"--repetitions", "N", OPTION_COUNT, &least_samples, "at least so many timed clips a case (3)"},
    {"--timeout", "SECONDS", OPTION_REAL, &deadline_s, "a worker silent for so long is killed (3600)"},
    {"--counters", "LIST", OPTION_TEXT, &counter_names, "PAPI events, as PAPI_TOT_CYC,perf::PAGE-FAULTS"},
    {"--results", "DIR|none", OPTION_TEXT, &results, "where the records go (results)"},
    CASE_OPTIONS(base),
    {"--dry-run", NULL, OPTION_FLAG, &dry_run, "list the cases with tokens, flops and memory"},
    {"--format", "text|json", OPTION_TEXT, &format, "json: one document on standard output"},
    {0},
};

void help_run(FILE *out) { options_help(options, out); }

/* ---- one case, as it comes out ---- */

#define SAMPLES_MAX 1000

struct outcome {
    enum status status;
    bool unstable;
    char reason[1024];
    struct pipeline_case c;
    char recipe[8192], work[1024], sha256[65], check[512], isa[16];
    double planned, resident, fma_peak, first_ns;
    double total[SAMPLES_MAX], stage[STAGE_COUNT][SAMPLES_MAX], load[STAGE_COUNT][SAMPLES_MAX];
    double *step;                   /* medians over samples, steps of them; then all samples' */
    int64_t samples;
    const char *stop_reason;
    struct summary summary;
    struct json counters;
    char repro[2048];
};

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

static enum status spawn(const struct outcome *o, const struct case_spec *s, struct worker **out,
                         struct fault *fault)
{
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
    add(&w, "--plugin", s->plugin);
    add(&w, "--counters", counter_names);
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

static enum status wait_for(struct worker *w, struct outcome *o, const char *until, struct fault *fault)
{
    bool done = false;
    while (!done) {
        const char *line;
        TRY(worker_receive(w, deadline_s, &line, fault));
        TRY(take_line(o, line, until, &done));
    }
    return ST_OK;
}

/* ---- timing ---- */

static bool narrow(const struct summary *s, double share)
{
    return (s->hi - s->lo) / 2 <= share * s->median;
}

static enum status take_samples(struct worker *w, struct outcome *o, struct fault *fault)
{
    double start = clock_seconds();
    for (;;) {
        TRY(worker_send(w, "go", fault));
        TRY(wait_for(w, o, "sample", fault));
        o->summary = stats_summary(o->total, o->samples);
        bool spent = clock_seconds() - start + o->summary.median * 1e-9 > budget_s;
        if (o->samples >= 6 && narrow(&o->summary, 0.02)) {
            o->stop_reason = "interval";
            break;
        }
        if (o->samples == SAMPLES_MAX || (spent && o->samples >= least_samples)) {
            o->stop_reason = o->samples == SAMPLES_MAX ? "count" : "budget";
            break;
        }
    }
    o->unstable = o->samples < 6 || !narrow(&o->summary, 0.05);
    if (o->unstable)
        snprintf(o->reason, sizeof o->reason, o->samples < 6
                     ? "%lld clips are too few for a 95%% interval; raise --budget"
                     : "after %lld clips the interval is still wider than 5%%", (long long)o->samples);
    TRY(worker_send(w, "end", fault));
    return wait_for(w, o, "bye", fault);
}

static void run_case(struct outcome *o, const struct case_spec *s)
{
    struct fault fault = {{0}};
    struct worker *w = NULL;
    o->status = spawn(o, s, &w, &fault);
    if (o->status == ST_OK)
        o->status = wait_for(w, o, "ready", &fault);
    if (o->status == ST_OK)
        o->status = take_samples(w, o, &fault);
    if (o->status != ST_OK && !o->reason[0])
        snprintf(o->reason, sizeof o->reason, "%s", fault.text);
    if (w)
        worker_end(w);
}

/* ---- what is told of it ---- */

static const char *state_of(const struct outcome *o)
{
    return o->status == ST_OK && o->unstable ? "unstable" : status_name(o->status);
}

static double median_of(const double *samples, const struct outcome *o)
{
    return stats_median(samples, o->samples);
}

static double work_number(const struct outcome *o, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(o->work, quoted);
    return at ? strtod(at + strlen(quoted), NULL) : NAN;
}

static double video_s_per_h(const struct outcome *o)
{
    double clip_s = (double)o->c.request.geometry.frames / o->c.fps;
    return clip_s * 3600e9 / o->summary.median;
}

static double tokens_per_s(const struct outcome *o)
{
    double tokens = (double)(o->c.request.geometry.S * o->c.request.steps * case_passes(&o->c));
    return tokens * 1e9 / median_of(o->stage[STAGE_DENOISE], o);
}

static void json_timing(const struct outcome *o, struct json *j)
{
    const struct summary *s = &o->summary;
    json_open_object(j, "timing");
    json_int(j, "n", s->n);
    json_text(j, "unit", "ns");
    json_number(j, "median", s->median);
    json_number(j, "lo", s->lo);
    json_number(j, "hi", s->hi);
    json_number(j, "level", s->level);
    json_number(j, "min", s->min);
    json_number(j, "max", s->max);
    json_number(j, "mean", s->mean);
    json_number(j, "cv", s->cv);
    json_open_array(j, "samples");
    for (int64_t i = 0; i < o->samples; i++)
        json_number(j, NULL, o->total[i]);
    json_end(j);
    json_text(j, "stop_reason", o->stop_reason);
    json_text(j, "schedule", "sequential");
    json_int(j, "warmup_n", 1);
    json_text(j, "backend", "loop");
    json_end(j);
}

static void json_stages(const struct outcome *o, struct json *j)
{
    json_open_object(j, "stages");
    json_number(j, "text_ns", median_of(o->stage[STAGE_TEXT], o));
    json_number(j, "denoise_ns", median_of(o->stage[STAGE_DENOISE], o));
    json_number(j, "decode_ns", median_of(o->stage[STAGE_DECODE], o));
    json_open_array(j, "step_ns");
    for (int64_t k = 0; k < o->c.request.steps; k++)
        json_number(j, NULL, median_of(o->step + k * SAMPLES_MAX, o));
    json_end(j);
    json_open_object(j, "load_ns");
    for (int i = 0; i < STAGE_COUNT; i++)
        json_number(j, stage_names[i], median_of(o->load[i], o));
    json_end(j);
    json_number(j, "first_run_ns", o->first_ns);
    json_end(j);
}

static void json_derived(const struct outcome *o, struct json *j)
{
    double flops = work_number(o, "flops") * 1e9 / o->summary.median;
    json_open_object(j, "derived");
    json_number(j, "tokens_per_s", tokens_per_s(o));
    json_number(j, "frames_per_s", (double)o->c.request.geometry.frames * 1e9 / o->summary.median);
    json_number(j, "video_s_per_h", video_s_per_h(o));
    json_number(j, "flops_per_s", flops);
    json_number(j, "fma_peak_flops_per_s", o->fma_peak);
    json_text(j, "fma_peak_isa", o->isa);
    json_number(j, "peak_fraction", flops / o->fma_peak);
    json_end(j);
}

/* The members of a case record, for the file and for --format json. */
static void json_case(const struct outcome *o, struct json *j)
{
    bool timed = o->status == ST_OK;
    json_text(j, "case_kind", "pipeline");
    json_text(j, "status", state_of(o));
    json_text(j, "status_reason", o->reason[0] ? o->reason : NULL);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", "cpu");
    json_text(j, "repro", o->repro);
    json_raw(j, "recipe", o->recipe[0] ? o->recipe : "null");
    json_text(j, "recipe_sha256", o->sha256[0] ? o->sha256 : NULL);
    json_raw(j, "correctness", o->check[0] ? o->check : "null");
    if (timed) {
        json_timing(o, j);
        json_stages(o, j);
        json_derived(o, j);
    } else {
        json_none(j, "timing");
    }
    json_raw(j, "work", o->work[0] ? o->work : "null");
    json_open_object(j, "memory");
    json_number(j, "planned_bytes", o->planned > 0 ? o->planned : NAN);
    json_number(j, "host_peak_bytes", o->resident > 0 ? o->resident : NAN);
    json_end(j);
    json_raw(j, "counters", o->counters.text);
}

static void print_heading(void)
{
    printf("%-34s %-9s %-18s %-20s %9s %9s %10s %8s %6s\n", "case", "status", "time of a clip",
           "text/denoise/decode", "tokens/s", "frames/s", "video s/h", "GFLOP/s", "peak");
}

static void print_row(const struct outcome *o)
{
    const struct geometry *g = &o->c.request.geometry;
    char name[96], time[32], split[32];
    int n = snprintf(name, sizeof name, "%s %lldx%lld f%lld s%lld t%d", o->c.request.model->name,
                     (long long)g->width, (long long)g->height, (long long)g->frames,
                     (long long)o->c.request.steps, o->c.config.threads);
    if (o->c.config.type != ELEM_F32)
        n += snprintf(name + n, sizeof name - (size_t)n, " %s", elem_name(o->c.config.type));
    if (o->c.spec.kernels)
        snprintf(name + n, sizeof name - (size_t)n, " %.40s", o->c.spec.kernels);
    if (o->status != ST_OK) {
        printf("%-34s %-9s %s\n", name, state_of(o), o->reason);
        return;
    }
    double m = o->summary.median;
    snprintf(time, sizeof time, "%.3f s +-%.1f%%", m * 1e-9, 50 * (o->summary.hi - o->summary.lo) / m);
    snprintf(split, sizeof split, "%.0f/%.0f/%.0f %%", 100 * median_of(o->stage[0], o) / m,
             100 * median_of(o->stage[1], o) / m, 100 * median_of(o->stage[2], o) / m);
    double flops = work_number(o, "flops") * 1e9 / m;
    printf("%-34s %-9s %-18s %-20s %9.0f %9.2f %10.1f %8.1f %5.1f%%\n", name, state_of(o), time, split,
           tokens_per_s(o), (double)g->frames * 1e9 / m, video_s_per_h(o), flops * 1e-9,
           100 * flops / o->fma_peak);
}

/* ---- the run ---- */

static enum status new_outcome(const struct case_spec *s, struct outcome **out, struct fault *fault)
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

static void free_outcome(struct outcome *o)
{
    if (!o)
        return;
    json_free(&o->counters);
    free(o->step);
    free(o);
}

static enum status plan_row(const struct outcome *o, struct fault *fault)
{
    struct engine *engine;
    char name[192];
    TRY(engine_new(&o->c.config, &engine, fault));
    enum status s = engine_plan(engine, &o->c.request, false, fault);
    double flops = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        flops += engine_stage(engine, (enum stage)i)->flops;
    case_describe(&o->c, name, sizeof name);
    if (s == ST_OK)
        printf("%8lld tokens %12.4f TFLOP %9.3f GiB   %s\n", (long long)o->c.request.geometry.S,
               flops * 1e-12, (double)engine_peak_bytes(engine) / (1 << 30), name);
    engine_free(engine);
    return s;
}

struct totals {
    int timed, failed, other;
    enum status first_other;
};

static void count_outcome(struct totals *t, const struct outcome *o)
{
    if (o->status == ST_OK)
        t->timed++;
    else if (exit_code_of(o->status) == EXIT_CHECK)
        t->failed++;
    else if (!t->other++)
        t->first_other = o->status;
}

static enum status one_case(const struct case_spec *s, struct record_file *file, struct json *document,
                            struct totals *totals, struct fault *fault)
{
    struct outcome *o = NULL;
    enum status status = new_outcome(s, &o, fault);
    if (status == ST_OK && dry_run) {
        status = plan_row(o, fault);
    } else if (status == ST_OK) {
        run_case(o, s);
        if (interrupted_by)
            o->status = ST_INTERRUPTED;
        json_end(&o->counters);
        count_outcome(totals, o);
        if (document) {
            json_open_object(document, NULL);
            json_case(o, document);
            json_end(document);
        } else {
            print_row(o);
            fflush(stdout);
        }
        if (file && o->status != ST_INTERRUPTED) {
            struct json j;
            record_begin(file, &j, "case");
            json_case(o, &j);
            status = record_write(file, &j, fault);
        }
    }
    free_outcome(o);
    return status;
}

static void show_progress(int at, int count)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rcase %d of %d ...%s", at, count, at == count ? "\r                    \r" : "");
}

/* Every case is resolved before the first one runs, so that a typo at the end of a long list costs
 * nothing. */
static enum status check_cases(const struct case_list *list, struct fault *fault)
{
    for (int i = 0; i < list->count; i++) {
        struct pipeline_case c;
        struct engine *engine;
        TRY(case_resolve(&list->item[i].spec, &c, fault));
        TRY(engine_new(&c.config, &engine, fault));
        engine_free(engine);
    }
    return ST_OK;
}

static enum status run_list(const struct case_list *list, struct totals *totals, struct fault *fault)
{
    bool json = !strcmp(format, "json");
    struct record_file *file = NULL;
    struct json document;
    TRY(check_cases(list, fault));
    if (!dry_run && strcmp(results, "none"))
        TRY(record_open(results, "run", &file, fault));
    json_init(&document, true);
    json_open_object(&document, NULL);
    json_open_array(&document, "cases");
    if (!json && !dry_run)
        print_heading();
    enum status s = ST_OK;
    for (int i = 0; s == ST_OK && i < list->count && !interrupted_by; i++) {
        if (!dry_run)
            show_progress(i + 1, list->count);
        s = one_case(&list->item[i].spec, file, json ? &document : NULL, totals, fault);
    }
    const char *path = NULL;
    if (file && s == ST_OK)
        s = record_close(file, &path, fault);
    json_end(&document);
    json_text(&document, "records", path);
    json_end(&document);
    if (json && s == ST_OK)
        printf("%s\n", document.text);
    else if (path)
        printf("\nrecords in %s\n", path);
    json_free(&document);
    if (file)
        record_free(file);
    return s;
}

static enum status run_all(struct totals *totals, struct fault *fault)
{
    struct case_list list = {0};
    if (strcmp(format, "text") && strcmp(format, "json"))
        return fault_set(fault, ST_BAD_INPUT, "--format '%s' should be text or json", format);
    if (least_samples < 1 || least_samples > SAMPLES_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--repetitions should lie between 1 and %d", SAMPLES_MAX);
    if (!base.prompt)
        base.prompt = "a red ball rolls to the left";
    TRY(case_load_plugins(base.plugin, fault));
    enum status s = suite ? cases_from_suite(suite, &base, &axes, &list, fault)
                          : cases_from_axes(&base, &axes, &list, fault);
    if (s == ST_OK)
        s = run_list(&list, totals, fault);
    cases_free(&list);
    return s;
}

int cmd_run(int argc, char **argv, struct fault *fault)
{
    struct totals totals = {0};
    enum status s = options_parse(options, argc, argv, NULL, NULL, fault);
    if (s == ST_OK)
        s = run_all(&totals, fault);
    if (s != ST_OK)
        return exit_code_of(s);
    if (totals.failed)
        return EXIT_CHECK;
    return totals.other && !totals.timed ? exit_code_of(totals.first_other) : EXIT_OK;
}
