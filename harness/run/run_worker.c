// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_worker.c   The process that runs one pipeline case. It plans, verifies every kernel of the
 * plan on the shapes of this very case, runs once, and then runs once for every `go` it is sent.
 *
 *   out: recipe JSON | sha256 HEX | work JSON | plugin HASH | planned BYTES |
 *        tuned SHAPES OF LINES STALE FILE-HASH WHY-NOT (where there is a table) |
 *        check STATUS WORST L2 MAX RATIO N SEED | peak FLOPS ISA | first NS FRAMES-HASH | ready |
 *        at SHARE | pinned OPENMP OPENBLAS CPUS OTHERS | guard LOOK | took SECONDS | sample TOTAL STAGE... LOAD... FRAMES-HASH STEP... |
 *        host STEP-NS GRAPH-NODES (CUDA devices) |
 *        counter NAME VALUE SCOPE | counter NAME null REASON (counted.h) | rechecked | resident BYTES | bye |
 *        far SENTENCE (of --dump: the clip is too long for --within, or too large) |
 *        fail STATUS SENTENCE
 *   in:  go N: clip N, which has prompt N of a scenario, or noise N, 0 being the first clip's | end
 * With --dump DIR the first clip's stages are written there, and no other clip follows.
 * With --sample SECONDS nothing is run whole, and sample.h says what follows `peak`.
 * After "end" every kernel is checked once more: one that stops computing after a while would be
 * fast. */
#include "base/worker.h"
#include "check/check.h"
#include "cmd/commands.h"
#include "counters/counted.h"
#include "engine/case.h"
#include "engine/case_images.h"
#include "engine/dump.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "machine/topology.h"
#include "prompt/prompt_variant.h"
#include "run/replica_place.h"
#include "run/sample.h"
#include "timing/guard.h"
#include "timing/measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static struct case_spec spec = CASE_DEFAULTS;
static const char *counter_names, *cpu_list, *dump_folder;
static double within_s;              /* of --dump */
static double sample_budget_s = NAN; /* a number: the case is sampled */
static int64_t visible = CASE_UNSET; /* the entry of CUDA_VISIBLE_DEVICES to see */

static const struct option options[] = {
    {"--model", "NAME", OPTION_TEXT, &spec.model, ""},
    {"--prompt", "TEXT", OPTION_TEXT, &spec.prompt, ""},
    {"--image", "FILE", OPTION_TEXT, &spec.image, ""},
    {"--last-image", "FILE", OPTION_TEXT, &spec.last_image, ""},
    {"--size", "WxH", OPTION_SIZE, &spec.size, ""},
    {"--frames", "N", OPTION_COUNT, &spec.frames, ""},
    {"--seconds", "S", OPTION_REAL, &spec.seconds, ""},
    {"--steps", "N", OPTION_COUNT, &spec.steps, ""},
    {"--threads", "N", OPTION_COUNT, &spec.threads, ""},
    {"--pin", "HOW", OPTION_TEXT, &spec.pin, ""},
    {"--dtype", "T", OPTION_TEXT, &spec.dtype, ""},
    {"--kernels", "SPEC", OPTION_TEXT, &spec.kernels, ""},
    {"--device", "D", OPTION_TEXT, &spec.device, ""},
    {"--launch", "HOW", OPTION_TEXT, &spec.launch, ""},
    {"--scenario", "NAME", OPTION_TEXT, &spec.scenario, ""},
    {"--noise", "FILE", OPTION_TEXT, &spec.noise, ""},
    {"--batch", "N", OPTION_COUNT, &spec.batch, ""},
    {"--replicas", "N", OPTION_COUNT, &spec.replicas, ""},
    {"--visible", "K", OPTION_COUNT, &visible, ""},
    {"--counters", "LIST", OPTION_TEXT, &counter_names, ""},
    {"--sample", "SECONDS", OPTION_REAL, &sample_budget_s, ""},
    {"--cpus", "LIST", OPTION_TEXT, &cpu_list, ""},
    {"--dump", "DIR", OPTION_TEXT, &dump_folder, ""},
    {"--within", "SECONDS", OPTION_REAL, &within_s, ""},
    CASE_OPTIONS(spec),
    {0},
};

struct session {
    struct pipeline_case c;
    struct case_images images;
    struct engine *engine;
    struct counters *counters;
    int64_t *step_ns;
    int clips; /* counted */
    struct pinned pinned;
    struct guard guard;
    struct prompt_variant variant; /* of a scenario */
    float *noise, *extra_noise;    /* where a file gives them */
    struct dump *dump;
    struct fault *fault;  /* of hooks */
    uint64_t frames_hash; /* of the clip at hand, or of its latents where it ends so */
    FILE *out;
};

