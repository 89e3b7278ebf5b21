// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_worker.c   The process that runs one pipeline case. It plans, verifies every kernel of the plan
 * on the shapes of this very case, runs once, and then runs once for every "go" it is sent.
 *
 *   out: recipe JSON | sha256 HEX | work JSON | planned BYTES | check STATUS WORST L2 MAX RATIO N |
 *        peak FLOPS ISA | first NS | ready | sample TOTAL TEXT DENOISE DECODE LOAD*3 STEPS... |
 *        counter NAME VALUE | counter_off NAME REASON | resident BYTES | bye | fail STATUS SENTENCE
 *   in:  go | end */
#include "case.h"
#include "check.h"
#include "commands.h"
#include "host.h"
#include "measure.h"

#include <stdlib.h>
#include <string.h>

static struct case_spec spec = CASE_DEFAULTS;
static const char *counter_names;

static const struct option options[] = {
    {"--model", "NAME", OPTION_TEXT, &spec.model, ""},
    {"--prompt", "TEXT", OPTION_TEXT, &spec.prompt, ""},
    {"--size", "WxH", OPTION_SIZE, &spec.size, ""},
    {"--frames", "N", OPTION_COUNT, &spec.frames, ""},
    {"--seconds", "S", OPTION_REAL, &spec.seconds, ""},
    {"--steps", "N", OPTION_COUNT, &spec.steps, ""},
    {"--threads", "N", OPTION_COUNT, &spec.threads, ""},
    {"--dtype", "T", OPTION_TEXT, &spec.dtype, ""},
    {"--kernels", "SPEC", OPTION_TEXT, &spec.kernels, ""},
    {"--plan", "FILE", OPTION_TEXT, &spec.plan, ""},
    {"--counters", "LIST", OPTION_TEXT, &counter_names, ""},
    CASE_OPTIONS(spec),
    {0},
};

struct session {
    struct pipeline_case c;
    struct engine *engine;
    struct counters *counters;
    int64_t *step_ns;
};

/* The clip's last byte has arrived in host memory; nothing is kept of it. */
static enum status take_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    (void)user;
    (void)rgb;
    (void)first;
    (void)count;
    return ST_OK;
}

static void tell_work(const struct session *s)
{
    const struct engine *e = s->engine;
    double flops[STAGE_COUNT], all = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        all += flops[i] = engine_stage(e, (enum stage)i)->flops;
    struct json j;
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_int(&j, "tokens", s->c.request.geometry.S);
    json_int(&j, "frames", s->c.request.geometry.frames);
    json_number(&j, "flops", all);
    json_number(&j, "flops_text", flops[STAGE_TEXT]);
    json_number(&j, "flops_denoise", flops[STAGE_DENOISE]);
    json_number(&j, "flops_decode", flops[STAGE_DECODE]);
    json_end(&j);
    printf("work %s\n", j.text);
    json_free(&j);
}

static void tell_recipe(const struct session *s)
{
    struct json j;
    char hash[65];
    json_init(&j, false);
    case_recipe(&s->c, s->engine, &j, NULL);
    printf("recipe %s\n", j.text);
    json_free(&j);
    case_recipe_sha256(&s->c, s->engine, hash);
    printf("sha256 %s\nplanned %zu\n", hash, engine_peak_bytes(s->engine));
}

/* Worst figures over all problems of the plan. */
struct verdict {
    struct check_result worst;
    int64_t problems;
    double checked, all;
};

static enum status check_call(const struct traced_call *call, int threads, struct verdict *v,
                              struct fault *fault)
{
    enum { SEED = 7 };
    const double reference_s = 0.02;
    struct operands operands;
    struct bound bound;
    struct check_result result;
    struct problem shape = call->problem;
    char line[256];
    shape_print(&call->problem, line, sizeof line);
    TRY(shape_parse(line, &shape, fault));
    TRY(operands_new(&shape, false, false, &operands, fault));
    operands_fill(&operands, SEED, PATTERN_RANDOM);
    enum status s = bound_new(call->entry->variant, call->knob, &operands, threads, &bound, fault);
    if (s == ST_OK) {
        check_bound(&bound, SEED, reference_s, &result);
        s = result.status;
        v->worst.worst = fmax(v->worst.worst, result.worst);
        v->worst.l2 = fmax(v->worst.l2, result.l2);
        v->worst.max_abs = fmax(v->worst.max_abs, result.max_abs);
        v->checked += result.checked_ratio;
        v->all++;
        if (s != ST_OK)
            fault_set(fault, s, "%s/%s on %s: %s", call->entry->op, call->entry->name, line, result.text);
        bound_free(&bound);
    }
    operands_free(&operands);
    return s;
}

