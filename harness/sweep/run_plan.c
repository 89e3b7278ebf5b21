// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/run_plan.h"

#include "engine/case_images.h"
#include "engine/dump.h"
#include "external/external.h"
#include "records/record.h"
#include "run/run_scenario.h"
#include "sweep/expect.h"
#include "sweep/sweep_kernels.h"

#include <stdlib.h>
#include <string.h>

#define BUDGET_SECONDS 12

struct run_limits run_limits_of(const struct run_limits *limits, const struct run_case *c)
{
    struct run_limits own = *limits;
    if (isnan(own.budget_s))
        own.budget_s = c->sample ? SAMPLE_BUDGET_SECONDS : BUDGET_SECONDS;
    return own;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* What sampling leaves out cannot be asked for. */
static enum status check_sampled(const struct run_case *c, const struct run_limits *limits,
                                 struct fault *fault)
{
    if (c->sample && limits->counters)
        return fault_set(fault, ST_BAD_INPUT,
                         "--counters counts whole clips, and --sample runs none");
    if (c->sample && (c->spec.batch != CASE_UNSET || limits->sustain_s > 0 ||
                      (c->spec.replicas != CASE_UNSET && !c->spec.scenario)))
        return fault_set(fault, ST_BAD_INPUT,
                         "--batch, --replicas and --sustain make whole clips, and --sample cannot"
                         " go with them");
    if (c->sample && !strcmp(c->spec.residency, "block-stream"))
        return fault_set(fault, ST_BAD_INPUT,
                         "--residency block-stream reads weights within the clip's time, and"
                         " --sample leaves reading out");
    return ST_OK;
}

/* Their contents make the case, wherever they lie: *hash is of both. */
static enum status check_images(const struct outcome *o, char hash[65], struct fault *fault)
{
    struct generate_request r = o->c.request;
    struct case_images images;
    const struct geometry *g = &r.geometry;
    char both[130] = "";
    TRY(case_images_load(o->c.spec.image, o->c.spec.last_image, false, &r, &images, fault));
    for (int i = 0; i < 2; i++)
        if (images.frame[i])
            sha256_hex(images.frame[i],
                       (size_t)(g->pad_width * g->pad_height * 3) * sizeof *images.frame[i],
                       both + strlen(both));
    if (both[0])
        sha256_hex(both, strlen(both), hash);
    case_images_free(&images);
    return ST_OK;
}

/* What makes clips in another way than one after the other. */
static enum status check_ways(const struct outcome *o, const struct run_limits *limits,
                              struct fault *fault)
{
    const struct case_spec *s = &o->c.spec;
    if (s->engine) {
        if (o->sampling || limits->counters || limits->sustain_s > 0)
            return fault_set(fault, ST_BAD_INPUT,
                             "--engine runs whole clips, and nothing of ours beside them; leave"
                             " --sample, --counters and --sustain out");
        TRY(external_check(s, fault));
    }
    if (s->replicas != CASE_UNSET && limits->counters)
        return fault_set(fault, ST_BAD_INPUT,
                         "--counters counts in one worker, and --replicas has several");
    if (limits->sustain_s > 0 && (s->replicas != CASE_UNSET || s->scenario))
        return fault_set(fault, ST_BAD_INPUT,
                         "--sustain runs the same clip in one worker, and --%s cannot go with it",
                         s->scenario ? "scenario" : "replicas");
    return scenario_check(&o->c, fault);
}

static enum status check_noise(const struct pipeline_case *c, struct fault *fault)
{
    float *noise = NULL, *extra = NULL;
    enum status s =
        c->spec.noise ? load_noise(c->spec.noise, &c->request, &noise, &extra, fault) : ST_OK;
    free(noise);
    free(extra);
    return s;
}

/* Of a case that can run here. What this machine lacks for it is no mistake of the list's. */
static enum status check_config(const struct outcome *o, char hash[65], struct fault *fault)
{
    struct engine *engine = NULL;
    struct fault why = {{0}};
    TRY(check_images(o, hash, fault));
    const enum status s = engine_new(&o->c.config, &engine, &why);
    if (s == ST_OK)
        engine_free(engine);
    return s == ST_BAD_INPUT ? fault_set(fault, s, "%s", why.text) : ST_OK;
}

static enum status check_pipeline(const struct run_case *c, const struct run_limits *limits,
                                  char **key, struct fault *fault)
{
    struct outcome *o = NULL;
    char hash[65] = "", *words = NULL;
    enum status s = check_sampled(c, limits, fault);
    if (s == ST_OK)
        s = outcome_new(&c->spec, &o, fault);
    if (s == ST_OK)
        o->sampling = c->sample;
    if (s == ST_OK)
        s = check_ways(o, limits, fault);
    if (s == ST_OK)
        s = check_noise(&o->c, fault);
    if (s == ST_OK && o->c.absent == ST_OK)
        s = check_config(o, hash, fault);
    if (s == ST_OK) {
        words = outcome_key(o);
        if (!words || asprintf(key, "%s%s%s", words, hash[0] ? " images=" : "", hash) < 0)
            *key = NULL;
    }
    free(words);
    outcome_free(o);
    return s;
}

static enum status check_kernel(const struct run_case *c, char **key, struct fault *fault)
{
    double budget_s;
    struct fault why = {{0}};
    const enum status s = kernels_words_check(c->kernel, &budget_s, &why);
    if (s == ST_BAD_INPUT)
        return fault_set(fault, s, "%s", why.text);
    *key = kernel_case_key(c);
    return ST_OK;
}

static enum status check_case(struct case_list *list, struct run_case *c,
                              const struct run_limits *limits, struct fault *fault)
{
    char *key = NULL;
    struct fault inner = {{0}};
    enum status s =
        case_is_kernel(c) ? check_kernel(c, &key, &inner) : check_pipeline(c, limits, &key, &inner);
    if (s == ST_OK && !(key && (c->key = words_add(&list->text, key))))
        s = fault_set(&inner, ST_NO_MEMORY, "no memory for the list of cases");
    free(key);
    return s == ST_OK ? s : case_fault(list, c, s, &inner, fault);
}

enum status run_check_cases(struct case_list *list, const struct run_limits *limits,
                            struct fault *fault)
{
    for (int i = 0; i < list->count; i++)
        TRY(check_case(list, &list->item[i], limits, fault));
    return ST_OK;
}

/* ---- planning -------------------------------------------------------------------------------- */

struct plan_list {
    const struct case_list *list;
    const struct run_limits *limits;
    struct expect *expect;
    struct json *document;   /* NULL: rows */
    double known_s;          /* of the cases whose time is expected from something */
    int of[EXPECT_NONE + 1]; /* cases by what they are expected from */
};

/* "8.5 s", "12 min", "4.1 h", "3.2 days" */
static const char *span(double seconds, char *out, size_t bytes)
{
    static const struct {
        double from, unit;
        const char *name;
    } rows[] = {{3 * 86400., 86400, "days"}, {2 * 3600., 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
    int i = 0;
    while (seconds < rows[i].from)
        i++;
    const double value = seconds / rows[i].unit;
    snprintf(out, bytes, value < 10 ? "%.1f %s" : "%.0f %s", value, rows[i].name);
    return out;
}

static double planned_flops(const struct engine *engine)
{
    double flops = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        flops += engine_stage(engine, (enum stage)i)->flops;
    return flops;
}

static void count_expectation(struct plan_list *p, const struct expectation *e)
{
    p->of[e->basis]++;
    if (e->basis != EXPECT_NONE)
        p->known_s += e->case_s;
}

static const char *const basis_names[] = {[EXPECT_RECORD] = "record",
                                          [EXPECT_OTHER] = "other record",
                                          [EXPECT_BUDGET] = "budget",
                                          [EXPECT_ROOF] = "roof",
                                          [EXPECT_NONE] = "none"};

static void expected_json(const struct expectation *e, struct json *j)
{
    json_open_object(j, "expected");
    json_number(j, "case_s", e->basis == EXPECT_NONE ? NAN : e->case_s);
    json_number(j, "clip_s", e->basis == EXPECT_NONE ? NAN : e->clip_s);
    json_text(j, "from", basis_names[e->basis]);
    json_end(j);
}

static void expected_text(const struct expectation *e, char *out, size_t bytes)
{
    static const char *const marks[] = {
        [EXPECT_RECORD] = "~", [EXPECT_OTHER] = "~~", [EXPECT_BUDGET] = "=", [EXPECT_ROOF] = ">"};
    char time[32];
    if (e->basis == EXPECT_NONE)
        snprintf(out, bytes, "?");
    else
        snprintf(out, bytes, "%s%s", marks[e->basis], span(e->case_s, time, sizeof time));
}

static void tell_plan(struct plan_list *p, const struct pipeline_case *c,
                      const struct engine *engine, const struct expectation *e, bool sampled)
{
    char name[192], fit[160] = "", tflop[TFLOP_BYTES], time[48];
    const int64_t tokens = c->request.geometry.S;
    case_describe(c, name, sizeof name);
    if (c->config.device == DEVICE_CPU && !sampled)
        engine_describe_fit(engine, engine_available_bytes(engine), fit, sizeof fit);
    if (p->document) {
        json_open_object(p->document, NULL);
        json_text(p->document, "case", name);
        case_recipe(c, engine, p->document, "recipe");
        if (c->spec.engine)
            json_text(p->document, "engine", c->spec.engine);
        json_int(p->document, "tokens", tokens);
        json_number(p->document, "flops", planned_flops(engine));
        json_int(p->document, "planned_bytes", (int64_t)engine_peak_bytes(engine));
        json_text(p->document, "memory", fit[0] ? fit : NULL);
        expected_json(e, p->document);
        json_end(p->document);
        return;
    }
    expected_text(e, time, sizeof time);
    printf("%9s %8lld tokens %12s TFLOP %9.3f GiB   %s%s%s%s%s%s\n", time, (long long)tokens,
           tflop_text(planned_flops(engine), tflop), (double)engine_peak_bytes(engine) / (1 << 30),
           name, sampled ? ", sampled" : "", c->spec.engine ? ", by " : "",
           c->spec.engine ? c->spec.engine : "", fit[0] ? "; " : "", fit);
}

static enum status plan_resolved(struct plan_list *p, const struct run_case *rc, struct outcome *o,
                                 struct engine *engine, struct fault *fault)
{
    struct case_images images = {0};
    const struct run_limits own = run_limits_of(p->limits, rc);
    enum status s =
        case_images_load(rc->spec.image, rc->spec.last_image, false, &o->c.request, &images, fault);
    if (s == ST_OK)
        s = engine_plan(engine, &o->c.request, false, fault);
    if (s == ST_OK) {
        int64_t problems = 0;
        engine_trace(engine, &problems);
        const struct expectation none = {.clip_s = NAN, .case_s = NAN, .basis = EXPECT_NONE};
        const struct expectation e =
            rc->spec.engine ? none : expect_case(p->expect, &o->c, planned_flops(engine), problems, rc->sample, &own);
        count_expectation(p, &e);
        tell_plan(p, &o->c, engine, &e, rc->sample);
    }
    case_images_free(&images);
    return s;
}

/* What cannot run here is a row of the plan as it will be a row of the sweep. */
static void tell_refused(struct plan_list *p, const char *name, enum status status, const char *why)
{
    if (p->document) {
        json_open_object(p->document, NULL);
        json_text(p->document, "case", name);
        json_text(p->document, "status", status_name(status));
        json_text(p->document, "status_reason", why);
        json_end(p->document);
    } else {
        printf("%9s %s: %s, %s\n", "-", name, status_name(status), why);
    }
}

static enum status plan_pipeline(struct plan_list *p, const struct run_case *rc,
                                 struct fault *fault)
{
    struct outcome *o = NULL;
    struct engine *engine = NULL;
    struct fault why = {{0}};
    char name[96];
    enum status s = outcome_new(&rc->spec, &o, fault);
    if (s != ST_OK) {
        outcome_free(o);
        return s;
    }
    s = case_ready(&o->c, &why);
    if (s == ST_OK)
        s = case_prompts(&o->c, &why);
    if (s == ST_OK)
        s = engine_new(&o->c.config, &engine, &why);
    if (s == ST_OK) {
        s = plan_resolved(p, rc, o, engine, &why);
        engine_free(engine);
    }
    outcome_name(o, name, sizeof name);
    outcome_free(o);
    if (s == ST_BAD_INPUT || s == ST_INTERRUPTED)
        return fault_set(fault, s, "%s", why.text);
    if (s != ST_OK)
        tell_refused(p, name, s, why.text);
    return ST_OK;
}

static void plan_kernel(struct plan_list *p, const struct run_case *rc)
{
    char name[640], time[48];
    struct expectation e = {.clip_s = NAN, .basis = EXPECT_BUDGET};
    struct fault why = {{0}};
    kernel_case_name(rc, name, sizeof name);
    const enum status s = kernels_words_check(rc->kernel, &e.case_s, &why);
    if (s != ST_OK) {
        tell_refused(p, name, s, why.text);
        return;
    }
    count_expectation(p, &e);
    if (p->document) {
        json_open_object(p->document, NULL);
        json_text(p->document, "case", name);
        expected_json(&e, p->document);
        json_end(p->document);
    } else {
        expected_text(&e, time, sizeof time);
        printf("%9s %s\n", time, name);
    }
}

/* The marks that stand in the table, and no others. */
static void tell_sum(const struct plan_list *p)
{
    static const char *const legend[] = {
        [EXPECT_RECORD] = "~ from the nearest record of this machine, by work and threads",
        [EXPECT_OTHER] = "~~ likewise, of another model or plan",
        [EXPECT_BUDGET] = "= the budget of the case, by which kernels and sampled cases end",
        [EXPECT_ROOF] = "> at the multiply-add peak, no less than this: no record is near",
        [EXPECT_NONE] = "? no record of this device"};
    char time[32];
    span(p->known_s, time, sizeof time);
    printf("\n%d case%s, %s %s in all%s\n", p->list->count, p->list->count == 1 ? "" : "s",
           p->of[EXPECT_ROOF] ? "at least" : "about", time,
           p->of[EXPECT_NONE] ? ", without those marked ?" : "");
    for (int i = 0; i <= EXPECT_NONE; i++)
        if (p->of[i])
            puts(legend[i]);
}

static enum status plan_each(struct plan_list *p, struct fault *fault)
{
    for (int i = 0; i < p->list->count; i++) {
        const struct run_case *rc = &p->list->item[i];
        if (case_is_kernel(rc))
            plan_kernel(p, rc);
        else
            TRY(plan_pipeline(p, rc, fault));
    }
    return ST_OK;
}

enum status run_plan_cases(const struct case_list *list, const struct run_limits *limits,
                           const char *results, bool json, struct fault *fault)
{
    struct json document;
    struct plan_list p = {.list = list, .limits = limits, .document = json ? &document : NULL};
    if (!(p.expect = expect_open(results)))
        return fault_set(fault, ST_NO_MEMORY, "no memory for the records of this machine");
    json_init(&document, true);
    json_open_object(&document, NULL);
    json_open_array(&document, "cases");
    enum status s = plan_each(&p, fault);
    json_end(&document);
    json_number(&document, "expected_s", p.of[EXPECT_NONE] ? NAN : p.known_s);
    json_end(&document);
    if (s == ST_OK && json)
        printf("%s\n", document.text);
    else if (s == ST_OK)
        tell_sum(&p);
    json_free(&document);
    expect_free(p.expect);
    return s;
}