/* Outside of the timed window, as every hook: all clips of a case must hash alike. */
static enum status take_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct session *s = user;
    const struct geometry *g = &s->c.request.geometry;
    uint64_t hash = s->frames_hash;
    (void)first;
    for (int64_t i = 0; i < count * g->height * g->width * 3; i++)
        hash = (hash ^ rgb[i]) * UINT64_C(0x100000001b3);
    s->frames_hash = hash;
    return ST_OK;
}

/* Of models that end as latents: what follows would be the same work on the same numbers. */
static enum status take_latents(void *user, const float *latents)
{
    struct session *s = user;
    const struct geometry *g = &s->c.request.geometry;
    const unsigned char *bytes = (const unsigned char *)latents;
    uint64_t hash = s->frames_hash;
    for (int64_t i = 0; i < g->C * g->T * g->H * g->W * (int64_t)sizeof *latents; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    s->frames_hash = hash;
    return ST_OK;
}

static enum status dump_rgb(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct session *s = user;
    (void)first;
    return dump_frames(s->dump, rgb, count, s->fault);
}

static enum status dump_rows(void *user, const float *prompt, const float *negative)
{
    struct session *s = user;
    return dump_text(s->dump, prompt, negative, s->fault);
}

static enum status dump_clip(void *user, const float *latents)
{
    struct session *s = user;
    const bool ends = model_ends_as_latents(s->c.request.model);
    TRY(dump_denoised(s->dump, latents, s->fault));
    return ends ? take_latents(user, latents) : ST_OK;
}

/* Signs of life, for the supervisor's patience and its progress line. */
static void tell_progress(void *user, double share)
{
    struct session *s = user;
    fprintf(s->out, "at %.4f\n", share);
    fflush(s->out);
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
    if (flops[STAGE_IMAGE] + flops[STAGE_ENCODE] > 0)
        json_number(&j, "flops_encode", flops[STAGE_IMAGE] + flops[STAGE_ENCODE]);
    json_number(&j, "flops_denoise", flops[STAGE_DENOISE] + flops[STAGE_DENOISE_LOW]);
    json_number(&j, "flops_decode", flops[STAGE_DECODE]);
    json_end(&j);
    fprintf(s->out, "work %s\n", j.text);
    json_free(&j);
}

static void tell_recipe(const struct session *s)
{
    struct json j;
    char hash[65];
    json_init(&j, false);
    case_recipe(&s->c, s->engine, &j, NULL);
    fprintf(s->out, "recipe %s\n", j.text);
    json_free(&j);
    case_recipe_sha256(&s->c, s->engine, hash);
    fprintf(s->out, "sha256 %s\nplanned %zu\n", hash, engine_peak_bytes(s->engine));
}

/* The plan's variants from outside, each file once. */
static void tell_plugins(const struct session *s)
{
    int64_t count;
    const struct traced_call *trace = engine_trace(s->engine, &count);
    for (int64_t i = 0; i < count; i++) {
        uint64_t hash = trace[i].entry ? trace[i].entry->plugin_hash : 0;
        bool known = !hash;
        for (int64_t k = 0; k < i && !known; k++)
            known = trace[k].entry && trace[k].entry->plugin_hash == hash;
        if (!known)
            fprintf(s->out, "plugin %016" PRIx64 "\n", hash);
    }
}

static void tell_tuned(const struct session *s)
{
    struct tuned_use t;
    engine_tuned(s->engine, &t);
    if (t.asked)
        fprintf(s->out, "tuned %d %d %d %d %s %s\n", t.tuned, t.problems, t.lines, t.stale,
                t.hash[0] ? t.hash : "-", t.why);
}

/* Worst figures over all problems of the plan. */
struct verdict {
    struct check_result worst;
    int64_t problems;
    double checked;
};

static enum status check_call(const struct traced_call *call, int threads, uint64_t seed,
                              struct verdict *v, struct fault *fault)
{
    const double reference_s = 0.05; /* a plan has many problems; past it rows are sampled */
    struct operands operands;
    struct bound bound;
    struct check_result result;
    struct problem shape = call->problem;
    char line[256];
    shape_print(&call->problem, line, sizeof line);
    TRY(shape_parse(line, &shape, fault));
    TRY(operands_new(&shape, false, false, &operands, fault));
    operands.threads = threads;
    operands_fill(&operands, seed, PATTERN_RANDOM);
    enum status s = bound_new(call->entry->variant, call->knob, &operands, threads, &bound, fault);
    if (s == ST_OK) {
        check_bound(&bound, seed, reference_s, &result);
        s = result.status;
        v->worst.worst = fmax(v->worst.worst, result.worst);
        v->worst.l2 = fmax(v->worst.l2, result.l2);
        v->worst.max_abs = fmax(v->worst.max_abs, result.max_abs);
        v->checked += result.checked_ratio;
        v->problems++;
        if (s != ST_OK)
            fault_set(fault, s, "%s/%s on %s: %s", call->entry->op, call->entry->name, line,
                      result.text);
        bound_free(&bound);
    }
    operands_free(&operands);
    return s;
}

static enum status check_plan(const struct session *s, uint64_t seed, struct verdict *v,
                              struct fault *fault)
{
    int64_t count;
    const struct traced_call *trace = engine_trace(s->engine, &count);
    enum status status = ST_OK;
    for (int64_t i = 0; status == ST_OK && i < count; i++) {
        tell_progress((void *)s, 0);
        if (trace[i].entry)
            status = check_call(&trace[i], s->c.config.threads, seed, v, fault);
    }
    return status;
}

/* Data that no kernel can have seen before; the seed is told, so that a failure can be repeated. */
static uint64_t fresh_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)(clock_seconds() * 1e9);
    return seed >> 1;
}

