// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* parity_worker.c   Errors of whole plans against the double reference, from one block to frames.
 *
 * The same noise and weights run through the reference and through each plan, three times over: a
 * transformer of one block for one step (block), the whole one for one step (step), and the whole
 * pipeline (final latent, frames). Plans in bf16 and f16 are held against what the reference itself
 * loses when every stored tensor is rounded to that type.
 *
 *   out: plan NAME | row NAME TYPE FILL BLOCK STEP LATENT PSNR GATE_LATENT GATE_PSNR STATUS | bye */
#include "case.h"
#include "commands.h"
#include "elem.h"
#include "verify_pipeline.h"

#include <stdlib.h>
#include <string.h>

static const char *glob;
static int64_t threads = 1;
static const char *plugin;

static const struct option options[] = {
    {"--glob", "GLOB", OPTION_TEXT, &glob, ""},
    {"--threads", "N", OPTION_COUNT, &threads, ""},
    {"--plugin", "FILE.so", OPTION_TEXT, &plugin, ""},
    {0},
};

/* Small enough for the double reference, with a tail to crop in every direction and two chunks. */
enum { WIDTH = 40, HEIGHT = 24, FRAMES = 4, STEPS = 3 };

struct result {
    float *latents, *frames;
    int64_t latent_elems, frame_elems, written;
};

static enum status keep_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct result *r = user;
    if (index == count)
        memcpy(r->latents, latents, (size_t)r->latent_elems * sizeof *latents);
    return ST_OK;
}

static enum status keep_frames(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct result *r = user;
    int64_t frame = r->frame_elems / FRAMES;
    memcpy(r->frames + first * frame, rgb, (size_t)(count * frame) * sizeof *rgb);
    r->written += count;
    return ST_OK;
}

static void result_free(struct result *r)
{
    free(r->latents);
    free(r->frames);
    memset(r, 0, sizeof *r);
}

static enum status result_new(const struct geometry *g, struct result *r)
{
    r->latent_elems = g->C * g->T * g->H * g->W;
    r->frame_elems = g->frames * g->height * g->width * 3;
    r->latents = calloc((size_t)r->latent_elems, sizeof *r->latents);
    r->frames = calloc((size_t)r->frame_elems, sizeof *r->frames);
    return r->latents && r->frames ? ST_OK : ST_NO_MEMORY;
}

/* One level of the comparison: how much of the model runs. */
struct level {
    int64_t layers;                 /* 0: the model's own */
    int64_t steps;
};
enum { BLOCK, STEP, PIPELINE, LEVELS };
static const struct level levels[LEVELS] = {{1, 1}, {0, 1}, {0, STEPS}};

static enum status run_plan(const char *kernels, const char *type, enum fill fill,
                            const struct level *level, struct result *r, struct fault *fault)
{
    struct case_spec s = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    s.prompt = "a red ball rolls to the left";
    s.size = (struct size2){WIDTH, HEIGHT};
    s.frames = FRAMES;
    s.steps = level->steps;
    s.threads = threads;
    s.dtype = type;
    s.kernels = kernels;
    s.fill = fill == FILL_OUTLIER ? "outlier" : "normal";
    TRY(case_resolve(&s, &c, fault));
    struct model_config model = *c.request.model;
    if (level->layers)
        model.transformer.layers = level->layers;
    c.request.model = &model;
    c.config.quiet = true;
    TRY(result_new(&c.request.geometry, r));
    c.request.sink = (struct generate_sink){.user = r, .latents = keep_latents, .frames_f32 = keep_frames};
    TRY(engine_new(&c.config, &engine, fault));
    enum status status = engine_plan(engine, &c.request, true, fault);
    if (status == ST_OK)
        status = engine_execute(engine, &c.request, NULL, fault);
    engine_free(engine);
    return status;
}

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

/* Errors of one plan at every level. */
struct errors {
    double l2[LEVELS], psnr;
};

static enum status measure(const char *kernels, const char *type, enum fill fill,
                           const struct result truth[LEVELS], struct errors *out, struct fault *fault)
{
    for (int i = 0; i < LEVELS; i++) {
        struct result r = {0};
        enum status s = run_plan(kernels, type, fill, &levels[i], &r, fault);
        if (s == ST_OK) {
            out->l2[i] = relative_l2(r.latents, truth[i].latents, r.latent_elems);
            out->psnr = psnr_db(r.frames, truth[i].frames, r.frame_elems);
        }
        result_free(&r);
        TRY(s);
    }
    return ST_OK;
}