static enum status verify_plan(const struct session *s, struct fault *fault)
{
    struct verdict v = {0};
    int64_t count;
    const struct traced_call *trace = engine_trace(s->engine, &count);
    enum status status = ST_OK;
    for (int64_t i = 0; status == ST_OK && i < count; i++)
        if (trace[i].entry)
            status = check_call(&trace[i], s->c.config.threads, &v, fault);
    printf("check %d %.9g %.9g %.9g %.9g %lld\n", (int)status, v.worst.worst, v.worst.l2,
           v.worst.max_abs, v.all ? v.checked / v.all : 1.0, (long long)v.all);
    return status;
}

static enum status prepare(struct session *s, struct fault *fault)
{
    TRY(case_resolve(&spec, &s->c, fault));
    s->c.config.quiet = true;
    s->c.request.sink = (struct generate_sink){.frames = take_frames};
    if (!(s->step_ns = calloc((size_t)s->c.request.steps, sizeof *s->step_ns)))
        return ST_NO_MEMORY;
    TRY(engine_new(&s->c.config, &s->engine, fault));
    TRY(engine_plan(s->engine, &s->c.request, true, fault));
    tell_recipe(s);
    tell_work(s);
    fflush(stdout);
    TRY(verify_plan(s, fault));
    if (counter_names)
        TRY(counters_open(counter_names, &s->counters, fault));
    const char *isa;
    double peak = measure_fma_peak(s->c.config.threads, &isa);
    printf("peak %.17g %s\n", peak, isa);
    return ST_OK;
}

static int64_t total_ns(const struct session *s)
{
    int64_t total = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        total += engine_stage(s->engine, (enum stage)i)->run_ns;
    return total;
}

static enum status sample(struct session *s, struct fault *fault)
{
    if (s->counters)
        counters_start(s->counters);
    TRY(engine_execute(s->engine, &s->c.request, s->step_ns, fault));
    if (s->counters)
        counters_stop(s->counters);
    printf("sample %lld", (long long)total_ns(s));
    for (int i = 0; i < STAGE_COUNT; i++)
        printf(" %lld", (long long)engine_stage(s->engine, (enum stage)i)->run_ns);
    for (int i = 0; i < STAGE_COUNT; i++)
        printf(" %lld", (long long)engine_stage(s->engine, (enum stage)i)->load_ns);
    for (int64_t i = 0; i < s->c.request.steps; i++)
        printf(" %lld", (long long)s->step_ns[i]);
    putchar('\n');
    return ST_OK;
}

static void tell_counters(const struct session *s)
{
    for (int i = 0; s->counters && i < counters_count(s->counters); i++) {
        const struct counter *c = counters_at(s->counters, i);
        if (c->available)
            printf("counter %s %lld\n", c->name, (long long)c->value);
        else
            printf("counter_off %s %s\n", c->name, c->why);
    }
}

static enum status serve(struct session *s, struct fault *fault)
{
    char line[64];
    TRY(prepare(s, fault));
    TRY(engine_execute(s->engine, &s->c.request, s->step_ns, fault));
    printf("first %lld\nready\n", (long long)total_ns(s));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) && !strcmp(line, "go\n")) {
        TRY(sample(s, fault));
        fflush(stdout);
    }
    tell_counters(s);
    printf("resident %zu\nbye\n", host_peak_resident());
    return ST_OK;
}

int worker_pipeline(int argc, char **argv, struct fault *fault)
{
    struct session s = {0};
    struct fault mine = {{0}};
    enum status status = options_parse(options, argc, argv, NULL, NULL, &mine);
    (void)fault;
    if (status == ST_OK)
        status = serve(&s, &mine);
    if (status != ST_OK)
        printf("fail %d %s\n", (int)status, mine.text[0] ? mine.text : "no reason given");
    fflush(stdout);
    counters_free(s.counters);
    engine_free(s.engine);
    free(s.step_ns);
    return exit_code_of(status);
}
