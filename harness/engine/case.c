// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* case.c   From flags to a generate_request and an engine_config, every refusal in one sentence. */
#include "engine/case.h"
#include "elem.h"
#include "engine/case_geometry.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "model/denoiser.h"
#include "model/dit.h"
#include "model/sampler.h"
#include "records/record.h"
#include "tune/tuned.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const stage_names[STAGE_COUNT] = {
    [STAGE_TEXT] = "text",
    [STAGE_IMAGE] = "image",
    [STAGE_ENCODE] = "encode",
    [STAGE_DENOISE] = "denoise",
    [STAGE_DENOISE_LOW] = "denoise_low",
    [STAGE_DECODE] = "decode",
};

bool stage_expected(const struct model_config *model, enum stage stage)
{
    switch (stage) {
    case STAGE_TEXT: return model->text.layers > 0;
    case STAGE_IMAGE: return model->image.layers > 0;
    case STAGE_ENCODE: return model->image_input == IMAGE_CHANNELS; /* else only of a given image */
    case STAGE_DENOISE_LOW: return model->boundary > 0;
    case STAGE_DECODE: return model->vae.base > 0;
    default: return true;
    }
}

bool model_ends_as_latents(const struct model_config *model) { return !model->vae.base; }

bool stage_denoises(enum stage stage)
{
    return stage == STAGE_DENOISE || stage == STAGE_DENOISE_LOW;
}

static const char *const fill_names[] = {"normal", "outlier"};
static const char *const launch_names[] = {"stream", "graph"};
static const char *const dtype_names[] = {"f32", "bf16", "f16"};

static enum status pick(const char *flag, const char *word, const char *const *names, int count,
                        int *index, struct fault *fault)
{
    char known[160] = "", near[160];
    size_t used = 0;
    for (*index = 0; *index < count; (*index)++) {
        if (!strcmp(word, names[*index]))
            return ST_OK;
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", *index ? ", " : "",
                                 names[*index]);
    }
    nearest_names(word, names, count, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT, "%s does not know '%s'%s it takes %s", flag, word,
                     near[0] ? near : ";", known);
}

const struct model_config *case_model(const char *name, struct fault *fault)
{
    const char *names[256];
    int count = 0;
    for (const struct model_config *const *m = model_presets; *m; m++) {
        if (!strcmp((*m)->name, name))
            return *m;
        if (count < (int)(sizeof names / sizeof *names))
            names[count++] = (*m)->name;
    }
    struct stat info;
    struct model_folder *folder;
    if (!stat(name, &info) || strchr(name, '/'))
        return model_folder_of(name, &folder, fault) == ST_OK ? model_folder_config(folder) : NULL;
    char near[256];
    nearest_names(name, names, count, near, sizeof near);
    fault_set(fault, ST_BAD_INPUT,
              "there is no model '%s'%s 'patchmark list models' shows all, and a folder of"
              " published weights is named by its path",
              name, near[0] ? near : ";");
    return NULL;
}

static enum status in_range(const char *flag, double value, double least, double most,
                            struct fault *fault)
{
    if (value >= least && value <= most)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s %g is outside of %g to %g", flag, value, least, most);
}

static enum status frames_of(const struct case_spec *s, const struct model_config *model,
                             double fps, int64_t *frames, struct fault *fault)
{
    if (s->frames != CASE_UNSET && !isnan(s->seconds))
        return fault_set(fault, ST_BAD_INPUT,
                         "--frames and --seconds say the same thing; give one");
    if (!isnan(s->seconds)) {
        TRY(in_range("--seconds", s->seconds, 0, GEOMETRY_MAX_FRAMES / fps, fault));
        *frames = llround(s->seconds * fps);
        if (*frames < 1)
            return fault_set(fault, ST_BAD_INPUT,
                             "--seconds %g at %g fps is less than one frame;"
                             " a still is --frames 1",
                             s->seconds, fps);
        return ST_OK;
    }
    *frames = s->frames != CASE_UNSET ? s->frames : model->frames;
    return ST_OK;
}

