// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_run.c   Pipeline cases, each in a worker of its own: verified, timed until the interval of
 * the median is narrow or the budget is spent, one row and one record each. */
#include "commands.h"
#include "measure.h"
#include "record.h"
#include "run_case.h"
#include "run_cases.h"

#include <stdlib.h>
#include <string.h>

static struct case_spec base = CASE_DEFAULTS;
static struct axes axes;
static const char *suite, *results = "results", *format = "text";
static struct run_limits limits = {.budget_s = NAN, .deadline_s = 600, .least_samples = 3};
static bool dry_run, sample;
static struct energy_request energy;
static int64_t against_rounds; /* of full and sampled clips in turn; 0: no such */

static const struct option options[] = {
    {"--suite", "NAME|FILE", OPTION_TEXT, &suite,
     "quick, standard, or a file of sections and lists"},
    {"--model", "LIST", OPTION_TEXT, &axes.model,
     "presets or folders of published weights, comma-separated (tiny)"},
    {"--prompt", "TEXT", OPTION_TEXT, &base.prompt, "the same prompt for every case"},
    {"--size", "LIST", OPTION_TEXT, &axes.size, "sizes, as 128x72,72x128"},
    {"--frames", "LIST", OPTION_TEXT, &axes.frames, "frame counts"},
    {"--seconds", "LIST", OPTION_TEXT, &axes.seconds, "durations, instead of --frames"},
    {"--steps", "LIST", OPTION_TEXT, &axes.steps, "denoising steps"},
    {"--threads", "LIST", OPTION_TEXT, &axes.threads, "CPU threads"},
    {"--dtype", "LIST", OPTION_TEXT, &axes.dtype, "f32, bf16, f16"},
    {"--kernels", "LIST", OPTION_TEXT, &axes.kernels, "plans, separated by '/', as base/auto"},
    {"--device", "LIST", OPTION_TEXT, &axes.device, "cpu, cuda:N (cpu)"},
    {"--launch", "LIST", OPTION_TEXT, &axes.launch,
     "on a CUDA device: stream, or graph (one CUDA graph per step)"},
    {"--budget", "SECONDS", OPTION_REAL, &limits.budget_s,
     "timing of one case ends here (12; sampled 60)"},
    {"--sample", NULL, OPTION_FLAG, &sample,
     "run parts of the case and multiply out: for shapes that this machine cannot run whole"},
    {"--against-full", "ROUNDS", OPTION_COUNT, &against_rounds,
     "with --sample: full clips in turn with sampled ones, 6 or more; over 5% apart is a failure"},
    {"--repetitions", "N", OPTION_COUNT, &limits.least_samples,
     "at least so many timed clips a case (3)"},
    {"--timeout", "SECONDS", OPTION_REAL, &limits.deadline_s,
     "a worker that shows no progress for so long is killed (600)"},
    {"--counters", "LIST", OPTION_TEXT, &limits.counters,
     "PAPI events or presets, as PAPI_TOT_CYC,software; 'list counters' shows them"},
    ENERGY_OPTIONS(&energy),
    {"--results", "DIR|none", OPTION_TEXT, &results, "where the records go (results)"},
    CASE_OPTIONS(base),
    {"--dry-run", NULL, OPTION_FLAG, &dry_run, "list the cases with tokens, flops and memory"},
    {"--format", "text|json", OPTION_TEXT, &format, "json: one document on standard output"},
    {0},
};

void help_run(FILE *out) { options_help(options, out); }

/* What has come out so far: counts for the exit code, times to set plans side by side. */
struct timed_plan {
    char name[96], plan[96];
    double median_ns;
};

struct totals {
    int timed, timed_alone, failed, other;
    enum status first_other;
    struct timed_plan *plan; /* `timed` of them; the rest are unstable or approximate */
};

/* Which case runs, for the progress line. */
static struct {
    int at, count;
    double started_s;
} place;