static enum status verify_plan(const struct session *s, struct fault *fault)
{
    struct verdict v = {0};
    uint64_t seed = fresh_seed();
    enum status status = check_plan(s, seed, &v, fault);
    fprintf(s->out, "check %d %.9g %.9g %.9g %.9g %" PRId64 " %" PRIu64 "\n", (int)status,
            v.worst.worst, v.worst.l2, v.worst.max_abs,
            v.problems ? v.checked / (double)v.problems : 1.0, v.problems, seed);
    return status;
}

/* A CUDA device's roof is its units' at the highest clock, for the class that the type's fastest
 * kernels have. */
static double tell_device_peak(const struct session *s)
{
    static const enum numerics class_of[ELEM_COUNT] = {
        [ELEM_F32] = NUM_F32, [ELEM_BF16] = NUM_BF16, [ELEM_F16] = NUM_F16};
    struct gpu_info info;
    if (gpu_describe(s->c.config.device_index, &info, NULL) != ST_OK)
        return 0;
    const double peak = gpu_peak_flops(&info, class_of[s->c.config.type]);
    fprintf(s->out, "peak %.17g sm%d%d\n", peak, info.major, info.minor);
    return peak;
}

/* Libraries start threads in their first run, so again after it. */
static void place_threads(struct session *s)
{
    const struct pinned *p = &s->pinned;
    if (!cpu_list)
        return;
    pinning_apply(cpu_list, s->c.config.threads, &s->pinned);
    fprintf(s->out, "pinned %d %d %s %s\n", p->openmp, p->openblas, p->cpus, p->other_cpus);
    s->guard = (struct guard){.root = "",
                              .threads = s->c.config.device == DEVICE_CPU ? p->openmp : 0,
                              .pinned = p->wish.count > 0,
                              .cpus = p->wish.count,
                              .cpu = p->wish.cpu};
}

static double tell_peak(const struct session *s)
{
    const char *isa;
    if (s->c.config.device == DEVICE_CUDA)
        return tell_device_peak(s);
    double peak = measure_fma_peak(s->c.config.threads, &isa);
    fprintf(s->out, "peak %.17g %s\n", peak, isa);
    return peak;
}

static enum status take_noise(struct session *s, struct fault *fault)
{
    struct generate_request *r = &s->c.request;
    TRY(load_noise(spec.noise, r, &s->noise, &s->extra_noise, fault));
    r->noise = s->noise;
    r->extra_noise = s->extra_noise;
    return ST_OK;
}