/* f32 plans: 60 dB and 1e-4. Half types: at most 1 dB worse than the reference rounded to the type,
 * in latents and in frames. */
static void gates(const struct errors *rounded, double gate_l2[LEVELS], double *gate_psnr)
{
    const double one_db = 1.1220184543019633;
    for (int i = 0; i < LEVELS; i++)
        gate_l2[i] = rounded ? rounded->l2[i] * one_db : 1e-4;
    *gate_psnr = rounded ? rounded->psnr - 1 : 60;
}

static bool passes(const struct errors *e, const double gate_l2[LEVELS], double gate_psnr)
{
    bool ok = e->psnr >= gate_psnr;
    for (int i = 0; i < LEVELS; i++)
        ok = ok && e->l2[i] <= gate_l2[i];
    return ok;
}

static void judge(const char *kernels, const char *type, enum fill fill,
                  const struct result truth[LEVELS], const struct errors *rounded, enum status *worst)
{
    struct errors e = {{0}, 0};
    double gate_l2[LEVELS], gate_psnr;
    struct fault fault = {{0}};
    printf("plan %s %s\n", kernels, type);
    fflush(stdout);
    enum status s = measure(kernels, type, fill, truth, &e, &fault);
    gates(rounded, gate_l2, &gate_psnr);
    if (s == ST_OK && !passes(&e, gate_l2, gate_psnr))
        s = ST_WRONG;
    if (s != ST_OK && exit_code_of(s) != EXIT_NOTHING)
        *worst = s;
    printf("row %s %s %s %.6g %.6g %.6g %.6g %.6g %.6g %d %s\n", kernels, type,
           fill == FILL_OUTLIER ? "outlier" : "normal", e.l2[BLOCK], e.l2[STEP], e.l2[PIPELINE], e.psnr,
           gate_l2[PIPELINE], gate_psnr, (int)s, fault.text);
    fflush(stdout);
}

/* Every usable variant that the glob names, alone in an otherwise automatic plan. */
static void judge_variants(const char *type, enum fill fill, const struct result truth[LEVELS],
                           const struct errors *rounded, enum status *worst)
{
    int count;
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count; i++) {
        char name[160], plan[160];
        snprintf(name, sizeof name, "%s/%s", all[i].op, all[i].name);
        snprintf(plan, sizeof plan, "%s=%s", all[i].op, all[i].name);
        if (registry_usable(&all[i], NULL) == ST_OK &&
            (glob_match(glob, name) || glob_match(glob, all[i].op) || glob_match(glob, all[i].name)))
            judge(plan, type, fill, truth, rounded, worst);
    }
}

static enum status judge_fill(enum fill fill, enum status *worst, struct fault *fault)
{
    static const char *const plans[] = {"auto", "base", "c"};
    static const char *const types[] = {"f32", "bf16", "f16"};
    struct result truth[LEVELS] = {{0}};
    enum status s = ST_OK;
    for (int i = 0; s == ST_OK && i < LEVELS; i++)
        s = run_plan("reference", "f32", fill, &levels[i], &truth[i], fault);
    for (int t = 0; s == ST_OK && t < 3; t++) {
        struct errors rounded;
        if (t > 0)
            s = measure("reference", types[t], fill, truth, &rounded, fault);
        for (int i = 0; s == ST_OK && !glob && i < (t ? 1 : 3); i++)
            judge(plans[i], types[t], fill, truth, t ? &rounded : NULL, worst);
        if (s == ST_OK && glob && t == 0)
            judge_variants(types[t], fill, truth, NULL, worst);
        if (glob)
            break;
    }
    for (int i = 0; i < LEVELS; i++)
        result_free(&truth[i]);
    return s;
}

int worker_parity(int argc, char **argv, struct fault *fault)
{
    struct fault mine = {{0}};
    enum status worst = ST_OK;
    (void)fault;
    enum status s = options_parse(options, argc, argv, NULL, NULL, &mine);
    if (s == ST_OK)
        s = case_load_plugins(plugin, &mine);
    if (s == ST_OK)
        s = judge_fill(FILL_NORMAL, &worst, &mine);
    if (s == ST_OK && !glob)
        s = judge_fill(FILL_OUTLIER, &worst, &mine);
    if (s != ST_OK)
        printf("fail %d %s\n", (int)s, mine.text);
    printf("bye\n");
    fflush(stdout);
    return exit_code_of(s != ST_OK ? s : worst);
}