static void show_progress(const struct outcome *o, double share)
{
    char name[96], left[48] = "";
    double spent_s = clock_seconds() - place.started_s, done = place.at - 1;
    outcome_name(o, name, sizeof name);
    if (done > 0)
        snprintf(left, sizeof left, "; about %.0f s left", spent_s / done * (place.count - done));
    progress_line("case %d of %d: %s %s, %lld %s timed, this one %.0f%%%s", place.at, place.count,
                  name, outcome_plan(o), (long long)o->samples, o->sampling ? "passes" : "clips",
                  100 * share, left);
}

static enum status count_outcome(struct totals *t, const struct outcome *o)
{
    if (!outcome_timed(o)) {
        if (o->mistrusted || exit_code_of(o->status) == EXIT_CHECK)
            t->failed++;
        else if (!t->other++)
            t->first_other = o->status;
        return ST_OK;
    }
    if (o->unstable || !strstr(o->recipe, "\"plan_class\":\"exact\"")) {
        t->timed_alone++;
        return ST_OK;
    }
    struct timed_plan *grown = realloc(t->plan, (size_t)(t->timed + 1) * sizeof *grown);
    if (!grown)
        return ST_NO_MEMORY;
    t->plan = grown;
    struct timed_plan *p = &t->plan[t->timed++];
    outcome_name(o, p->name, sizeof p->name);
    snprintf(p->plan, sizeof p->plan, "%s", outcome_plan(o));
    p->median_ns = o->summary.median;
    return ST_OK;
}

/* For each case that ran under several plans, the others' speed as a multiple of the first one's.
 */
static void compare_plans(const struct totals *t)
{
    bool any = false;
    for (int i = 0; i < t->timed; i++) {
        bool first = true, alone = true;
        for (int k = 0; k < i; k++)
            first = first && strcmp(t->plan[k].name, t->plan[i].name) != 0;
        for (int k = i + 1; first && k < t->timed; k++) {
            if (strcmp(t->plan[k].name, t->plan[i].name) ||
                !strcmp(t->plan[k].plan, t->plan[i].plan))
                continue;
            if (alone)
                printf("%s%s: ", any ? "" : "\n", t->plan[i].name);
            printf("%s%s is %.2fx %s", alone ? "" : ", ", t->plan[k].plan,
                   t->plan[i].median_ns / t->plan[k].median_ns, t->plan[i].plan);
            alone = false;
            any = true;
        }
        if (!alone)
            putchar('\n');
    }
    if (any)
        puts("(timed one after the other: this describes, it does not test)");
}

/* ---- one case ---- */

static double planned_flops(const struct engine *engine)
{
    double flops = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        flops += engine_stage(engine, (enum stage)i)->flops;
    return flops;
}

static enum status plan_case(struct outcome *o, struct json *document, struct fault *fault)
{
    struct engine *engine;
    char name[192], fit[160] = "";
    TRY(case_ready(&o->c, fault));
    TRY(case_prompts(&o->c, fault));
    TRY(engine_new(&o->c.config, &engine, fault));
    enum status s = engine_plan(engine, &o->c.request, false, fault);
    case_describe(&o->c, name, sizeof name);
    if (s == ST_OK && o->c.config.device == DEVICE_CPU)
        engine_describe_fit(engine, engine_available_bytes(engine), fit, sizeof fit);
    if (s == ST_OK && document) {
        json_open_object(document, NULL);
        json_text(document, "case", name);
        case_recipe(&o->c, engine, document, "recipe");
        json_int(document, "tokens", o->c.request.geometry.S);
        json_number(document, "flops", planned_flops(engine));
        json_int(document, "planned_bytes", (int64_t)engine_peak_bytes(engine));
        json_text(document, "memory", fit[0] ? fit : NULL);
        json_end(document);
    } else if (s == ST_OK) {
        char tflop[TFLOP_BYTES];
        printf("%8lld tokens %12s TFLOP %9.3f GiB   %s%s%s\n", (long long)o->c.request.geometry.S,
               tflop_text(planned_flops(engine), tflop),
               (double)engine_peak_bytes(engine) / (1 << 30), name, fit[0] ? "; " : "", fit);
    }
    engine_free(engine);
    return s;
}