/* A sampled case needs the memory of one problem at a time, so what all need is not asked for. */
static enum status plan(struct session *s, bool check_memory, struct fault *fault)
{
    TRY(case_resolve(&spec, &s->c, fault));
    TRY(case_ready(&s->c, fault));
    TRY(case_prompts(&s->c, fault));
    TRY(case_images_load(spec.image, spec.last_image, false, &s->c.request, &s->images, fault));
    if (spec.scenario)
        TRY(prompt_variant_set(&s->variant, &s->c, 0, fault));
    if (spec.noise)
        TRY(take_noise(s, fault));
    place_threads(s);
    s->c.config.progress = tell_progress;
    s->c.config.user = s;
    s->c.request.sink = (struct generate_sink){.user = s, .frames = take_frames};
    if (model_ends_as_latents(s->c.request.model))
        s->c.request.sink.denoised = take_latents;
    if (dump_folder) {
        s->c.request.sink.frames_f32 = dump_rgb;
        s->c.request.sink.text = dump_rows;
        s->c.request.sink.denoised = dump_clip;
    }
    if (!(s->step_ns = calloc((size_t)s->c.request.steps, sizeof *s->step_ns)))
        return ST_NO_MEMORY;
    TRY(engine_new(&s->c.config, &s->engine, fault));
    TRY(engine_plan(s->engine, &s->c.request, check_memory, fault));
    tell_recipe(s);
    tell_work(s);
    tell_plugins(s);
    tell_tuned(s);
    fflush(s->out);
    return ST_OK;
}

static enum status prepare(struct session *s, struct fault *fault)
{
    TRY(plan(s, true, fault));
    TRY(verify_plan(s, fault));
    if (!strcmp(device_ran_on(), "emulated"))
        return fault_set(fault, ST_UNAVAILABLE,
                         "the kernels are right, and an emulated device is never timed");
    if (counter_names)
        TRY(counters_open(counter_names, COUNTERS_MULTIPLEXED, &s->counters, fault));
    tell_peak(s);
    return ST_OK;
}

/* Once from the prompts to the last frame of the last clip. */
static enum status execute(struct session *s, struct fault *fault)
{
    s->frames_hash = UINT64_C(0xcbf29ce484222325);
    return engine_execute(s->engine, &s->c.request, s->step_ns, fault);
}

/* What is in the clip: no two have the same, unless that is asked for, or noise comes from a file. */
static enum status turn_to(struct session *s, int64_t clip, struct fault *fault)
{
    struct generate_request *r = &s->c.request;
    if (spec.scenario)
        return prompt_variant_set(&s->variant, &s->c, clip, fault);
    if (!spec.noise)
        r->seed = spec.seed + (uint64_t)(clip * generate_clips(r)) * r->seed_step;
    return ST_OK;
}

static enum status sample(struct session *s, int64_t clip, struct fault *fault)
{
    struct guard_look look;
    const double begin = clock_seconds();
    TRY(turn_to(s, clip, fault));
    guard_begin(&s->guard);
    if (s->counters) /* one pass a clip, where events do not fit together */
        counters_start(s->counters, s->clips++ % counters_passes(s->counters));
    TRY(execute(s, fault));
    if (s->counters)
        counters_stop(s->counters);
    guard_end(&s->guard, &look);
    fputs("guard ", s->out);
    guard_print(&look, s->out);
    fprintf(s->out, "\ntook %.9g\n", clock_seconds() - begin);
    fprintf(s->out, "sample %" PRId64, engine_total_ns(s->engine));
    for (int i = 0; i < STAGE_COUNT; i++)
        fprintf(s->out, " %" PRId64, engine_stage(s->engine, (enum stage)i)->run_ns);
    for (int i = 0; i < STAGE_COUNT; i++)
        fprintf(s->out, " %" PRId64, engine_stage(s->engine, (enum stage)i)->load_ns);
    fprintf(s->out, " %016" PRIx64, s->frames_hash);
    for (int64_t i = 0; i < s->c.request.steps; i++)
        fprintf(s->out, " %" PRId64, s->step_ns[i]);
    putc('\n', s->out);
    return ST_OK;
}

static void tell_counters(const struct session *s)
{
    for (int i = 0; s->counters && i < counters_count(s->counters); i++) {
        fputs("counter ", s->out);
        counted_say(counters_at(s->counters, i), 1, s->out);
        fputc('\n', s->out);
    }
}

static void tell_host(const struct session *s)
{
    const struct stage_figures *f = engine_stage(s->engine, STAGE_DENOISE);
    if (s->c.config.device == DEVICE_CUDA)
        fprintf(s->out, "host %" PRId64 " %" PRId64 "\n", f->host_ns, f->graph_nodes);
}

