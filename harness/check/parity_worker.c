// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* parity_worker.c   Errors of whole plans against the double reference, from one block to frames.
 *
 * The same noise and weights run through the reference and through each plan, three times over: a
 * transformer of one block for one step (block), the whole one for one step (step), and the whole
 * pipeline (final latent, frames). Plans in bf16 and f16 are held against what the reference itself
 * loses when every stored tensor is rounded to that type: at most 1 dB more. One block meets that
 * as it stands. Over steps, guidance and peaked attention amplify single roundings, so that two
 * equally good plans differ by several dB on one noise; the pipeline is therefore judged without
 * guidance, over several noises, and fails where its mean loss is surely, by two standard errors,
 * over 1 dB. Approximate plans get their figures and no gate. On a CUDA device the plans run there
 * and the reference, as ever, on the CPU.
 *
 *   out: plan NAME TYPE FILL DEVICE | served OP=VARIANT ...
 *        row BLOCK STEP LATENT PSNR GATE_LATENT GATE_PSNR STATUS REASON | fail STATUS REASON | bye
 */
#include "base/worker.h"
#include "check/verify_pipeline.h"
#include "cmd/commands.h"
#include "elem.h"
#include "engine/case.h"
#include "machine/device.h"

#include <stdlib.h>
#include <string.h>

static const char *glob, *device = "cpu";
static int64_t threads = 1;
static FILE *line_out;

static const struct option options[] = {
    {"--glob", "GLOB", OPTION_TEXT, &glob, ""},
    {"--threads", "N", OPTION_COUNT, &threads, ""},
    {"--device", "D", OPTION_TEXT, &device, ""},
    PLUGIN_OPTION,
    {0},
};

enum { BLOCK, STEP, PIPELINE, HALF_PIPELINE, LEVELS };
enum { FRAMES = PARITY_FRAMES, NOISES = PARITY_HALF_NOISES, PLANS_MAX = 16 };

/* How much of the model runs. Latents are enough where nothing is said of frames. */
static const struct level {
    int64_t layers, steps; /* layers 0: the model's own */
    double guidance;
    bool decode;
} levels[LEVELS] = {{1, 1, PARITY_GUIDANCE, false},
                    {0, 1, PARITY_GUIDANCE, false},
                    {0, PARITY_STEPS, PARITY_GUIDANCE, true},
                    {0, PARITY_STEPS, PARITY_HALF_GUIDANCE, true}};

/* ---- one run ---- */

struct result {
    float *latents, *frames;
    int64_t latent_elems, frame_elems;
    bool decode, complete, exact; /* exact: the plan it came of */
};

static enum status keep_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct result *r = user;
    if (index < count)
        return ST_OK;
    memcpy(r->latents, latents, (size_t)r->latent_elems * sizeof *latents);
    r->complete = !r->decode;
    return r->decode ? ST_OK : ST_INTERRUPTED; /* the rest of the pipeline is not wanted */
}

static enum status keep_frames(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct result *r = user;
    int64_t frame = r->frame_elems / FRAMES;
    memcpy(r->frames + first * frame, rgb, (size_t)(count * frame) * sizeof *rgb);
    r->complete = first + count == FRAMES;
    return ST_OK;
}

static void result_free(struct result *r)
{
    free(r->latents);
    free(r->frames);
    memset(r, 0, sizeof *r);
}

static enum status result_new(const struct geometry *g, bool decode, struct result *r)
{
    r->decode = decode;
    r->latent_elems = g->C * g->T * g->H * g->W;
    r->frame_elems = g->frames * g->height * g->width * 3;
    r->latents = calloc((size_t)r->latent_elems, sizeof *r->latents);
    r->frames = calloc((size_t)r->frame_elems, sizeof *r->frames);
    return r->latents && r->frames ? ST_OK : ST_NO_MEMORY;
}

/* The plan as it runs: libraries have been asked by now what they take. The last one told, of the
 * whole pipeline, is the one that counts. */
static void tell_served(const struct engine *engine)
{
    char served[2048];
    engine_plan_summary(engine, served, sizeof served);
    fprintf(line_out, "served %s\n", served);
    fflush(line_out);
}

static enum status execute(const struct pipeline_case *c, struct result *r, struct fault *fault)
{
    struct engine *engine;
    TRY(engine_new(&c->config, &engine, fault));
    enum status s = engine_plan(engine, &c->request, true, fault);
    r->exact = engine_plan_exact(engine);
    if (s == ST_OK) {
        tell_served(engine);
        s = engine_execute(engine, &c->request, NULL, fault);
    }
    engine_free(engine);
    if (r->complete) {
        fault->text[0] = 0;
        return ST_OK;
    }
    return s;
}

/* What is run: everything but the plan and its type is the same on both sides. */
struct setting {
    const char *kernels, *type;
    enum fill fill;
    const char *device;
};

