// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_generate.c   One clip from a prompt: plan, memory, stages, file, and what it took. */
#include "cmd/commands.h"
#include "cmd/generate_report.h"
#include "engine/case_images.h"
#include "engine/dump.h"
#include "machine/device.h"
#include "media/media.h"
#include "timing/measure.h"

#include <stdlib.h>
#include <string.h>

static struct case_spec spec = CASE_DEFAULTS;
static const char *output, *noise_path, *embeds_path, *dump_folder, *plan_path;
static bool json;
static bool dry_run, show_ops;

static const struct option options[] = {
    {"--model", "NAME|DIR", OPTION_TEXT, &spec.model,
     "a preset of 'list models' (tiny), or a folder of published weights"},
    {"--prompt", "TEXT", OPTION_TEXT, &spec.prompt, "what the clip should show"},
    {"--image", "FILE", OPTION_TEXT, &spec.image, "the first frame, for models that take an image"},
    {"--last-image", "FILE", OPTION_TEXT, &spec.last_image,
     "the last frame too, for models that take both"},
    {"--size", "WxH", OPTION_SIZE, &spec.size, "width and height in pixels, from 16 up"},
    {"--frames", "N", OPTION_COUNT, &spec.frames, "how many frames; 1 is a still"},
    {"--seconds", "S", OPTION_REAL, &spec.seconds, "how long, instead of --frames"},
    {"--steps", "N", OPTION_COUNT, &spec.steps, "denoising steps (the model's own)"},
    {"--threads", "N", OPTION_COUNT, &spec.threads, "CPU threads (all cores this process may use)"},
    {"--dtype", "T", OPTION_TEXT, &spec.dtype,
     "storage of activations and weights: f32, bf16, f16"},
    {"--kernels", "SPEC", OPTION_TEXT, &spec.kernels,
     "auto, base, reference, a target, OP=VARIANT[:knob=v,...], OP@1-4=VARIANT; comma-separated"},
    {"--plan", "FILE", OPTION_TEXT, &spec.plan, "replay a plan that --write-plan made"},
    {"--write-plan", "FILE", OPTION_TEXT, &plan_path, "write the resolved plan"},
    {"--device", "D", OPTION_TEXT, &spec.device, "cpu or cuda:N (cpu)"},
    {"--launch", "HOW", OPTION_TEXT, &spec.launch,
     "on a CUDA device: stream, or graph (one CUDA graph per step)"},
    CASE_OPTIONS(spec),
    {"--tile", "PX[,STRIDE]", OPTION_TEXT, &spec.tile,
     "decode in tiles of PX pixels, STRIDE apart (three quarters), for less memory"},
    {"--noise", "FILE", OPTION_TEXT, &noise_path,
     "safetensors with latents [1,C,T,H,W] (LTX-2: and audio_latents [1,R,C])"},
    {"--prompt-embeds", "FILE", OPTION_TEXT, &embeds_path,
     "safetensors with prompt_embeds, negative_prompt_embeds [1,M,C]"},
    {"--dump", "DIR", OPTION_TEXT, &dump_folder,
     "write every stage's tensors there; denoise-only models write nothing else"},
    {"--dry-run", NULL, OPTION_FLAG, &dry_run, "tokens, flops and memory, nothing is run"},
    {"--ops", NULL, OPTION_FLAG, &show_ops,
     "also the time of each op, and who served it (a CUDA device then waits after each)"},
    FORMAT_OPTION(&json),
    {"-o", "FILE", OPTION_TEXT, &output, ".mp4 .gif .png .y4m .ppm (%04d numbers stills)"},
    {0},
};

void help_generate(FILE *out) { options_help(options, out); }

/* A generation under way. */
struct job {
    struct pipeline_case c;
    struct engine *engine;
    struct media_writer *media;
    struct dump *dump;
    float *noise, *extra_noise, *prompt, *negative;
    struct case_images images;
    int64_t *step_ns;
    int64_t encode_ns;
    bool json;
    FILE *document; /* where JSON goes */
    struct fault *fault;
};