static enum status resolve_config(const struct case_spec *s, struct engine_config *c,
                                  struct fault *fault)
{
    int dtype, fill, launch, residency;
    TRY(pick("--launch", s->launch, launch_names, 2, &launch, fault));
    TRY(pick("--residency", s->residency, residency_names, RESIDENCY_COUNT, &residency, fault));
    if (residency == RESIDENCY_BLOCK_STREAM && launch == LAUNCH_GRAPH)
        return fault_set(fault, ST_BAD_INPUT,
                         "--residency block-stream reads weights within a step, which a graph"
                         " cannot; leave --launch graph away");
    TRY(pick("--dtype", s->dtype, dtype_names, 3, &dtype, fault));
    TRY(pick("--fill", s->fill, fill_names, 2, &fill, fault));
    int64_t threads = s->threads != CASE_UNSET ? s->threads : host_cores();
    TRY(in_range("--threads", (double)threads, 1, fmax(64, 4.0 * host_cores()), fault));
    if (s->tuned && !s->untuned && access(s->tuned, R_OK) != 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "--tuned %s cannot be read; 'patchmark tune' makes such a table", s->tuned);
    const char *tuned = s->untuned ? NULL : s->tuned ? s->tuned : tuned_path("results");
    *c = (struct engine_config){.choice = {s->kernels, s->plan, tuned},
                                .type = elem_find(s->dtype),
                                .launch = (enum launch)launch,
                                .residency = (enum residency)residency,
                                .threads = (int)threads,
                                .fill = (enum fill)fill};
    return ST_OK;
}

static enum status resolve_class(const struct case_spec *s, struct generate_request *r,
                                 struct fault *fault)
{
    const char *name = r->model->name;
    if (s->prompt || s->negative[0])
        return fault_set(fault, ST_BAD_INPUT, "%s knows classes, not prompts; give --class N",
                         name);
    r->class_label = s->class_label != CASE_UNSET ? s->class_label : 0;
    if (r->class_label >= 0 && r->class_label < r->model->dit->classes)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "--class %lld: %s knows the classes 0 to %lld",
                     (long long)r->class_label, name, (long long)r->model->dit->classes - 1);
}

/* What the clip should show: a class, or a prompt where there is an encoder to read it. */
static enum status resolve_wish(const struct case_spec *s, struct generate_request *r,
                                struct fault *fault)
{
    r->prompt = s->prompt ? s->prompt : "";
    r->negative = s->negative;
    if (r->model->dit)
        return resolve_class(s, r, fault);
    if (s->class_label != CASE_UNSET)
        return fault_set(fault, ST_BAD_INPUT, "--class: %s takes %s", r->model->name,
                         r->model->text.layers ? "--prompt TEXT" : "--prompt-embeds FILE");
    if (!r->model->text.layers && !model_folder_owner(r->model) && (r->prompt[0] || r->negative[0]))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s has no text encoder here, so it reads no prompt: its text rows are"
                         " drawn, or given by --prompt-embeds FILE",
                         r->model->name);
    return ST_OK;
}

static enum status resolve_sampler(const struct case_spec *s, struct generate_request *r,
                                   struct fault *fault)
{
    const char *names[SCHEDULER_COUNT];
    int scheduler = (int)r->model->scheduler;
    for (int i = 0; i < SCHEDULER_COUNT; i++)
        names[i] = sampler_name((enum scheduler)i);
    if (s->scheduler)
        TRY(pick("--scheduler", s->scheduler, names, SCHEDULER_COUNT, &scheduler, fault));
    r->scheduler = (enum scheduler)scheduler;
    TRY(sampler_fits(r->scheduler, r->model, fault));
    r->steps = s->steps != CASE_UNSET ? s->steps : r->model->steps;
    TRY(in_range("--steps", (double)r->steps, 1, 1000, fault));
    if (!sampler_shifts(r->scheduler) && !isnan(s->shift))
        return fault_set(fault, ST_BAD_INPUT, "--shift: the noise levels of %s have none",
                         sampler_name(r->scheduler));
    r->shift = isnan(s->shift) ? generate_shift(r->model, &r->geometry) : s->shift;
    return isnan(s->shift) ? ST_OK : in_range("--shift", r->shift, 0.01, 1000, fault);
}