static const char *name_of(enum fill fill) { return fill == FILL_OUTLIER ? "outlier" : "normal"; }

/* What it is at from here on, should it die. */
static void tell_plan(const struct setting *what)
{
    fprintf(line_out, "plan %s %s %s %s\n", what->kernels, what->type, name_of(what->fill),
            what->device);
    fflush(line_out);
}

static enum status case_of(const struct setting *what, const struct level *level, uint64_t noise,
                           struct pipeline_case *c, struct fault *fault)
{
    struct case_spec s = CASE_DEFAULTS;
    s.model = PARITY_MODEL;
    s.prompt = PARITY_PROMPT;
    s.size = (struct size2){PARITY_WIDTH, PARITY_HEIGHT};
    s.frames = FRAMES;
    s.steps = level->steps;
    s.threads = threads;
    s.dtype = what->type;
    s.kernels = what->kernels;
    s.device = what->device;
    s.fill = name_of(what->fill);
    s.guidance.first = level->guidance;
    s.seed = PARITY_SEED + noise;
    TRY(case_resolve(&s, c, fault));
    c->config.quiet = true;
    return ST_OK;
}

static enum status run_plan(const struct setting *what, const struct level *level, uint64_t noise,
                            struct result *r, struct fault *fault)
{
    struct pipeline_case c;
    TRY(case_of(what, level, noise, &c, fault));
    struct model_config model = *c.request.model;
    if (level->layers)
        model.transformer.layers = level->layers;
    c.request.model = &model;
    TRY(result_new(&c.request.geometry, level->decode, r));
    c.request.sink =
        (struct generate_sink){.user = r, .latents = keep_latents, .frames_f32 = keep_frames};
    return execute(&c, r, fault);
}

/* Plans that were judged already, by what serves each problem: two names may mean the same. */
struct seen {
    uint64_t hash[64];
    int count;
};

/* True too where the plan cannot be made: judging it says why. */
static bool is_new(const struct setting *what, struct seen *seen)
{
    struct pipeline_case c;
    struct engine *engine = NULL;
    struct fault ignored = {{0}};
    enum status s = case_of(what, &levels[PIPELINE], 0, &c, &ignored);
    if (s == ST_OK)
        s = engine_new(&c.config, &engine, &ignored);
    if (s == ST_OK)
        s = engine_plan(engine, &c.request, false, &ignored);
    uint64_t hash = s == ST_OK ? engine_plan_hash(engine) : 0;
    engine_free(engine);
    for (int i = 0; i < seen->count && s == ST_OK; i++)
        if (seen->hash[i] == hash)
            return false;
    if (s == ST_OK && seen->count < (int)(sizeof seen->hash / sizeof *seen->hash))
        seen->hash[seen->count++] = hash;
    return true;
}

/* ---- errors of a plan ---- */

static double relative_l2(const float *got, const float *want, int64_t n)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d;
        size += (double)want[i] * (double)want[i];
    }
    return sqrt(error / size);
}

static double psnr_db(const float *got, const float *want, int64_t n)
{
    double error = 0;
    for (int64_t i = 0; i < n; i++)
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    return error > 0 ? -10 * log10(error / (double)n) : (error == 0 ? 200 : NAN);
}

/* The reference's results that everything is compared with. */
struct truth {
    struct result level[HALF_PIPELINE], half[NOISES];
};

struct errors {
    double block, step, latent[NOISES], psnr[NOISES];
    bool exact;
};

static enum status make_truth(enum fill fill, struct truth *t, struct fault *fault)
{
    struct setting reference = {"reference", "f32", fill, "cpu"};
    tell_plan(&reference);
    for (int i = BLOCK; i < HALF_PIPELINE; i++)
        TRY(run_plan(&reference, &levels[i], 0, &t->level[i], fault));
    for (int n = 0; n < NOISES && !glob; n++)
        TRY(run_plan(&reference, &levels[HALF_PIPELINE], (uint64_t)n, &t->half[n], fault));
    return ST_OK;
}

static void truth_free(struct truth *t)
{
    for (int i = BLOCK; i < HALF_PIPELINE; i++)
        result_free(&t->level[i]);
    for (int n = 0; n < NOISES; n++)
        result_free(&t->half[n]);
}

static enum status level_error(const struct setting *what, int level, uint64_t noise,
                               const struct result *want, double *l2, double *psnr, bool *exact,
                               struct fault *fault)
{
    struct result r = {0};
    enum status s = run_plan(what, &levels[level], noise, &r, fault);
    if (s == ST_OK) {
        *l2 = relative_l2(r.latents, want->latents, r.latent_elems);
        *psnr = psnr_db(r.frames, want->frames, r.frame_elems);
        *exact = r.exact;
    }
    result_free(&r);
    return s;
}