static void tell(const struct outcome *o, struct json *document)
{
    if (document) {
        json_open_object(document, NULL);
        outcome_json(o, document);
        json_end(document);
        return;
    }
    progress_line(NULL);
    outcome_row(o, stdout);
    fflush(stdout);
}

static enum status keep(const struct outcome *o, struct record_file *file, struct fault *fault)
{
    struct json j;
    if (!file || o->status == ST_INTERRUPTED)
        return ST_OK;
    record_begin(file, &j, "case");
    outcome_json(o, &j);
    return record_write(file, &j, fault);
}

/* ---- sampled and full in turn ---- */

#define AGAINST_MOST 0.05 /* what the medians may be apart */

struct rounds {
    const struct case_spec *spec;
    struct outcome *sampled; /* the last one, whose record tells of all */
    double sampled_s[SAMPLE_PASSES_MAX];
    int64_t done;
};

static enum status sample_once(void *user, int round)
{
    struct rounds *r = user;
    struct fault fault = {{0}};
    outcome_free(r->sampled);
    r->sampled = NULL;
    TRY(outcome_new(r->spec, &r->sampled, &fault));
    r->sampled->sampling = true;
    r->sampled->progress = show_progress;
    run_case(r->sampled, &limits);
    r->sampled_s[round] = r->sampled->sampled.total_s;
    r->done = round + 1;
    return interrupted_by ? ST_INTERRUPTED : r->sampled->status;
}

static enum status finish_outcome(struct outcome *o, struct record_file *file,
                                  struct json *document, struct totals *totals, struct fault *fault)
{
    if (interrupted_by)
        o->status = ST_INTERRUPTED;
    tell(o, document);
    TRY(count_outcome(totals, o));
    return keep(o, file, fault);
}

static enum status against_case(const struct case_spec *s, struct record_file *file,
                                struct json *document, struct totals *totals, struct fault *fault)
{
    struct outcome *full = NULL;
    struct rounds r = {.spec = s};
    enum status status = outcome_new(s, &full, fault);
    if (status == ST_OK) {
        full->progress = show_progress;
        run_case_between(full, &limits, (int)against_rounds, sample_once, &r);
        status = finish_outcome(full, file, document, totals, fault);
    }
    if (status == ST_OK && r.sampled) {
        struct against *a = &r.sampled->sampled.against;
        *a = (struct against){
            (int)r.done, full->summary.median * 1e-9, stats_median(r.sampled_s, r.done), {0}};
        memcpy(a->round_s, r.sampled_s, sizeof a->round_s);
        status = finish_outcome(r.sampled, file, document, totals, fault);
        totals->failed += outcome_timed(full) && !(fabs(against_deviation(a)) <= AGAINST_MOST);
    }
    outcome_free(full);
    outcome_free(r.sampled);
    return status;
}

static enum status one_case(const struct case_spec *s, struct record_file *file,
                            struct json *document, struct totals *totals, struct fault *fault)
{
    struct outcome *o = NULL;
    enum status status = outcome_new(s, &o, fault);
    if (status == ST_OK && dry_run) {
        status = plan_case(o, document, fault);
    } else if (status == ST_OK) {
        o->progress = show_progress;
        o->sampling = sample;
        run_case(o, &limits);
        status = finish_outcome(o, file, document, totals, fault);
    }
    outcome_free(o);
    return status;
}

/* ---- all cases ---- */

/* Every case is resolved before the first one runs, so that a typo at the end of a long list costs
 * nothing. */
static enum status check_cases(const struct case_list *list, struct fault *fault)
{
    for (int i = 0; i < list->count; i++) {
        struct pipeline_case c;
        struct engine *engine;
        TRY(case_resolve(&list->item[i].spec, &c, fault));
        if (c.absent != ST_OK)
            continue;
        TRY(engine_new(&c.config, &engine, fault));
        engine_free(engine);
    }
    return ST_OK;
}