/* Of both experts; the first decides whether there is guidance at all. */
static enum status resolve_guidance(const struct case_spec *s, struct generate_request *r,
                                    struct fault *fault)
{
    const struct model_config *m = r->model;
    const bool given = !isnan(s->guidance.first);
    const double low = m->guidance_low > 0 ? m->guidance_low : m->guidance;
    if (!isnan(s->guidance.second) && !(m->boundary > 0))
        return fault_set(fault, ST_BAD_INPUT,
                         "--guidance %g,%g is of two experts, and %s has one; give one number",
                         s->guidance.first, s->guidance.second, m->name);
    r->guidance = given ? s->guidance.first : m->guidance;
    r->guidance_low = !given ? low : isnan(s->guidance.second) ? r->guidance : s->guidance.second;
    TRY(in_range("--guidance", r->guidance, 0, 100, fault));
    TRY(in_range("--guidance", r->guidance_low, 0, 100, fault));
    if (r->guidance > 1 || r->guidance_low <= 1)
        return ST_OK;
    return fault_set(
        fault, ST_BAD_INPUT,
        "--guidance %g,%g: without guidance for the first expert there is none for the "
        "second; give the first more than 1, or one number",
        r->guidance, r->guidance_low);
}

/* Where a folder's own scheduler cannot be followed, what it says is to be given instead. */
static enum status check_scheduler(const struct case_spec *s, const struct pipeline_case *c,
                                   struct fault *fault)
{
    const char *problem = c->folder ? model_folder_scheduler_problem(c->folder) : "";
    if (!problem[0] ||
        (s->scheduler && (!isnan(s->shift) || !sampler_shifts(c->request.scheduler))))
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "--model %s: the folder's scheduler is not followed here: %s; name another by"
                     " --scheduler and --shift",
                     s->model, problem);
}

/* "256" or "256,192" */
static enum status resolve_tiling(const struct case_spec *s, struct generate_request *r,
                                  struct fault *fault)
{
    struct vae_tiling *t = &r->tiling;
    long long size, stride;
    int used = 0;
    if (!s->tile)
        return ST_OK;
    if (model_ends_as_latents(r->model))
        return fault_set(fault, ST_BAD_INPUT, "--tile: %s has no video autoencoder here",
                         r->model->name);
    const int found = sscanf(s->tile, "%lld%n,%lld%n", &size, &used, &stride, &used);
    if (found < 1 || s->tile[used] || size <= 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "--tile '%s' should be PIXELS or PIXELS,STRIDE,"
                         " as 256 or 256,192",
                         s->tile);
    *t = (struct vae_tiling){size, found == 2 ? stride : vae_tile_stride(&r->model->vae, size)};
    return vae_tiling_check(&r->model->vae, t, fault);
}

/* Of a model whose denoiser is not here: what names the case. */
static enum status resolve_absent(const struct case_spec *s, struct pipeline_case *c,
                                  struct fault *fault)
{
    const struct model_config *m = c->request.model;
    struct geometry *g = &c->request.geometry;
    TRY(frames_of(s, m, m->fps, &g->frames, fault));
    g->width = s->size.width ? s->size.width : m->width;
    g->height = s->size.height ? s->size.height : m->height;
    c->request.steps = s->steps != CASE_UNSET ? s->steps : m->steps;
    c->fps = m->fps;
    return ST_OK;
}

static enum status resolve_request(const struct case_spec *s, struct pipeline_case *c,
                                   struct fault *fault)
{
    struct generate_request *r = &c->request;
    int64_t frames = 0;
    if (!(r->model = case_model(s->model, fault)))
        return ST_BAD_INPUT;
    c->absent = denoiser_available(r->model, &c->absent_why);
    if (c->absent != ST_OK)
        return resolve_absent(s, c, fault);
    c->folder = model_folder_owner(r->model);
    c->fps = isnan(s->fps) ? r->model->fps : s->fps;
    TRY(in_range("--fps", c->fps, 0.1, 1000, fault));
    TRY(frames_of(s, r->model, c->fps, &frames, fault));
    int64_t width = s->size.width ? s->size.width : r->model->width;
    int64_t height = s->size.height ? s->size.height : r->model->height;
    TRY(geometry_of(r->model, width, height, frames, &r->geometry, fault));
    TRY(resolve_sampler(s, r, fault));
    TRY(check_scheduler(s, c, fault));
    TRY(resolve_wish(s, r, fault));
    r->fps = c->fps;
    TRY(resolve_guidance(s, r, fault));
    TRY(resolve_tiling(s, r, fault));
    r->seed = s->seed;
    r->batch = s->batch != CASE_UNSET ? s->batch : 1;
    r->seed_step = s->scenario ? 0 : 1; /* all clips of a scenario share one latent */
    TRY(in_range("--batch", (double)r->batch, 1, 1024, fault));
    return ST_OK;
}