static enum status on_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct job *job = user;
    const struct geometry *g = &job->c.request.geometry;
    double start = clock_seconds();
    (void)first;
    for (int64_t i = 0; i < count; i++)
        TRY(media_frame(job->media, rgb + i * g->height * g->width * 3, job->fault));
    job->encode_ns += (int64_t)((clock_seconds() - start) * 1e9);
    return ST_OK;
}

static enum status on_frames_f32(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct job *job = user;
    (void)first;
    return dump_frames(job->dump, rgb, count, job->fault);
}

static enum status on_text(void *user, const float *prompt, const float *negative)
{
    struct job *job = user;
    return dump_text(job->dump, prompt, negative, job->fault);
}

static enum status on_image(void *user, const float *rows, int64_t count, const float *condition,
                            int64_t channels, int64_t frames)
{
    struct job *job = user;
    return dump_image(job->dump, rows, count, condition, channels, frames, job->fault);
}

static enum status on_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct job *job = user;
    (void)count;
    return dump_latents(job->dump, latents, index, job->fault);
}

static enum status on_denoised(void *user, const float *latents)
{
    struct job *job = user;
    return dump_denoised(job->dump, latents, job->fault);
}

static enum status check_wish(const struct model_config *m, struct fault *fault)
{
    if (embeds_path && !m->text.rows)
        return fault_set(fault, ST_BAD_INPUT, "--prompt-embeds: %s takes no text; give --class N",
                         m->name);
    if (m->dit && spec.class_label == CASE_UNSET && !dry_run)
        return fault_set(fault, ST_BAD_INPUT, "what should %s show? give --class N", m->name);
    if (m->text.layers && !spec.prompt && !embeds_path && !dry_run)
        return fault_set(fault, ST_BAD_INPUT, "what should the clip show? give --prompt TEXT");
    return ST_OK;
}

static enum status check_result(const struct model_config *m, struct fault *fault)
{
    if (model_ends_as_latents(m) && output)
        return fault_set(fault, ST_BAD_INPUT,
                         "-o %s: %s ends as latents, for its decoder is not here; give --dump DIR",
                         output, m->name);
    if (model_ends_as_latents(m) && !dump_folder && !dry_run)
        return fault_set(fault, ST_BAD_INPUT,
                         "where should the latents of %s go? give --dump DIR, or --dry-run",
                         m->name);
    if (!model_ends_as_latents(m) && !output && !dry_run)
        return fault_set(fault, ST_BAD_INPUT, "where should the clip go? give -o FILE");
    return ST_OK;
}

static enum status check_arguments(const struct job *job, struct fault *fault)
{
    TRY(check_wish(job->c.request.model, fault));
    return check_result(job->c.request.model, fault);
}

static enum status load_inputs(struct job *job, struct fault *fault)
{
    struct generate_request *r = &job->c.request;
    if (noise_path)
        TRY(load_noise(noise_path, r, &job->noise, &job->extra_noise, fault));
    if (embeds_path)
        TRY(load_embeds(embeds_path, r->model, case_passes(&job->c) > 1, &job->prompt,
                        &job->negative, &r->embed_rows, fault));
    TRY(case_images_load(spec.image, spec.last_image, !dry_run, r, &job->images, fault));
    r->noise = job->noise;
    r->extra_noise = job->extra_noise;
    r->prompt_embeds = job->prompt;
    r->negative_embeds = job->negative;
    return case_prompts(&job->c, fault);
}

/* Hooks are set before the trace: what they ask for is work to be planned too. */
static void watch(struct job *job)
{
    struct generate_sink *sink = &job->c.request.sink;
    *sink = (struct generate_sink){.user = job, .frames = on_frames};
    if (!dump_folder)
        return;
    sink->frames_f32 = on_frames_f32;
    sink->text = on_text;
    sink->image = on_image;
    sink->latents = on_latents;
    sink->denoised = on_denoised;
}

