// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_run.c   A sweep of cases, each in a worker of its own: verified, timed until the interval of the
 * median is narrow or the budget is spent, one row and one record each. */
#include "cmd/commands.h"
#include "external/external.h"
#include "records/record.h"
#include "run/run_case.h"
#include "run/run_replicas.h"
#include "run/run_scenario.h"
#include "run/run_sustain.h"
#include "sweep/run_cases.h"
#include "sweep/run_plan.h"
#include "sweep/run_totals.h"
#include "sweep/sweep.h"
#include "sweep/sweep_kernels.h"
#include "timing/measure.h"

#include <stdlib.h>
#include <string.h>

static struct case_spec base = CASE_DEFAULTS;
static struct axes axes;
static const char *suite, *results = "results";
static bool json;
static struct run_limits limits = {.budget_s = NAN,
                                   .deadline_s = 600,
                                   .least_samples = 3,
                                   .engine_check_s = EXTERNAL_CHECK_SECONDS,
                                   .pin = "cores"};
static bool dry_run, sample, resume;
static struct energy_request energy;
static int64_t against_rounds; /* of full and sampled clips in turn; 0: no such */

static const struct option suite_option = {"--suite", "NAME|FILE", OPTION_TEXT, &suite,
                                           "a suite of 'list suites', or a file like them"};

/* Those behind the axes. */
static const struct option own_options[] = {
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
    {"--sustain", "SECONDS", OPTION_REAL, &limits.sustain_s,
     "clips without pause for so long, as 600: the rate of the first minute and the one that "
     "lasts"},
    {"--engine-check", "SECONDS", OPTION_REAL, &limits.engine_check_s,
     "with --engine: our clip, which its clips are held against, may take so long (120)"},
    {"--counters", "LIST", OPTION_TEXT, &limits.counters,
     "PAPI events or presets, as PAPI_TOT_CYC,software; 'list counters' shows them"},
    ENERGY_OPTIONS(&energy),
    {"--pin", "cores|none", OPTION_TEXT, &limits.pin,
     "one thread on each core, where they fit (cores); none: as the system places them"},
    {"--results", "DIR|none", OPTION_TEXT, &results, "where the records go (results)"},
    TUNED_OPTIONS(base),
    PLUGIN_OPTION,
    {"--dry-run", NULL, OPTION_FLAG, &dry_run,
     "list the cases with tokens, flops, memory and the time they may take"},
    {"--resume", "[JOURNAL]", OPTION_FLAG, &resume,
     "go on with a sweep that was broken off: the newest, or the one named"},
    FORMAT_OPTION(&json),
};

/* The suite, a row for each axis, the rest. */
static const struct option *options(void)
{
    enum { OWN = sizeof own_options / sizeof *own_options };
    static struct option rows[1 + AXES_MOST + OWN + 1];
    if (!rows[0].name) {
        rows[0] = suite_option;
        const int count = axes_options(&axes, rows + 1);
        memcpy(rows + 1 + count, own_options, sizeof own_options);
    }
    return rows;
}

void help_run(FILE *out) { options_help(options(), out); }

/* Which case runs, for the progress line. */
static struct {
    int at, count, before; /* before: done by a process that was broken off */
    double started_s;
} place;

static void show_progress(const struct outcome *o, double share)
{
    char name[96], left[48] = "";
    double spent_s = clock_seconds() - place.started_s, done = place.at - 1 - place.before;
    outcome_name(o, name, sizeof name);
    if (done > 0)
        snprintf(left, sizeof left, "; about %.0f s left",
                 spent_s / done * (place.count - place.at + 1));
    progress_line("case %d of %d: %s %s, %lld %s timed, this one %.0f%%%s", place.at, place.count,
                  name, outcome_plan(o), (long long)o->samples, o->sampling ? "passes" : "clips",
                  100 * share, left);
}

/* ---- one case ---- */

static bool heading_due; /* rows of clips follow, and their columns are not named yet */

static void tell(const struct outcome *o, struct json *document)
{
    if (document) {
        json_open_object(document, NULL);
        outcome_json(o, document);
        json_end(document);
        return;
    }
    progress_line(NULL);
    if (heading_due)
        outcome_heading(stdout);
    heading_due = false;
    outcome_row(o, stdout);
    fflush(stdout);
}

static enum status keep(struct outcome *o, struct record_file *file, struct fault *fault)
{
    struct json j;
    if (!file || o->status == ST_INTERRUPTED)
        return ST_OK;
    TRY(record_samples(file, &o->raw, &o->place, fault));
    record_begin(file, &j, "case");
    outcome_json(o, &j);
    return record_write(file, &j, fault);
}

/* ---- sampled and full in turn ---- */