static enum status resolve_device(struct pipeline_case *c, struct fault *fault)
{
    struct fault why = {{0}};
    const enum status device = device_choose(c->spec.device, &why);
    if (device == ST_BAD_INPUT)
        return fault_set(fault, ST_BAD_INPUT, "%s", why.text);
    if (c->absent == ST_OK) {
        c->absent = device;
        c->absent_why = why;
    }
    c->config.device = strcmp(c->spec.device, "cpu") ? DEVICE_CUDA : DEVICE_CPU;
    c->config.device_index = device_index();
    return ST_OK;
}

enum status case_resolve(const struct case_spec *spec, struct pipeline_case *out,
                         struct fault *fault)
{
    memset(out, 0, sizeof *out);
    out->spec = *spec;
    TRY(resolve_request(spec, out, fault));
    TRY(resolve_config(spec, &out->config, fault));
    out->config.weights = out->folder ? model_folder_weights(out->folder) : NULL;
    return resolve_device(out, fault);
}

enum status case_ready(const struct pipeline_case *c, struct fault *fault)
{
    return c->absent == ST_OK ? ST_OK : fault_set(fault, c->absent, "%s", c->absent_why.text);
}

enum status case_prompts(struct pipeline_case *c, struct fault *fault)
{
    const struct generate_request *r = &c->request;
    if (!c->folder || r->model->dit ||
        (r->prompt_embeds && (r->negative_embeds || case_passes(c) == 1)))
        return ST_OK;
    return model_folder_tokenizer(c->folder, &c->request.tokenizer, fault);
}

/* One row more than the model reads shows whether that was all. */
bool case_prompt_is_cut(const struct pipeline_case *c)
{
    const struct generate_request *r = &c->request;
    const int64_t rows = r->model->text.rows;
    struct fault unused = {0};
    int64_t count = 0;
    if (!r->model->text.layers || !r->prompt || r->prompt_embeds)
        return false;
    int32_t *ids = malloc((size_t)(rows + 1) * sizeof *ids);
    if (ids && r->tokenizer.tokenize)
        r->tokenizer.tokenize(r->tokenizer.user, r->prompt, rows + 1, ids, &count, &unused);
    else if (ids)
        count = tokenize_bytes(r->prompt, rows + 1, ids);
    free(ids);
    return count > rows;
}

void case_describe_weights(const struct pipeline_case *c, char *out, size_t bytes)
{
    if (c->folder)
        snprintf(out, bytes, "weights of the folder %s%s", c->spec.model,
                 model_folder_reads_bytes(c->folder) ? ", prompts read byte by byte" : "");
    else
        snprintf(out, bytes, "synthetic weights");
}

void case_describe_nonfinite(const struct pipeline_case *c, char *out, size_t bytes)
{
    const char *where;
    struct checkpoint_values v = {0};
    out[0] = 0;
    if (c->folder)
        v = model_folder_values(c->folder, &where);
    if (v.nan + v.inf > 0)
        snprintf(out, bytes,
                 "of the weights as %s, %lld are NaN and %lld infinite, the first in %s",
                 elem_name(c->config.type), (long long)v.nan, (long long)v.inf, where);
}

int64_t case_passes(const struct pipeline_case *c)
{
    return generate_passes(c->request.model, c->request.guidance);
}