/* f32 plans run the pipeline once, with guidance; half types over all noises, without. */
static enum status measure(const struct setting *what, const struct truth *truth, bool half,
                           struct errors *e, struct fault *fault)
{
    double unused;
    TRY(level_error(what, BLOCK, 0, &truth->level[BLOCK], &e->block, &unused, &e->exact, fault));
    TRY(level_error(what, STEP, 0, &truth->level[STEP], &e->step, &unused, &e->exact, fault));
    if (!half)
        return level_error(what, PIPELINE, 0, &truth->level[PIPELINE], &e->latent[0], &e->psnr[0],
                           &e->exact, fault);
    for (int n = 0; n < NOISES; n++)
        TRY(level_error(what, HALF_PIPELINE, (uint64_t)n, &truth->half[n], &e->latent[n],
                        &e->psnr[n], &e->exact, fault));
    return ST_OK;
}

/* ---- gates ---- */

static double mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i];
    return sum / n;
}

static double standard_error(const double *x, int n)
{
    double m = mean(x, n), sum = 0;
    for (int i = 0; i < n; i++)
        sum += (x[i] - m) * (x[i] - m);
    return n > 1 ? sqrt(sum / (n - 1) / n) : 0;
}

/* The figures of a plan and what they may be. Latent errors are averaged in dB, as the gate is. */
struct verdict {
    double latent, psnr, gate_block, gate_step, gate_latent, gate_psnr;
};

/* f32: 1e-4 in latents and 60 dB in frames. */
static struct verdict against_truth(const struct errors *e)
{
    const double l2 = 1e-4;
    return (struct verdict){e->latent[0], e->psnr[0], l2, l2, l2, 60};
}

/* Half types: at most 1 dB worse than the rounded reference, surely so over the noises. */
static struct verdict against_rounded(const struct errors *e, const struct errors *rounded)
{
    double latent_db[NOISES], rounded_db[NOISES], loss[2][NOISES];
    for (int n = 0; n < NOISES; n++) {
        latent_db[n] = 20 * log10(e->latent[n]);
        rounded_db[n] = 20 * log10(rounded->latent[n]);
        loss[0][n] = latent_db[n] - rounded_db[n];
        loss[1][n] = rounded->psnr[n] - e->psnr[n];
    }
    double room[2];
    for (int k = 0; k < 2; k++)
        room[k] = 1 + 2 * standard_error(loss[k], NOISES);
    return (struct verdict){.latent = pow(10, mean(latent_db, NOISES) / 20),
                            .psnr = mean(e->psnr, NOISES),
                            .gate_block = pow(10, 1 / 20.0) * rounded->block,
                            .gate_step = 2 * rounded->step,
                            .gate_latent = pow(10, (mean(rounded_db, NOISES) + room[0]) / 20),
                            .gate_psnr = mean(rounded->psnr, NOISES) - room[1]};
}

/* Names the first gate that is missed; a figure that is not a number misses it. */
static enum status decide(const struct errors *e, const struct verdict *v, struct fault *fault)
{
    const struct {
        const char *what;
        double error, gate;
    } l2[] = {{"one block", e->block, v->gate_block},
              {"one step", e->step, v->gate_step},
              {"the final latent", v->latent, v->gate_latent}};
    for (int i = 0; i < 3; i++)
        if (!(l2[i].error <= l2[i].gate))
            return fault_set(fault, ST_WRONG,
                             "%s is off by a relative L2 error of %.3g where %.3g is allowed",
                             l2[i].what, l2[i].error, l2[i].gate);
    if (!(v->psnr >= v->gate_psnr))
        return fault_set(fault, ST_WRONG,
                         "frames have a PSNR of %.4g dB where %.4g dB is the least", v->psnr,
                         v->gate_psnr);
    return ST_OK;
}

static void judge(const struct setting *what, const struct truth *truth,
                  const struct errors *rounded, enum status *worst)
{
    struct errors e = {0};
    struct verdict v = {0};
    struct fault fault = {{0}};
    tell_plan(what);
    enum status s = measure(what, truth, rounded != NULL, &e, &fault);
    if (s == ST_OK) {
        v = rounded ? against_rounded(&e, rounded) : against_truth(&e);
        if (e.exact)
            s = decide(&e, &v, &fault);
    }
    if (!e.exact) {
        v.gate_latent = INFINITY;
        v.gate_psnr = -INFINITY;
    }
    if (exit_code_of(s) == EXIT_CHECK || exit_code_of(s) == EXIT_INPUT)
        *worst = s;
    fprintf(line_out, "row %.6g %.6g %.6g %.6g %.6g %.6g %d %s\n", e.block, e.step, v.latent,
            v.psnr, v.gate_latent, v.gate_psnr, (int)s, fault.text);
    fflush(line_out);
}