#define AGAINST_MOST 0.05 /* what the medians may be apart */

struct rounds {
    const struct case_spec *spec;
    const struct run_limits *limits;
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
    run_case(r->sampled, r->limits);
    r->sampled_s[round] = r->sampled->sampled.total_s;
    r->done = round + 1;
    return interrupted_by ? ST_INTERRUPTED : r->sampled->status;
}

/* What all cases of a run write to and add up in. */
struct session {
    struct sweep *sweep; /* NULL: nothing is kept */
    struct json *document;
    struct totals *totals;
    bool kept; /* the case was interrupted, and what it has counts */
};

static enum status finish_outcome(struct session *session, struct outcome *o, const char **state,
                                  struct fault *fault)
{
    struct record_file *file = session->sweep ? sweep_records(session->sweep) : NULL;
    session->kept = interrupted_by && o->sustained && outcome_timed(o);
    if (interrupted_by && !session->kept)
        o->status = ST_INTERRUPTED;
    tell(o, session->document);
    scenario_count(o);
    *state = outcome_state(o);
    TRY(totals_add(session->totals, o));
    return keep(o, file, fault);
}

static enum status against_case(struct session *session, const struct run_case *c,
                                const struct run_limits *most, const char **state,
                                struct fault *fault)
{
    struct outcome *full = NULL;
    struct rounds r = {.spec = &c->spec, .limits = most};
    enum status status = outcome_new(&c->spec, &full, fault);
    if (status == ST_OK) {
        full->progress = show_progress;
        run_case_between(full, most, (int)against_rounds, sample_once, &r);
        status = finish_outcome(session, full, state, fault);
    }
    if (status == ST_OK && r.sampled) {
        struct against *a = &r.sampled->sampled.against;
        *a = (struct against){
            (int)r.done, full->summary.median * 1e-9, stats_median(r.sampled_s, r.done), {0}};
        memcpy(a->round_s, r.sampled_s, sizeof a->round_s);
        status = finish_outcome(session, r.sampled, state, fault);
        if (outcome_timed(full) && !(fabs(against_deviation(a)) <= AGAINST_MOST)) {
            session->totals->failed++;
            *state = "failed";
        }
    }
    outcome_free(full);
    outcome_free(r.sampled);
    return status;
}

static void run_as_asked(struct outcome *o, const struct run_limits *most)
{
    if (o->c.spec.engine)
        run_external(o, most);
    else if (most->sustain_s > 0)
        run_sustained(o, most);
    else if (o->c.spec.replicas != CASE_UNSET && !o->sampling)
        run_replicas(o, most);
    else if (o->c.spec.scenario)
        run_scenario(o, most);
    else
        run_case(o, most);
}

static enum status pipeline_case(struct session *session, const struct run_case *c,
                                 const struct run_limits *most, const char **state,
                                 struct fault *fault)
{
    struct outcome *o = NULL;
    if (against_rounds)
        return against_case(session, c, most, state, fault);
    enum status status = outcome_new(&c->spec, &o, fault);
    if (status == ST_OK) {
        o->progress = show_progress;
        o->sampling = c->sample;
        run_as_asked(o, most);
        status = finish_outcome(session, o, state, fault);
    }
    outcome_free(o);
    return status;
}

/* ---- all cases ---- */

static enum status mark_records(struct session *session, const struct case_list *list,
                                const struct run_case *c, struct fault *fault)
{
    struct json j;
    const char *slash = list->suite ? strrchr(list->suite, '/') : NULL;
    if (!session->sweep)
        return ST_OK;
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_text(&j, "suite", slash ? slash + 1 : list->suite);
    json_text(&j, "suite_sha256", list->suite ? list->suite_sha256 : NULL);
    json_text(&j, "section", c->section);
    json_int(&j, "session", sweep_session(session->sweep));
    json_end(&j);
    enum status s =
        j.failed ? ST_NO_MEMORY : record_set_sweep(sweep_records(session->sweep), j.text);
    json_free(&j);
    return s == ST_OK ? s : fault_set(fault, s, "no memory for a record");
}

static enum status one_case(struct session *session, const struct case_list *list, int number,
                            struct fault *fault)
{
    const struct run_case *c = &list->item[number];
    const struct run_limits most = run_limits_of(&limits, c);
    const char *state = "passed";
    enum status s = ST_OK;
    place.at = number + 1;
    TRY(mark_records(session, list, c, fault));
    if (case_is_kernel(c)) {
        s = kernel_case_run(c, session->sweep ? sweep_records(session->sweep) : NULL,
                            session->document, &state, fault);
        totals_add_state(session->totals, state);
        heading_due = true;
    } else {
        s = pipeline_case(session, c, &most, &state, fault);
    }
    if (interrupted_by && !session->kept)
        return s == ST_OK ? fault_set(fault, ST_INTERRUPTED, "interrupted") : s;
    if (s == ST_OK && session->sweep)
        s = sweep_done(session->sweep, number, state, fault);
    if (s == ST_OK && session->kept && number + 1 < list->count)
        s = fault_set(fault, ST_INTERRUPTED, "interrupted");
    return s;
}