/* "2 threads" or the CUDA device by name. */
static void describe_place(const struct pipeline_case *c, char *out, size_t bytes)
{
    struct gpu_info info;
    if (c->config.device == DEVICE_CUDA &&
        gpu_describe(c->config.device_index, &info, NULL) == ST_OK)
        snprintf(out, bytes, "%s (%s)", c->spec.device, info.name);
    else
        snprintf(out, bytes, "%d thread%s", c->config.threads, c->config.threads == 1 ? "" : "s");
}

void case_describe(const struct pipeline_case *c, char *out, size_t bytes)
{
    const struct generate_request *r = &c->request;
    char length[64] = "a still";
    if (r->geometry.frames > 1)
        snprintf(length, sizeof length, "%lld frames at %g fps (%.2f s)",
                 (long long)r->geometry.frames, c->fps, (double)r->geometry.frames / c->fps);
    char where[192], guidance[64], class[32] = "";
    describe_place(c, where, sizeof where);
    if (r->model->dit)
        snprintf(class, sizeof class, ", class %lld", (long long)r->class_label);
    snprintf(guidance, sizeof guidance, "%g", r->guidance);
    if (r->model->boundary > 0)
        snprintf(guidance, sizeof guidance, "%g and %g", r->guidance, r->guidance_low);
    snprintf(out, bytes, "%s  %lldx%lld, %s%s, %lld step%s of %s, guidance %s, %s, %s",
             r->model->name, (long long)r->geometry.width, (long long)r->geometry.height, length,
             class, (long long)r->steps, r->steps == 1 ? "" : "s", sampler_name(r->scheduler),
             guidance, elem_name(c->config.type), where);
}

void case_describe_padding(const struct pipeline_case *c, char *out, size_t bytes)
{
    const struct geometry *g = &c->request.geometry;
    out[0] = 0;
    if (g->pad_width == g->width && g->pad_height == g->height && g->pad_frames == g->frames)
        return;
    if (model_ends_as_latents(c->request.model)) {
        snprintf(out, bytes, "generates latents of %lldx%lld, %lld frame%s",
                 (long long)g->pad_width, (long long)g->pad_height, (long long)g->pad_frames,
                 g->pad_frames == 1 ? "" : "s");
        return;
    }
    if (g->pad_frames == g->frames)
        snprintf(out, bytes, "generates %lldx%lld and keeps the %lldx%lld asked for",
                 (long long)g->pad_width, (long long)g->pad_height, (long long)g->width,
                 (long long)g->height);
    else
        snprintf(out, bytes,
                 "generates %lldx%lld, %lld frames, and keeps the %lldx%lld, %lld frames asked for",
                 (long long)g->pad_width, (long long)g->pad_height, (long long)g->pad_frames,
                 (long long)g->width, (long long)g->height, (long long)g->frames);
}

static void given_member(struct json *j, const char *key, const float *given, int64_t values)
{
    char hash[65];
    if (!given)
        return;
    sha256_hex(given, (size_t)values * sizeof *given, hash);
    json_text(j, key, hash);
}

/* Of what was given in place of a prompt and of noise; and of images: models that need one and got
 * none draw it from the seed. */
static void given_members(const struct generate_request *r, struct json *j)
{
    const struct geometry *g = &r->geometry;
    const int64_t pixels = g->pad_width * g->pad_height * 3;
    const int64_t rows = r->embed_rows * r->model->text.C;
    given_member(j, "image_sha256", r->image, pixels);
    given_member(j, "last_image_sha256", r->last_image, pixels);
    given_member(j, "prompt_embeds_sha256", r->prompt_embeds, rows);
    given_member(j, "negative_embeds_sha256", r->negative_embeds, rows);
    given_member(j, "noise_sha256", r->noise, g->C * g->T * g->H * g->W);
    given_member(j, "extra_noise_sha256", r->extra_noise,
                 generate_extra_rows(r->model, g, r->fps) * g->C);
}

