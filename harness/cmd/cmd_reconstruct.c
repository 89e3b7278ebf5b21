// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_reconstruct.c   A clip or still through the video autoencoder and back: what it loses, and what
 * tiles add to that. */
#include "cmd/commands.h"
#include "elem.h"
#include "engine/case.h"
#include "machine/device.h"
#include "media/media.h"
#include "media/media_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct case_spec spec = CASE_DEFAULTS;
static const char *output;
static bool json;

static const struct option options[] = {
    {"--model", "NAME|DIR", OPTION_TEXT, &spec.model,
     "whose autoencoder: a preset of 'list models' (tiny), or a folder of published weights"},
    {"--size", "WxH", OPTION_SIZE, &spec.size, "scale frames to this size (the file's own)"},
    {"--frames", "N", OPTION_COUNT, &spec.frames, "only the first N frames (all)"},
    {"--fps", "F", OPTION_REAL, &spec.fps, "frames per second of the output (the file's own)"},
    {"--tile", "PX[,STRIDE]", OPTION_TEXT, &spec.tile,
     "tiles of PX pixels, STRIDE apart (three quarters); also decodes whole, to tell the seams"},
    {"--threads", "N", OPTION_COUNT, &spec.threads, "CPU threads (all cores this process may use)"},
    {"--dtype", "T", OPTION_TEXT, &spec.dtype,
     "storage of activations and weights: f32, bf16, f16"},
    {"--kernels", "SPEC", OPTION_TEXT, &spec.kernels,
     "auto, base, reference, a target, OP=VARIANT; comma-separated"},
    {"--device", "D", OPTION_TEXT, &spec.device, "cpu or cuda:N (cpu)"},
    {"--fill", "NAME", OPTION_TEXT, &spec.fill, "synthetic weights: normal or outlier"},
    PLUGIN_OPTION,
    FORMAT_OPTION(&json),
    {"-o", "FILE", OPTION_TEXT, &output, ".mp4 .gif .png .y4m .ppm (%04d numbers stills)"},
    {0},
};

void help_reconstruct(FILE *out) { options_help(options, out); }

/* What is left between two clips of bytes: the sum of squares of all frames, and the largest of
 * one. */
struct loss {
    double all, worst;
    int64_t frames, values; /* of a frame */
};

struct job {
    struct pipeline_case c;
    struct engine *engine;
    struct media_writer *media;
    const char *input;
    double fps; /* of the file; 0: it does not say */
    int64_t width, height, frames, room;
    uint8_t *clip, *result;
    float *latents;
    struct loss loss, seams;
    struct fault no_seams; /* why they are not known */
    /* of the clip itself: comparing it plans anew */
    struct stage_figures encode, decode;
    size_t planned_bytes;
    char kernels[2048];
    bool json;
    FILE *document; /* where JSON goes */
    struct fault *fault;
};

/* ---- the input ------------------------------------------------------------------------------- */

static int64_t frame_values(const struct job *job) { return job->width * job->height * 3; }

static enum status no_room(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY,
                     "no memory for the clip's frames: take fewer by --frames"
                     " or smaller ones by --size");
}

static enum status make_room(struct job *job, struct fault *fault)
{
    if (job->frames < job->room)
        return ST_OK;
    const int64_t room = job->room ? 2 * job->room : 16;
    uint8_t *grown = realloc(job->clip, (size_t)(room * frame_values(job)));
    if (!grown)
        return no_room(fault);
    job->clip = grown;
    job->room = room;
    return ST_OK;
}

static enum status read_frames(struct job *job, struct media_reader *reader, struct fault *fault)
{
    const int64_t most = spec.frames == CASE_UNSET ? GEOMETRY_MAX_FRAMES : spec.frames;
    media_read_size(reader, &job->width, &job->height);
    job->fps = media_read_fps(reader);
    for (bool end = false; job->frames < most; job->frames++) {
        TRY(make_room(job, fault));
        TRY(media_read_frame(reader, job->clip + job->frames * frame_values(job), &end, fault));
        if (end)
            break;
    }
    if (spec.frames == CASE_UNSET || job->frames == spec.frames)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "--frames %" PRId64 ": %s has %" PRId64, spec.frames,
                     job->input, job->frames);
}

