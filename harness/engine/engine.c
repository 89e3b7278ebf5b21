// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine.c   Life of an engine: trace, memory plan, execution, figures. */
#include "base/patchmark.h"
#include "engine/engine_state.h"
#include "machine/host.h"
#include "model/clip.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *copy_text(const char *text) { return text ? strdup(text) : NULL; }

enum status engine_new(const struct engine_config *config, struct engine **out, struct fault *fault)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the engine");
    e->config = *config;
    e->config.quiet = config->quiet || !isatty(STDERR_FILENO);
    e->kernels = copy_text(config->choice.kernels);
    e->plan_file = copy_text(config->choice.plan_file);
    e->tuned = copy_text(config->choice.tuned);
    e->config.choice = (struct kernel_choice){e->kernels, e->plan_file, e->tuned};
    engine_ops_fill(e);
    enum status s = choice_new(&e->config, &e->choice, fault);
    if (s != ST_OK) {
        engine_free(e);
        return s;
    }
    *out = e;
    return ST_OK;
}

/* Everything that belongs to one traced request. */
static void forget_trace(struct engine *e)
{
    for (int32_t i = 0; i < e->sites; i++)
        slab_drop(e, &e->site[i].state);
    for (int i = 0; i < STAGE_COUNT; i++)
        weights_forget(&e->stage[i]);
    for (int i = 0; i <= STAGE_COUNT; i++) {
        arena_free(&e->arena[i]);
        slab_drop(e, &e->slab[i]);
    }
    weights_leave(e);
    for (int i = 0; i < STAGE_COUNT; i++)
        slab_drop(e, &e->kept[i]);
    slab_drop(e, &e->scratch);
    free(e->site);
    free(e->bucket);
    free(e->trace);
    e->site = NULL;
    e->bucket = NULL;
    e->trace = NULL;
    e->sites = e->site_room = 0;
    e->buckets = 0;
    e->flops_total = 0;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    device_close(engine);
    forget_trace(engine);
    choice_free(engine->choice);
    free(engine->kernels);
    free(engine->plan_file);
    free(engine->tuned);
    free(engine);
}

static void reset(struct engine *e, enum mode mode)
{
    e->ops.mode = mode;
    e->fault.text[0] = 0;
    e->current = OUTSIDE;
    e->step = 0;
    for (int i = 0; i <= STAGE_COUNT; i++)
        arena_clear(&e->arena[i]);
}

static enum status pass_on(const struct engine *e, enum status s, struct fault *fault)
{
    if (s == ST_OK)
        return s;
    if (e->fault.text[0])
        return fault_set(fault, s, "%s", e->fault.text);
    return fault_set(fault, s, "%s",
                     s == ST_NO_MEMORY ? "no memory for the host's own buffers"
                                       : "the generator stopped without a reason");
}

size_t engine_peak_bytes(const struct engine *engine)
{
    return engine->residency_bytes[engine->residency];
}

/* What the code of kernels and libraries takes of a device beside the slabs. */
#define DEVICE_CODE_BYTES ((size_t)256 << 20)

/* What the generator and its hooks hold on the host beside the engine's slabs: latents in two
 * layouts, the noise, and frames. */
static size_t host_bytes(const struct generate_request *r)
{
    const struct geometry *g = &r->geometry;
    size_t latent = (size_t)(generate_clips(r) * g->C * g->T * g->H * g->W) * sizeof(float);
    size_t frames = r->model->vae.base ? (size_t)clip_host_bytes(r->model, g, &r->tiling,
                                                                 r->sink.frames_f32 != NULL)
                                       : 0;
    return 3 * latent + frames;
}

static enum status no_room(const struct engine *e, const char *where, size_t needed,
                           size_t available, struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY,
                     "this needs %.2f GiB of %s (weights by plan %s) and %.2f GiB are %s;"
                     " make the size, the frames or the model smaller, or try --dtype bf16%s",
                     (double)needed / (1 << 30), where, residency_names[e->residency],
                     (double)available / (1 << 30), on_device(e) ? "free" : "available",
                     e->residency == RESIDENCY_BLOCK_STREAM ? "" : " or --residency block-stream");
}

static enum status check_host(const struct engine *e, const struct generate_request *r,
                              struct fault *fault)
{
    size_t needed = (on_device(e) ? 0 : engine_peak_bytes(e)) + host_bytes(r);
    size_t available = host_memory_available();
    return needed <= available ? ST_OK : no_room(e, "memory", needed, available, fault);
}

size_t engine_available_bytes(const struct engine *engine)
{
    size_t bytes = 0;
    if (!on_device(engine))
        return host_memory_available();
    if (engine->gpu && gpu_memory_free(engine->gpu, &bytes, NULL) != ST_OK)
        return 0;
    return bytes;
}

static enum status check_device(struct engine *e, struct fault *fault)
{
    size_t needed = engine_peak_bytes(e) + DEVICE_CODE_BYTES, available = 0;
    TRY(gpu_memory_free(e->gpu, &available, fault));
    return needed <= available ? ST_OK
                               : no_room(e, "the CUDA device's memory", needed, available, fault);
}

/* What is free for the engine's slabs; a device that is not open may have any size. */
static size_t room_for(const struct engine *e, const struct generate_request *r)
{
    size_t bytes = on_device(e) && !e->gpu ? SIZE_MAX : engine_available_bytes(e);
    size_t beside = on_device(e) ? DEVICE_CODE_BYTES : host_bytes(r);
    return bytes > beside ? bytes - beside : 0;
}