static enum status run_list(const struct case_list *list, struct totals *totals,
                            struct fault *fault)
{
    bool json = !strcmp(format, "json");
    struct record_file *file = NULL;
    struct json document;
    TRY(check_cases(list, fault));
    if (!dry_run && strcmp(results, "none"))
        TRY(record_open(results, self_command_line(), &file, fault));
    json_init(&document, true);
    json_open_object(&document, NULL);
    json_open_array(&document, "cases");
    if (!json && !dry_run)
        outcome_heading(stdout);
    enum status s = ST_OK;
    place.count = list->count;
    place.started_s = clock_seconds();
    for (int i = 0; s == ST_OK && i < list->count && !interrupted_by; i++) {
        place.at = i + 1;
        s = (against_rounds && !dry_run ? against_case : one_case)(
            &list->item[i].spec, file, json ? &document : NULL, totals, fault);
    }
    const char *path = NULL;
    if (file && s == ST_OK)
        s = record_close(file, &path, fault);
    json_end(&document);
    json_text(&document, "records", path);
    json_end(&document);
    if (json && s == ST_OK)
        printf("%s\n", document.text);
    else if (s == ST_OK)
        compare_plans(totals);
    if (!json && path)
        printf("\nrecords in %s\n", path);
    json_free(&document);
    if (file)
        record_free(file);
    return s;
}

/* Where the model reads one and none was given. */
static void give_prompts(struct case_list *list)
{
    for (int i = 0; i < list->count; i++) {
        struct case_spec *s = &list->item[i].spec;
        const struct model_config *model = case_model(s->model, NULL);
        if (!s->prompt && model && model->text.layers)
            s->prompt = "a red ball rolls to the left";
    }
}

static enum status run_all(struct totals *totals, struct fault *fault)
{
    struct case_list list = {0};
    if (strcmp(format, "text") && strcmp(format, "json"))
        return fault_set(fault, ST_BAD_INPUT, "--format '%s' should be text or json", format);
    if (limits.least_samples < 1 || limits.least_samples > SAMPLES_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--repetitions should lie between 1 and %d",
                         SAMPLES_MAX);
    if (sample && limits.counters)
        return fault_set(fault, ST_BAD_INPUT,
                         "--counters counts whole clips, and --sample runs none");
    if (sample && (energy.power_file || energy.idle_s > 0))
        return fault_set(fault, ST_BAD_INPUT,
                         "energy is that of whole clips, and --sample runs none; leave"
                         " --power-file and --idle-power out");
    if (sample && !strcmp(base.residency, "block-stream"))
        return fault_set(fault, ST_BAD_INPUT,
                         "--residency block-stream reads weights within the clip's time, and"
                         " --sample leaves reading out");
    if (against_rounds && !sample)
        return fault_set(fault, ST_BAD_INPUT,
                         "--against-full sets sampled clips beside full ones; add --sample");
    if (against_rounds && (against_rounds < 2 || against_rounds > SAMPLE_PASSES_MAX))
        return fault_set(fault, ST_BAD_INPUT, "--against-full wants 2 to %d rounds",
                         SAMPLE_PASSES_MAX);
    if (isnan(limits.budget_s))
        limits.budget_s = sample ? SAMPLE_BUDGET_SECONDS : 12;
    enum status s = suite ? cases_from_suite(suite, &base, &axes, &list, fault)
                          : cases_from_axes(&base, &axes, &list, fault);
    give_prompts(&list);
    if (s == ST_OK)
        s = energy_open(&energy, &limits.energy, fault);
    if (s == ST_OK)
        s = run_list(&list, totals, fault);
    if (s == ST_OK)
        s = energy_status(limits.energy, fault);
    energy_close(limits.energy);
    cases_free(&list);
    return s;
}

int cmd_run(int argc, char **argv, struct fault *fault)
{
    struct totals totals = {0};
    enum status s = options_parse(options, argc, argv, NULL, NULL, fault);
    if (s == ST_OK)
        s = run_all(&totals, fault);
    free(totals.plan);
    if (s != ST_OK)
        return exit_code_of(s);
    if (totals.failed)
        return EXIT_CHECK;
    return totals.other && !totals.timed && !totals.timed_alone ? exit_code_of(totals.first_other)
                                                                : EXIT_OK;
}