static enum status run_cases(struct session *session, const struct case_list *list,
                             struct fault *fault)
{
    enum status s = ST_OK;
    place.count = list->count;
    place.started_s = clock_seconds();
    heading_due = true;
    for (int i = 0; s == ST_OK && i < list->count; i++) {
        const char *before = session->sweep ? sweep_state(session->sweep, i) : NULL;
        if (before) {
            totals_add_state(session->totals, before);
            place.before++;
        } else {
            s = one_case(session, list, i, fault);
        }
    }
    return s;
}

/* What there is to say of all rows. */
static void tell_below(const struct totals *totals)
{
    totals_compare_plans(totals, stdout);
    if (totals->scenarios) {
        putchar('\n');
        scenario_footer(stdout);
    }
    if (totals->bursts)
        printf("\nburst: no case was timed for %d s without pause; --sustain %d shows the rate that"
               " lasts\n",
               SUSTAIN_SECONDS, SUSTAIN_SECONDS);
}

/* The list of rows is told whole, and otherwise what became of it. */
static enum status run_list(const struct case_list *list, struct sweep *sweep,
                            struct totals *totals, struct fault *fault)
{
    const char *path = NULL;
    struct json document;
    struct session session = {sweep, json ? &document : NULL, totals};
    json_init(&document, true);
    json_open_object(&document, NULL);
    if (sweep)
        json_int(&document, "cases_done_before", sweep_done_before(sweep));
    json_open_array(&document, "cases");
    enum status s = run_cases(&session, list, fault);
    if (s == ST_OK && sweep)
        s = sweep_finish(sweep, &path, fault);
    else if (sweep)
        sweep_stop(sweep, s, fault);
    json_end(&document);
    json_text(&document, "records", path);
    json_end(&document);
    if (json && (s == ST_OK || s == ST_INTERRUPTED))
        printf("%s\n", document.text);
    else if (s == ST_OK)
        tell_below(totals);
    if (!json && path)
        printf("%srecords in %s\n", heading_due ? "" : "\n", path);
    json_free(&document);
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

static enum status check_options(struct fault *fault)
{
    if (limits.least_samples < 1 || limits.least_samples > SAMPLES_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--repetitions should lie between 1 and %d",
                         SAMPLES_MAX);
    if (limits.budget_s <= 0)
        return fault_set(fault, ST_BAD_INPUT, "--budget wants seconds over 0, not %g",
                         limits.budget_s);
    if (!(limits.deadline_s > 0))
        return fault_set(fault, ST_BAD_INPUT, "--timeout wants seconds over 0, not %g",
                         limits.deadline_s);
    if (!(limits.sustain_s >= 0 && limits.sustain_s <= 86400))
        return fault_set(fault, ST_BAD_INPUT, "--sustain %g is outside of 0 to 86400 seconds",
                         limits.sustain_s);
    if (!(limits.engine_check_s >= 0 && limits.engine_check_s <= 86400))
        return fault_set(fault, ST_BAD_INPUT, "--engine-check %g is outside of 0 to 86400 seconds",
                         limits.engine_check_s);
    if (!pinning_is_wish(limits.pin))
        return fault_set(fault, ST_BAD_INPUT, "--pin is cores or none, not '%s'", limits.pin);
    base.pin = strcmp(limits.pin, "cores") ? limits.pin : NULL;
    if (against_rounds && !sample)
        return fault_set(fault, ST_BAD_INPUT,
                         "--against-full sets sampled clips beside full ones; add --sample");
    if (against_rounds &&
        (against_rounds < MEASURE_LEAST_SAMPLES || against_rounds > SAMPLE_PASSES_MAX))
        return fault_set(
            fault, ST_BAD_INPUT,
            "--against-full wants %d to %d rounds: the median of fewer has no interval",
            MEASURE_LEAST_SAMPLES, SAMPLE_PASSES_MAX);
    return ST_OK;
}

/* What sampling leaves out cannot be asked for. */
static enum status check_energy(const struct case_list *list, struct fault *fault)
{
    for (int i = 0; i < list->count; i++)
        if (list->item[i].spec.engine && (energy.power_file || energy.idle_s > 0))
            return fault_set(fault, ST_BAD_INPUT,
                             "energy is not taken beside an engine; leave --power-file and"
                             " --idle-power out");
        else if (list->item[i].sample && (energy.power_file || energy.idle_s > 0))
            return fault_set(fault, ST_BAD_INPUT,
                             "energy is that of whole clips, and --sample runs none; leave"
                             " --power-file and --idle-power out");
    return ST_OK;
}

/* What was said of all cases holds for kernels too. */
static enum status tell_kernels(struct case_list *list, struct fault *fault)
{
    char budget[40];
    snprintf(budget, sizeof budget, "%.10g", limits.budget_s);
    if (!isnan(limits.budget_s))
        TRY(cases_tell_kernels(list, "budget", budget, fault));
    if (limits.counters)
        TRY(cases_tell_kernels(list, "counters", limits.counters, fault));
    if (strcmp(limits.pin, "cores"))
        TRY(cases_tell_kernels(list, "pin", limits.pin, fault));
    return ST_OK;
}

static enum status make_list(struct case_list *list, struct fault *fault)
{
    TRY(suite ? cases_from_suite(suite, &base, &axes, list, fault)
              : cases_from_axes(&base, &axes, list, fault));
    for (int i = 0; i < list->count; i++)
        replicas_resolve(&list->item[i].spec);
    for (int i = 0; i < list->count; i++)
        list->item[i].sample = list->item[i].sample || (sample && !case_is_kernel(&list->item[i]));
    give_prompts(list);
    TRY(check_energy(list, fault));
    TRY(tell_kernels(list, fault));
    TRY(run_check_cases(list, &limits, fault));
    const int twice = cases_unique(list);
    if (twice && !json)
        printf("%d case%s listed twice and run once\n", twice, twice == 1 ? " is" : "s are");
    return ST_OK;
}

/* Begins the sweep, or takes up the one that is to be gone on with. */
static enum status start(int argc, char **argv, const struct case_list *list, struct sweep **sweep,
                         struct fault *fault)
{
    const struct sweep_plan plan = {argc, argv, options(), list, results};
    if (!*sweep)
        return sweep_begin(&plan, sweep, fault);
    TRY(sweep_resume(*sweep, &plan, fault));
    if (!json)
        printf("going on: %d of %d cases are done\n", sweep_done_before(*sweep), list->count);
    return ST_OK;
}

static enum status run_all(int argc, char **argv, struct sweep **sweep, struct totals *totals,
                           struct fault *fault)
{
    struct case_list list = {0};
    const bool kept = strcmp(results, "none") != 0;
    enum status s = check_options(fault);
    if (s == ST_OK)
        s = make_list(&list, fault);
    if (s == ST_OK && dry_run)
        s = run_plan_cases(&list, &limits, kept ? results : NULL, json, fault);
    if (s == ST_OK && !dry_run)
        s = energy_open(&energy, &limits.energy, fault);
    if (s == ST_OK && !dry_run && (kept || *sweep))
        s = start(argc, argv, &list, sweep, fault);
    if (s == ST_OK && !dry_run)
        s = run_list(&list, *sweep, totals, fault);
    if (s == ST_OK && !dry_run)
        s = energy_status(limits.energy, fault);
    energy_close(limits.energy);
    cases_free(&list);
    return s;
}

/* `run --resume` alone means the words of the sweep that it goes on with. */
static enum status take_words(int *argc, char ***argv, struct sweep **sweep, struct fault *fault)
{
    const char *journal = NULL;
    int words = 1;
    TRY(options_parse(options(), *argc, *argv, &journal, &words, fault));
    if (!resume && words)
        return fault_set(fault, ST_BAD_INPUT, "'%s' is one word too many here", journal);
    if (!resume)
        return ST_OK;
    if (dry_run)
        return fault_set(fault, ST_BAD_INPUT,
                         "--resume runs cases and --dry-run none; leave one out");
    TRY(sweep_find(words ? journal : NULL, results, sweep, fault));
    if (!sweep_alone(*argc, *argv))
        return ST_OK;
    const int given = *argc;
    char **const given_words = *argv;
    sweep_words(*sweep, argc, argv);
    TRY(options_parse(options(), *argc, *argv, NULL, NULL, fault));
    words = 1;
    return options_parse(options(), given, given_words, &journal, &words, fault);
}

int cmd_run(int argc, char **argv, struct fault *fault)
{
    struct totals totals = {0};
    struct sweep *sweep = NULL;
    enum status s = take_words(&argc, &argv, &sweep, fault);
    if (s == ST_OK)
        s = run_all(argc, argv, &sweep, &totals, fault);
    sweep_free(sweep);
    const int code = totals_exit_code(&totals);
    return s == ST_OK ? code : exit_code_of(s);
}