static bool runs_here(const struct registry_entry *e)
{
    enum device_kind kind = strcmp(device, "cpu") ? DEVICE_CUDA : DEVICE_CPU;
    return registry_usable(e, NULL) == ST_OK && needs_device(e->variant->needs) == kind;
}

/* An error of the device sticks to this process: every plan after it would fail for nothing. */
static bool lost(const enum status *worst) { return *worst == ST_DEVICE; }

/* Every usable variant that the glob names, alone in an otherwise automatic plan. */
static void judge_variants(enum fill fill, const struct truth *truth, enum status *worst)
{
    int count;
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count && !lost(worst); i++) {
        char name[160], plan[160];
        struct setting what = {plan, "f32", fill, device};
        snprintf(name, sizeof name, "%s/%s", all[i].op, all[i].name);
        snprintf(plan, sizeof plan, "%s=%s", all[i].op, all[i].name);
        if (runs_here(&all[i]) && (glob_match(glob, name) || glob_match(glob, all[i].op) ||
                                   glob_match(glob, all[i].name)))
            judge(&what, truth, NULL, worst);
    }
}

/* Plans in f32, then in either half type. */
struct plans {
    const char *name[PLANS_MAX];
    int count, half; /* of the half types the first ones */
};

static enum status judge_half_types(enum fill fill, const struct truth *truth,
                                    const struct plans *plans, enum status *worst,
                                    struct fault *fault)
{
    static const char *const types[] = {"bf16", "f16"};
    for (int t = 0; t < 2 && !lost(worst); t++) {
        struct setting reference = {"reference", types[t], fill, "cpu"};
        struct errors rounded;
        struct seen seen = {.count = 0};
        tell_plan(&reference);
        TRY(measure(&reference, truth, true, &rounded, fault));
        for (int i = 0; i < plans->half && !lost(worst); i++) {
            struct setting what = {plans->name[i], types[t], fill, device};
            if (is_new(&what, &seen))
                judge(&what, truth, &rounded, worst);
        }
    }
    return ST_OK;
}

/* Targets beside the plain one and the libraries that run here: each is a plan that `auto` may
 * hide. */
static int other_targets(const char *plain, const char *target[], int room)
{
    int entries, count = 0;
    const struct registry_entry *all = registry(&entries);
    for (int i = 0; i < entries; i++) {
        bool known = !strcmp(all[i].target, plain) || variant_number(all[i].name) == 0 ||
                     all[i].plugin_hash || !runs_here(&all[i]);
        for (int k = 0; k < count; k++)
            known = known || !strcmp(target[k], all[i].target);
        if (!known && count < room)
            target[count++] = all[i].target;
    }
    return count;
}

/* On the CPU all kernels but a few take the half types by the plain way: auto is enough. */
static void plans_find(struct plans *p)
{
    bool cuda = strcmp(device, "cpu") != 0;
    const char *plain = cuda ? "cuda" : "c";
    *p = (struct plans){.name = {"auto", "base", plain}};
    p->count = 3 + other_targets(plain, p->name + 3, PLANS_MAX - 3);
    p->half = cuda ? p->count : 1;
}

static enum status judge_plans(enum fill fill, const struct truth *truth, enum status *worst,
                               struct fault *fault)
{
    struct plans plans;
    struct seen seen = {.count = 0};
    plans_find(&plans);
    for (int i = 0; i < plans.count && !lost(worst); i++) {
        struct setting what = {plans.name[i], "f32", fill, device};
        if (is_new(&what, &seen))
            judge(&what, truth, NULL, worst);
    }
    return judge_half_types(fill, truth, &plans, worst, fault);
}

static enum status judge_fill(enum fill fill, enum status *worst, struct fault *fault)
{
    struct truth truth = {{{0}}, {{0}}};
    enum status s = make_truth(fill, &truth, fault);
    if (s == ST_OK)
        s = device_choose(device, fault); /* the reference chose the CPU */
    if (s == ST_OK && glob)
        judge_variants(fill, &truth, worst);
    else if (s == ST_OK)
        s = judge_plans(fill, &truth, worst, fault);
    truth_free(&truth);
    return s;
}

int worker_parity(int argc, char **argv, struct fault *fault)
{
    struct fault mine = {{0}};
    enum status worst = ST_OK;
    if (worker_take_line_out(&line_out, fault) != ST_OK)
        return EXIT_CHECK;
    enum status s = options_parse(options, argc, argv, NULL, NULL, &mine);
    if (s == ST_OK)
        s = judge_fill(FILL_NORMAL, &worst, &mine);
    if (s == ST_OK && !glob && !lost(&worst))
        s = judge_fill(FILL_OUTLIER, &worst, &mine);
    if (s != ST_OK)
        fprintf(line_out, "fail %d %s\n", (int)s, mine.text);
    fprintf(line_out, "bye\n");
    fflush(line_out);
    return exit_code_of(s != ST_OK ? s : worst);
}