static void plan_weights(struct engine *e, const struct generate_request *r)
{
    e->experts = r->model->boundary > 0;
    residency_measure(e);
    residency_choose(e, room_for(e, r));
    e->flops_total = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        e->flops_total += e->stage[i].figures.flops;
}

enum status engine_plan(struct engine *engine, const struct generate_request *request,
                        bool check_memory, struct fault *fault)
{
    bool changed = false;
    do {
        forget_trace(engine);
        reset(engine, MODE_TRACE);
        TRY(pass_on(engine, generate(&engine->ops, request), fault));
        TRY(pass_on(engine, weights_check(engine), fault));
        if (check_memory)
            TRY(pass_on(engine, libraries_try(engine, &changed), fault));
    } while (changed);
    if (check_memory)
        TRY(pass_on(engine, device_open(engine), fault));
    plan_weights(engine, request);
    if (check_memory)
        TRY(check_host(engine, request, fault));
    return check_memory && on_device(engine) ? check_device(engine, fault) : ST_OK;
}

enum status engine_count(struct engine *engine, const struct generate_request *request,
                         struct fault *fault)
{
    forget_trace(engine);
    reset(engine, MODE_COUNT);
    return pass_on(engine, generate(&engine->ops, request), fault);
}

const struct stage_figures *engine_stage(const struct engine *engine, enum stage stage)
{
    return &engine->stage[stage].figures;
}

/* ---- hooks: the caller's, timed, so that watching costs the clip no time ---- */

struct timed_sink {
    struct engine *engine;
    const struct generate_sink *sink;
};

static enum status timed(struct timed_sink *t, int64_t start, enum status s)
{
    t->engine->hooks_ns += clock_ns() - start;
    return s;
}

static enum status timed_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(), t->sink->frames(t->sink->user, rgb, first, count));
}

static enum status timed_frames_f32(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(), t->sink->frames_f32(t->sink->user, rgb, first, count));
}

static enum status timed_text(void *user, const float *prompt, const float *negative)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(), t->sink->text(t->sink->user, prompt, negative));
}

static enum status timed_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(), t->sink->latents(t->sink->user, latents, index, count));
}

static enum status timed_denoised(void *user, const float *latents)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(), t->sink->denoised(t->sink->user, latents));
}

static enum status timed_image(void *user, const float *rows, int64_t count, const float *condition,
                               int64_t channels, int64_t frames)
{
    struct timed_sink *t = user;
    return timed(t, clock_ns(),
                 t->sink->image(t->sink->user, rows, count, condition, channels, frames));
}

static struct generate_sink timed_sink_of(struct timed_sink *t)
{
    return (struct generate_sink){
        .user = t,
        .frames = t->sink->frames ? timed_frames : NULL,
        .frames_f32 = t->sink->frames_f32 ? timed_frames_f32 : NULL,
        .text = t->sink->text ? timed_text : NULL,
        .image = t->sink->image ? timed_image : NULL,
        .latents = t->sink->latents ? timed_latents : NULL,
        .denoised = t->sink->denoised ? timed_denoised : NULL,
    };
}

enum status engine_execute(struct engine *engine, const struct generate_request *request,
                           int64_t *step_ns, struct fault *fault)
{
    reset(engine, MODE_EXECUTE);
    struct timed_sink t = {engine, &request->sink};
    struct generate_request watched = *request;
    watched.sink = timed_sink_of(&t);
    engine->step_ns = step_ns;
    engine->hooks_ns = 0;
    engine->flops_done = 0;
    engine->started_ns = clock_ns();
    for (int32_t i = 0; i < engine->sites; i++)
        engine->site[i].run_ns = 0;
    for (int i = 0; i < STAGE_COUNT; i++) {
        struct stage_figures *f = &engine->stage[i].figures;
        f->load_ns = f->run_ns = f->host_ns = f->graph_nodes = 0;
    }
    TRY(pass_on(engine, device_open(engine), fault));
    if (engine->arena[OUTSIDE].peak_bytes && !engine->slab[OUTSIDE])
        TRY(pass_on(engine,
                    slab_take(engine, &engine->slab[OUTSIDE], engine->arena[OUTSIDE].peak_bytes),
                    fault));
    enum status s = generate(&engine->ops, &watched);
    engine->total_ns = clock_ns() - engine->started_ns - engine->hooks_ns;
    for (int i = 0; i < STAGE_COUNT; i++)
        engine->total_ns -= engine->stage[i].figures.load_ns;
    progress_show(engine, true);
    engine->step_ns = NULL;
    return pass_on(engine, s, fault);
}

int64_t engine_total_ns(const struct engine *engine) { return engine->total_ns; }

const struct traced_call *engine_trace(const struct engine *engine, int64_t *count)
{
    struct engine *e = (struct engine *)engine;
    struct traced_call *trace = realloc(e->trace, ((size_t)e->sites + 1) * sizeof *trace);
    *count = 0;
    if (!trace)
        return NULL;
    e->trace = trace;
    for (int32_t i = 0; i < e->sites; i++) {
        const struct site *s = &e->site[i];
        if (s->resolved.serve != SERVE_EXPAND)
            trace[(*count)++] = (struct traced_call){.problem = s->problem,
                                                     .stage = s->stage,
                                                     .served_by = resolved_name(&s->resolved),
                                                     .entry = s->resolved.entry,
                                                     .knob = s->resolved.knob,
                                                     .calls = s->calls,
                                                     .flops = s->flops,
                                                     .run_ns = s->run_ns};
    }
    return trace;
}