static enum status read_clip(struct job *job, struct fault *fault)
{
    struct media_reader *reader;
    TRY(media_read_open(job->input, spec.size.width, spec.size.height, &reader, fault));
    const enum status status = read_frames(job, reader, fault);
    media_read_free(reader);
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void compare(struct loss *loss, const uint8_t *a, const uint8_t *b, int64_t values)
{
    double sum = 0;
    for (int64_t i = 0; i < values; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    loss->all += sum;
    loss->worst = fmax(loss->worst, sum);
    loss->values = values;
    loss->frames++;
}

static double decibel(double squares, double values)
{
    return squares > 0 ? 10 * log10(255.0 * 255.0 * values / squares) : INFINITY;
}

static double psnr(const struct loss *l)
{
    return decibel(l->all, (double)l->values * (double)l->frames);
}

static double worst_psnr(const struct loss *l) { return decibel(l->worst, (double)l->values); }

/* ---- hooks ----------------------------------------------------------------------------------- */

static enum status on_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct job *job = user;
    const int64_t values = frame_values(job);
    for (int64_t i = 0; i < count; i++) {
        compare(&job->loss, job->clip + (first + i) * values, rgb + i * values, values);
        TRY(media_frame(job->media, rgb + i * values, job->fault));
    }
    if (job->result)
        memcpy(job->result + first * values, rgb, (size_t)(count * values));
    return ST_OK;
}

static enum status on_latents(void *user, const float *latents)
{
    struct job *job = user;
    const struct geometry *g = &job->c.request.geometry;
    memcpy(job->latents, latents, (size_t)(g->C * g->T * g->H * g->W) * sizeof *latents);
    return ST_OK;
}

static enum status on_whole(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct job *job = user;
    const int64_t values = frame_values(job);
    for (int64_t i = 0; i < count; i++)
        compare(&job->seams, job->result + (first + i) * values, rgb + i * values, values);
    return ST_OK;
}

/* ---- printing -------------------------------------------------------------------------------- */

static bool synthetic(const struct job *job) { return !job->c.folder; }

static void print_plan(const struct job *job)
{
    const struct geometry *g = &job->c.request.geometry;
    const struct vae_tiling *t = &job->c.request.tiling;
    char text[1024];
    case_describe_weights(&job->c, text, sizeof text);
    printf("%s  %" PRId64 "x%" PRId64 ", %" PRId64 " frame%s, %s, %d thread%s, %s\n",
           job->c.request.model->name, g->width, g->height, g->frames, g->frames == 1 ? "" : "s",
           elem_name(job->c.config.type), job->c.config.threads,
           job->c.config.threads == 1 ? "" : "s", text);
    if (g->pad_width != g->width || g->pad_height != g->height || g->pad_frames != g->frames)
        printf("encodes %" PRId64 "x%" PRId64 ", %" PRId64
               " frame%s, edges repeated, and keeps what the file has\n",
               g->pad_width, g->pad_height, g->pad_frames, g->pad_frames == 1 ? "" : "s");
    printf("latent  %" PRId64 "x%" PRId64 "x%" PRId64 " of %" PRId64 " channels\n", g->T, g->H,
           g->W, g->C);
    if (t->size)
        printf("tiles   of %" PRId64 " pixels, %" PRId64 " apart\n", t->size, t->stride);
    printf("kernels %s\nmemory  %.3f GiB planned\n\n", job->kernels,
           (double)job->planned_bytes / (double)(1 << 30));
    fflush(stdout);
}

static void print_stage(const char *name, const struct stage_figures *f)
{
    const double s = (double)f->run_ns * 1e-9;
    char tflop[TFLOP_BYTES];
    printf("%-8s %8.3f s %12s %12.1f %14.1f\n", name, s, tflop_text(f->flops, tflop),
           f->flops * 1e-9 / s, (double)f->activation_bytes / (1 << 20));
}

static void print_result(const struct job *job)
{
    printf("%-8s %10s %12s %12s %14s\n", "stage", "time", "TFLOP", "GFLOP/s", "activ. MiB");
    print_stage("encode", &job->encode);
    print_stage("decode", &job->decode);
    if (!strcmp(device_ran_on(), "emulated"))
        printf("emulated on the CPU: these times say nothing about a GPU\n");
    printf("\nPSNR    %.2f dB, the worst frame %.2f dB%s\n", psnr(&job->loss),
           worst_psnr(&job->loss),
           synthetic(job) ? " (with synthetic weights it says nothing of the model)" : "");
    char nonfinite[512];
    case_describe_nonfinite(&job->c, nonfinite, sizeof nonfinite);
    if (nonfinite[0])
        printf("%s\n", nonfinite);
    if (job->no_seams.text[0])
        printf("seams   not known: %s\n", job->no_seams.text);
    else if (job->c.request.tiling.size)
        printf("seams   %.2f dB between tiles and whole frames, the worst frame %.2f dB\n",
               psnr(&job->seams), worst_psnr(&job->seams));
    printf("wrote   %s\n", output);
}

/* Without any difference there is no PSNR: it is null. */
static void json_loss(struct json *j, const char *key, const struct loss *l)
{
    json_open_object(j, key);
    json_number(j, "psnr_db", psnr(l));
    json_number(j, "worst_frame_psnr_db", worst_psnr(l));
    json_end(j);
}

static void json_stage(struct json *j, const char *key, const struct stage_figures *f)
{
    json_open_object(j, key);
    json_int(j, "run_ns", f->run_ns);
    json_int(j, "load_ns", f->load_ns);
    json_number(j, "flops", f->flops);
    json_int(j, "activation_bytes", (int64_t)f->activation_bytes);
    json_end(j);
}

static void print_json(const struct job *job)
{
    const struct geometry *g = &job->c.request.geometry;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "model", job->c.request.model->name);
    json_bool(&j, "synthetic_weights", synthetic(job));
    json_text(&j, "input", job->input);
    json_text(&j, "output", output);
    json_int(&j, "width", g->width);
    json_int(&j, "height", g->height);
    json_int(&j, "frames", g->frames);
    json_text(&j, "type", elem_name(job->c.config.type));
    json_text(&j, "plan", job->kernels);
    json_text(&j, "ran_on", device_ran_on());
    json_int(&j, "planned_bytes", (int64_t)job->planned_bytes);
    json_stage(&j, "encode", &job->encode);
    json_stage(&j, "decode", &job->decode);
    json_loss(&j, "loss", &job->loss);
    if (job->c.request.tiling.size) {
        json_int(&j, "tile_px", job->c.request.tiling.size);
        json_int(&j, "tile_stride_px", job->c.request.tiling.stride);
        if (job->no_seams.text[0])
            json_text(&j, "no_seams", job->no_seams.text);
        else
            json_loss(&j, "seams", &job->seams);
    }
    json_end(&j);
    fprintf(job->document, "%s\n", j.text);
    json_free(&j);
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum status check_arguments(int count, struct fault *fault)
{
    if (count != 1)
        return fault_set(fault, ST_BAD_INPUT,
                         "reconstruct takes one clip or still: "
                         "patchmark reconstruct FILE -o FILE");
    if (!output)
        return fault_set(fault, ST_BAD_INPUT, "where should the clip go? give -o FILE");
    const struct model_config *model = case_model(spec.model, fault);
    if (!model)
        return ST_BAD_INPUT;
    if (!model->vae.base)
        return fault_set(fault, ST_BAD_INPUT, "%s has no video autoencoder here", spec.model);
    return ST_OK;
}

/* The case is the file's clip; guidance would only double buffers that nothing reads. */
static enum status resolve(struct job *job, struct fault *fault)
{
    spec.size = (struct size2){job->width, job->height};
    spec.frames = job->frames;
    spec.guidance.first = 1;
    if (isnan(spec.fps) && job->fps > 0)
        spec.fps = job->fps;
    TRY(case_resolve(&spec, &job->c, fault));
    TRY(case_ready(&job->c, fault));
    const struct geometry *g = &job->c.request.geometry;
    TRY(media_check(output, g->width, g->height, g->frames, fault));
    TRY(media_check_input(output, job->input, fault));
    if (!job->c.request.tiling.size)
        return ST_OK;
    job->result = malloc((size_t)(job->frames * frame_values(job)));
    job->latents = malloc((size_t)(g->C * g->T * g->H * g->W) * sizeof *job->latents);
    return job->result && job->latents ? ST_OK : no_room(fault);
}

static enum status plan(struct job *job, struct fault *fault)
{
    struct generate_request *r = &job->c.request;
    r->clip = job->clip;
    r->sink = (struct generate_sink){
        .user = job, .frames = on_frames, .denoised = r->tiling.size ? on_latents : NULL};
    TRY(engine_new(&job->c.config, &job->engine, fault));
    TRY(engine_plan(job->engine, r, true, fault));
    job->planned_bytes = engine_peak_bytes(job->engine);
    engine_plan_summary(job->engine, job->kernels, sizeof job->kernels);
    return ST_OK;
}

static enum status execute(struct job *job, struct fault *fault)
{
    const struct geometry *g = &job->c.request.geometry;
    TRY(media_open(output, g->width, g->height, g->frames, job->c.fps, &job->media, fault));
    TRY(engine_execute(job->engine, &job->c.request, NULL, fault));
    struct media_writer *media = job->media;
    job->media = NULL;
    job->encode = *engine_stage(job->engine, STAGE_ENCODE);
    job->decode = *engine_stage(job->engine, STAGE_DECODE);
    return media_close(media, fault);
}

/* The same latents in whole frames. Where those do not fit, the tiles still do. */
static enum status measure_seams(struct job *job, struct fault *fault)
{
    struct generate_request whole = job->c.request;
    whole.clip = NULL;
    whole.clean = job->latents;
    whole.tiling = (struct vae_tiling){0};
    whole.sink = (struct generate_sink){.user = job, .frames = on_whole};
    const enum status status = engine_plan(job->engine, &whole, true, &job->no_seams);
    if (status == ST_NO_MEMORY)
        return ST_OK;
    if (status != ST_OK)
        return fault_set(fault, status, "%s", job->no_seams.text);
    return engine_execute(job->engine, &whole, NULL, fault);
}

static enum status reconstruct(struct job *job, struct fault *fault)
{
    TRY(read_clip(job, fault));
    TRY(resolve(job, fault));
    TRY(plan(job, fault));
    if (job->json)
        TRY(stdout_take(&job->document, fault));
    else
        print_plan(job);
    TRY(execute(job, fault));
    if (job->c.request.tiling.size)
        TRY(measure_seams(job, fault));
    if (job->json)
        print_json(job);
    else
        print_result(job);
    return ST_OK;
}

int cmd_reconstruct(int argc, char **argv, struct fault *fault)
{
    struct job job = {.fault = fault};
    int count = 1;
    enum status s = options_parse(options, argc, argv, &job.input, &count, fault);
    if (s == ST_OK)
        s = check_arguments(count, fault);
    job.json = json;
    if (s == ST_OK)
        s = reconstruct(&job, fault);
    if (job.document && fclose(job.document) && s == ST_OK)
        s = fault_set(fault, ST_IO, "standard output could not be written");
    if (job.media)
        media_abort(job.media);
    engine_free(job.engine);
    free(job.clip);
    free(job.result);
    free(job.latents);
    return exit_code_of(s);
}