static enum status write_plan(const struct engine *engine, struct fault *fault)
{
    FILE *out = fopen(plan_path, "w");
    if (!out || engine_plan_write(engine, out) != ST_OK || fclose(out))
        return fault_set(fault, ST_BAD_INPUT, "--write-plan %s cannot be written", plan_path);
    return ST_OK;
}

/* ---- the run ---- */

static enum status finish_dump(struct job *job, struct fault *fault)
{
    struct dump *dump = job->dump;
    int cleared;
    job->dump = NULL;
    TRY(dump_close(dump, true, &cleared, fault));
    if (cleared)
        fprintf(stderr, "patchmark: --dump %s: removed %d file%s that an earlier clip had left\n",
                dump_folder, cleared, cleared == 1 ? "" : "s");
    return ST_OK;
}

static enum status execute(struct job *job, struct fault *fault)
{
    struct generate_request *r = &job->c.request;
    const struct geometry *g = &r->geometry;
    if (!(job->step_ns = calloc((size_t)r->steps, sizeof *job->step_ns)))
        return ST_NO_MEMORY;
    if (dump_folder)
        TRY(dump_open(dump_folder, &job->c, &job->dump, fault));
    if (output)
        TRY(media_open(output, g->width, g->height, g->frames, job->c.fps, &job->media, fault));
    TRY(engine_execute(job->engine, r, job->step_ns, fault));
    struct media_writer *media = job->media;
    double start = clock_seconds();
    job->media = NULL;
    if (media)
        TRY(media_close(media, fault));
    job->encode_ns += (int64_t)((clock_seconds() - start) * 1e9);
    return finish_dump(job, fault);
}

static struct generate_report report_of(const struct job *job)
{
    return (struct generate_report){.c = &job->c,
                                    .engine = job->engine,
                                    .step_ns = job->step_ns,
                                    .encode_ns = job->encode_ns,
                                    .output = output,
                                    .dump_folder = dump_folder,
                                    .dry_run = dry_run,
                                    .show_ops = show_ops};
}

static enum status generate_clip(struct job *job, struct fault *fault)
{
    TRY(case_resolve(&spec, &job->c, fault));
    TRY(case_ready(&job->c, fault));
    TRY(check_arguments(job, fault));
    const struct geometry *g = &job->c.request.geometry;
    if (output) {
        TRY(media_check(output, g->width, g->height, g->frames, fault));
        TRY(media_check_input(output, spec.image, fault));
        TRY(media_check_input(output, spec.last_image, fault));
    }
    if (dump_folder)
        TRY(dump_check(dump_folder, fault));
    TRY(load_inputs(job, fault));
    watch(job);
    job->c.config.op_times = show_ops && job->c.config.device == DEVICE_CUDA;
    TRY(engine_new(&job->c.config, &job->engine, fault));
    TRY(engine_plan(job->engine, &job->c.request, !dry_run, fault));
    if (plan_path)
        TRY(write_plan(job->engine, fault));
    if (job->json)
        TRY(stdout_take(&job->document, fault));
    struct generate_report report = report_of(job);
    if (!job->json)
        generate_report_plan(&report);
    fflush(stdout);
    if (!dry_run)
        TRY(execute(job, fault));
    report = report_of(job);
    if (job->json)
        generate_report_json(&report, job->document);
    else if (dry_run)
        generate_report_dry_run(&report);
    else
        generate_report_result(&report);
    return ST_OK;
}

int cmd_generate(int argc, char **argv, struct fault *fault)
{
    struct job job = {.fault = fault};
    int cleared;
    enum status s = options_parse(options, argc, argv, NULL, NULL, fault);
    job.json = json;
    if (s == ST_OK)
        s = generate_clip(&job, fault);
    if (job.document && fclose(job.document) && s == ST_OK)
        s = fault_set(fault, ST_IO, "standard output could not be written");
    if (job.media)
        media_abort(job.media);
    dump_close(job.dump, false, &cleared, fault);
    engine_free(job.engine);
    case_images_free(&job.images);
    free(job.noise);
    free(job.extra_noise);
    free(job.prompt);
    free(job.negative);
    free(job.step_ns);
    return exit_code_of(s);
}