static enum status serve(struct session *s, struct fault *fault)
{
    char line[64], nonfinite[512];
    int64_t clip;
    struct verdict again = {0};
    TRY(prepare(s, fault));
    TRY(execute(s, fault));
    case_describe_nonfinite(&s->c, nonfinite, sizeof nonfinite);
    if (nonfinite[0])
        return fault_set(fault, ST_NONFINITE, "%s", nonfinite);
    place_threads(s);
    fprintf(s->out, "first %" PRId64 " %016" PRIx64 "\nready\n", engine_total_ns(s->engine),
            s->frames_hash);
    fflush(s->out);
    while (fgets(line, sizeof line, stdin) && sscanf(line, "go %" SCNd64, &clip) == 1) {
        TRY(sample(s, clip, fault));
        fflush(s->out);
    }
    tell_counters(s);
    tell_peak(s);
    tell_host(s);
    fprintf(s->out, "resident %zu\n", host_peak_resident());
    TRY(check_plan(s, fresh_seed(), &again, fault));
    fprintf(s->out, "rechecked\nbye\n");
    return ST_OK;
}

static enum status serve_sampled(struct session *s, struct fault *fault)
{
    spec.residency = "stage"; /* reading weights is in no sampled time */
    TRY(plan(s, false, fault));
    const struct sample_job job = {.engine = s->engine,
                                   .threads = s->c.config.threads,
                                   .budget_s = sample_budget_s,
                                   .peak_flops = tell_peak(s),
                                   .seed = fresh_seed(),
                                   .out = s->out,
                                   .guard = &s->guard,
                                   .alive = tell_progress,
                                   .user = s};
    TRY(sample_serve(&job, fault));
    tell_peak(s);
    fprintf(s->out, "resident %zu\nbye\n", host_peak_resident());
    return ST_OK;
}

/* No kernel reaches this share of the multiply-adds' peak over a whole small clip with certainty. */
#define SHARE_OF_PEAK 0.05

/* Whether the clip may run here at all, in one sentence where not. */
static bool is_far(const struct session *s, double peak, char *why, size_t bytes)
{
    double flops = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        flops += engine_stage(s->engine, (enum stage)i)->flops;
    const double seconds = flops / (SHARE_OF_PEAK * peak);
    const size_t needed = engine_peak_bytes(s->engine), free = engine_available_bytes(s->engine);
    if (needed > free)
        snprintf(why, bytes, "our own clip would take %.3g GiB of memory, and %.3g are free",
                 (double)needed / (1 << 30), (double)free / (1 << 30));
    else if (within_s <= 0)
        snprintf(why, bytes, "our own clip was not asked for");
    else
        snprintf(why, bytes, "our own clip may take %.3g s, and --engine-check allows %.3g s",
                 seconds, within_s);
    return needed > free || !(seconds <= within_s);
}

static enum status serve_dump(struct session *s, struct fault *fault)
{
    char why[256];
    int cleared;
    s->fault = fault;
    TRY(plan(s, false, fault));
    if (is_far(s, tell_peak(s), why, sizeof why)) {
        fprintf(s->out, "far %s\nready\n", why);
        return ST_OK;
    }
    TRY(verify_plan(s, fault));
    TRY(dump_open(dump_folder, &s->c, &s->dump, fault));
    TRY(execute(s, fault));
    case_describe_nonfinite(&s->c, why, sizeof why);
    if (why[0])
        return fault_set(fault, ST_NONFINITE, "%s", why);
    struct dump *dump = s->dump;
    s->dump = NULL;
    TRY(dump_close(dump, true, &cleared, fault));
    fprintf(s->out, "first %" PRId64 " %016" PRIx64 "\nready\n", engine_total_ns(s->engine),
            s->frames_hash);
    return ST_OK;
}

int worker_pipeline(int argc, char **argv, struct fault *fault)
{
    struct session s = {.guard.root = ""};
    struct fault mine = {{0}};
    if (worker_take_line_out(&s.out, fault) != ST_OK)
        return EXIT_CHECK;
    enum status status = options_parse(options, argc, argv, NULL, NULL, &mine);
    if (status == ST_OK)
        status = replica_see(visible == CASE_UNSET ? -1 : (int)visible, &mine);
    if (status == ST_OK)
        status = dump_folder              ? serve_dump(&s, &mine)
                 : isnan(sample_budget_s) ? serve(&s, &mine)
                                          : serve_sampled(&s, &mine);
    if (status != ST_OK)
        fprintf(s.out, "fail %d %s\n", (int)status, mine.text[0] ? mine.text : "no reason given");
    fflush(s.out);
    int cleared;
    dump_close(s.dump, false, &cleared, &mine);
    counters_free(s.counters);
    engine_free(s.engine);
    case_images_free(&s.images);
    free(s.step_ns);
    free(s.noise);
    free(s.extra_noise);
    prompt_variant_free(&s.variant);
    return exit_code_of(status);
}