static void recipe_weights(const struct pipeline_case *c, struct json *j)
{
    char hash[65];
    struct fault fault = {{0}};
    if (c->stack_weights) {
        json_raw(j, "weights", c->stack_weights);
        return;
    }
    json_open_object(j, "weights");
    json_text(j, "kind", c->folder ? "checkpoint" : c->stack ? "engine" : "synthetic");
    if (c->folder) {
        enum status s = model_folder_sha256(c->folder, hash, &fault);
        if (s == ST_OK)
            json_text(j, "sha256", hash);
        else
            json_unavailable(j, "sha256", fault.text);
    } else if (!c->stack) {
        json_text(j, "fill", fill_names[c->config.fill]);
        json_int(j, "seed", (int64_t)c->config.weights_seed);
    }
    json_end(j);
}

/* Of another stack it is not known how it goes about it. */
static void recipe_plan(const struct pipeline_case *c, const struct engine *engine, struct json *j)
{
    char hash[65], plan[2048];
    if (!engine) {
        json_text(j, "engine", c->stack);
        return;
    }
    engine_plan_summary(engine, plan, sizeof plan);
    json_text(j, "plan", plan);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)engine_plan_hash(engine));
    json_text(j, "plan_hash", hash);
    json_text(j, "plan_class", engine_plan_exact(engine) ? "exact" : "approximate");
    json_text(j, "parallel", "single");
    json_text(j, "residency", residency_names[engine_residency(engine)]);
}

static void recipe_members(const struct pipeline_case *c, const struct engine *engine,
                           struct json *j)
{
    const struct generate_request *r = &c->request;
    char hash[65];
    json_text(j, "model", r->model->name);
    case_geometry_sha256(r->model, hash);
    json_text(j, "geometry_sha256", hash);
    recipe_weights(c, j);
    json_int(j, "width", r->geometry.width);
    json_int(j, "height", r->geometry.height);
    json_int(j, "frames", r->geometry.frames);
    json_number(j, "fps", c->fps);
    json_int(j, "steps", r->steps);
    json_text(j, "scheduler", sampler_name(r->scheduler));
    json_text(j, "sigma_grid", sampler_grid(r->scheduler));
    json_number(j, "shift", sampler_shifts(r->scheduler) ? r->shift : NAN);
    json_number(j, "guidance", r->guidance);
    if (r->model->boundary > 0)
        json_number(j, "guidance_low", r->guidance_low);
    json_int(j, "forwards", r->steps * case_passes(c));
    json_int(j, "text_rows", r->model->text.rows);
    json_text(j, "type", elem_name(c->config.type));
    recipe_plan(c, engine, j);
    json_text(j, "cache_state", "pipeline");
    json_int(j, "threads", c->config.threads);
    if (c->spec.pin && c->config.device == DEVICE_CPU)
        json_text(j, "pin", c->spec.pin);
    if (c->spec.batch != CASE_UNSET)
        json_int(j, "batch", c->spec.batch);
    if (c->spec.replicas != CASE_UNSET)
        json_int(j, "replicas", c->spec.replicas);
    json_text(j, "device", c->spec.device);
    if (c->config.device == DEVICE_CUDA && engine)
        json_text(j, "launch", c->spec.launch);
    sha256_hex(r->prompt, strlen(r->prompt), hash);
    json_text(j, "prompt_sha256", hash);
    sha256_hex(r->negative, strlen(r->negative), hash);
    json_text(j, "negative_sha256", hash);
    if (r->model->dit)
        json_int(j, "class", r->class_label);
    if (model_ends_as_latents(r->model))
        json_text(j, "result", "latents");
    given_members(r, j);
    if (r->tiling.size) {
        json_int(j, "tile_px", r->tiling.size);
        json_int(j, "tile_stride_px", r->tiling.stride);
    }
    json_int(j, "seed", (int64_t)r->seed);
    if (c->spec.scenario)
        json_text(j, "scenario", c->spec.scenario);
}

void case_recipe(const struct pipeline_case *c, const struct engine *engine, struct json *j,
                 const char *key)
{
    json_open_object(j, key);
    recipe_members(c, engine, j);
    json_end(j);
}

void case_recipe_sha256(const struct pipeline_case *c, const struct engine *engine, char out[65])
{
    struct json j;
    json_init(&j, false);
    case_recipe(c, engine, &j, NULL);
    sha256_hex(j.text, j.used, out);
    json_free(&j);
}
