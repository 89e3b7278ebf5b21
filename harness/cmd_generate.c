// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_generate.c   One clip from a prompt: plan, memory, stages, file, and what it took. */
#include "case_images.h"
#include "commands.h"
#include "device.h"
#include "dump.h"
#include "elem.h"
#include "host.h"
#include "measure.h"
#include "media.h"
#include "stats.h"

#include <stdlib.h>
#include <string.h>

static struct case_spec spec = CASE_DEFAULTS;
static const char *output, *noise_path, *embeds_path, *dump_folder, *plan_path, *format = "text";
static const char *image_path, *last_image_path;
static bool dry_run, show_ops;

static const struct option options[] = {
    {"--model", "NAME|DIR", OPTION_TEXT, &spec.model,
     "a preset of 'list models' (tiny), or a folder of published weights"},
    {"--prompt", "TEXT", OPTION_TEXT, &spec.prompt, "what the clip should show"},
    {"--image", "FILE", OPTION_TEXT, &image_path, "the first frame, for models that take an image"},
    {"--last-image", "FILE", OPTION_TEXT, &last_image_path,
     "the last frame too, for models that take both"},
    {"--size", "WxH", OPTION_SIZE, &spec.size, "width and height in pixels, from 16 up"},
    {"--frames", "N", OPTION_COUNT, &spec.frames, "how many frames; 1 is a still"},
    {"--seconds", "S", OPTION_REAL, &spec.seconds, "how long, instead of --frames"},
    {"--steps", "N", OPTION_COUNT, &spec.steps, "denoising steps (the model's own)"},
    {"--threads", "N", OPTION_COUNT, &spec.threads, "CPU threads (all cores this process may use)"},
    {"--dtype", "T", OPTION_TEXT, &spec.dtype,
     "storage of activations and weights: f32, bf16, f16"},
    {"--kernels", "SPEC", OPTION_TEXT, &spec.kernels,
     "auto, base, reference, a target, OP=VARIANT, OP@1-4=VARIANT; comma-separated"},
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
    {"--format", "text|json", OPTION_TEXT, &format, "json: one document on standard output"},
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
    TRY(case_images_load(image_path, last_image_path, !dry_run, r, &job->images, fault));
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

/* ---- what is printed ---- */

static double gib(size_t bytes) { return (double)bytes / (double)(1 << 30); }

/* The plan by variant: "avx2_01_panel: linear; c_01_plain: patchify, ..." */
static void print_kernels(const struct engine *engine)
{
    char text[2048], seen[2048] = " ";
    engine_plan_summary(engine, text, sizeof text);
    const char *gap = "kernels ";
    for (const char *op = text; *op; op += strcspn(op, " ") + (op[strcspn(op, " ")] == ' ')) {
        const char *variant = op + strcspn(op, "=") + 1;
        char name[160], mark[168];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(variant, " "), variant);
        snprintf(mark, sizeof mark, " %s ", name);
        if (strstr(seen, mark))
            continue;
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ", name);
        printf("%s%s:", gap, name);
        gap = "\n         ";
        for (const char *at = op; *at; at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ')) {
            const char *other = at + strcspn(at, "=") + 1;
            if (strcspn(other, " ") == strlen(name) && !strncmp(other, name, strlen(name)))
                printf(" %.*s", (int)(other - at - 1), at);
        }
    }
    putchar('\n');
    char refused[400];
    for (int i = 0; engine_refused(engine, i, refused, sizeof refused); i++)
        printf("refused %s\n", refused);
}

static bool on_cuda(const struct job *job) { return job->c.config.device == DEVICE_CUDA; }

static void print_plan(const struct job *job)
{
    const struct geometry *g = &job->c.request.geometry;
    char text[2048], weights[1024];
    case_describe(&job->c, text, sizeof text);
    case_describe_weights(&job->c, weights, sizeof weights);
    printf("%s, seed %llu, %s\n", text, (unsigned long long)job->c.request.seed, weights);
    case_describe_padding(&job->c, text, sizeof text);
    if (text[0])
        printf("%s\n", text);
    if (case_prompt_is_cut(&job->c))
        printf("the prompt is longer than the %lld tokens that the model reads; the rest is cut\n",
               (long long)job->c.request.model->text.rows);
    printf("latent %lldx%lldx%lld, %lld tokens\n", (long long)g->T, (long long)g->H,
           (long long)g->W, (long long)g->S);
    print_kernels(job->engine);
    printf("memory  %.3f GiB planned, %.3f GiB available%s%s\n\n",
           gib(engine_peak_bytes(job->engine)), gib(engine_available_bytes(job->engine)),
           on_cuda(job) ? " on " : "", on_cuda(job) ? job->c.spec.device : "");
    if (engine_residency(job->engine) == RESIDENCY_BLOCK_STREAM)
        puts("weights of a block are read again every time it runs: that time is in the clip's\n");
}

/* What each plan for the weights would take. */
static void print_residency(const struct job *job)
{
    const size_t available = engine_available_bytes(job->engine);
    char fit[160];
    printf("\nmemory by residency:");
    for (int r = RESIDENCY_RESIDENT; r < RESIDENCY_COUNT; r++)
        if (r != (job->c.request.model->boundary > 0 ? RESIDENCY_STAGE : RESIDENCY_EXPERT_SWAP))
            printf("  %s %.3f GiB", residency_names[r],
                   gib(engine_residency_bytes(job->engine, (enum residency)r)));
    putchar('\n');
    if (on_cuda(job))
        return;
    engine_describe_fit(job->engine, available, fit, sizeof fit);
    printf("%s\n", fit);
}

static void print_dry_run(const struct job *job)
{
    printf("%-11s %8s %12s %12s %12s %12s\n", "stage", "calls", "TFLOP", "weights MiB",
           "activ. MiB", "scratch MiB");
    double flops = 0;
    char tflop[TFLOP_BYTES], forward[TFLOP_BYTES];
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        flops += f->flops;
        if (!f->calls && !stage_expected(job->c.request.model, (enum stage)i))
            continue;
        printf("%-11s %8lld %12s %12.1f %12.1f %12.1f\n", stage_names[i], (long long)f->calls,
               tflop_text(f->flops, tflop), (double)f->weight_bytes / (1 << 20),
               (double)f->activation_bytes / (1 << 20), (double)f->scratch_bytes / (1 << 20));
    }
    double denoise = engine_stage(job->engine, STAGE_DENOISE)->flops +
                     engine_stage(job->engine, STAGE_DENOISE_LOW)->flops;
    denoise /= (double)(job->c.request.steps * case_passes(&job->c));
    printf("%-11s %8s %12s   of it one forward %s\n", "all", "", tflop_text(flops, tflop),
           tflop_text(denoise, forward));
    print_residency(job);
}

static double median_step_s(const struct job *job)
{
    int64_t n = job->c.request.steps;
    double *s = malloc((size_t)n * sizeof *s), median = 0;
    for (int64_t i = 0; s && i < n; i++)
        s[i] = (double)job->step_ns[i] * 1e-9;
    if (s)
        median = stats_median(s, n);
    free(s);
    return median;
}

/* Time of one op in one stage under one variant, over all its shapes. */
struct op_time {
    enum stage stage;
    enum op_id op;
    const char *served_by;
    int64_t calls, run_ns;
    double flops;
};

static int by_time(const void *a, const void *b)
{
    const struct op_time *x = a, *y = b;
    return x->run_ns < y->run_ns ? 1 : x->run_ns > y->run_ns ? -1 : 0;
}

/* Owned by the caller; *count of them, the longest first. */
static struct op_time *op_times(const struct engine *engine, int *count)
{
    int64_t calls;
    const struct traced_call *trace = engine_trace(engine, &calls);
    struct op_time *list = calloc((size_t)calls + 1, sizeof *list);
    *count = 0;
    for (int64_t i = 0; list && i < calls; i++) {
        const struct traced_call *t = &trace[i];
        int k = 0;
        while (k < *count && (list[k].stage != t->stage || list[k].op != t->problem.op ||
                              strcmp(list[k].served_by, t->served_by) != 0))
            k++;
        if (k == *count)
            list[(*count)++] = (struct op_time){t->stage, t->problem.op, t->served_by, 0, 0, 0};
        list[k].calls += t->calls;
        list[k].run_ns += t->run_ns;
        list[k].flops += t->flops * (double)t->calls;
    }
    if (list)
        qsort(list, (size_t)*count, sizeof *list, by_time);
    return list;
}

static void print_ops(const struct job *job)
{
    int count;
    struct op_time *list = op_times(job->engine, &count);
    double all_s = (double)engine_total_ns(job->engine) * 1e-9;
    printf("\n%-11s %-14s %-20s %8s %10s %7s %9s\n", "stage", "op", "served by", "calls", "time",
           "share", "GFLOP/s");
    for (int i = 0; list && i < count; i++) {
        const struct op_time *t = &list[i];
        double s = (double)t->run_ns * 1e-9;
        printf("%-11s %-14s %-20s %8lld %8.3f s %6.1f%% ", stage_names[t->stage],
               op_table[t->op]->name, t->served_by, (long long)t->calls, s, 100 * s / all_s);
        if (t->flops > 0)
            printf("%9.1f\n", t->flops * 1e-9 / s);
        else
            printf("%9s\n", "-");
    }
    free(list);
}

static void json_ops(const struct job *job, struct json *j)
{
    int count;
    struct op_time *list = op_times(job->engine, &count);
    json_open_array(j, "ops");
    for (int i = 0; list && i < count; i++) {
        json_open_object(j, NULL);
        json_text(j, "stage", stage_names[list[i].stage]);
        json_text(j, "op", op_table[list[i].op]->name);
        json_text(j, "served_by", list[i].served_by);
        json_int(j, "calls", list[i].calls);
        json_int(j, "run_ns", list[i].run_ns);
        json_number(j, "flops", list[i].flops);
        json_end(j);
    }
    json_end(j);
    free(list);
}

/* Where the host needs as long as the device, the device waits for it. */
static void print_host_share(const struct job *job, const struct stage_figures *f)
{
    double step_s = median_step_s(job), host_s = (double)f->host_ns * 1e-9;
    printf("; the host enqueues one in %.3f ms (%.1f%%)", host_s * 1e3, 100 * host_s / step_s);
    if (f->graph_nodes)
        printf(", a graph of %lld nodes", (long long)f->graph_nodes);
}

static void print_result(const struct job *job)
{
    double all_s = (double)engine_total_ns(job->engine) * 1e-9, load_s = 0;
    printf("%-11s %10s %7s %12s\n", "stage", "time", "share", "GFLOP/s");
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        double s = (double)f->run_ns * 1e-9;
        load_s += (double)f->load_ns * 1e-9;
        if (!f->calls && !stage_expected(job->c.request.model, (enum stage)i))
            continue;
        printf("%-11s %8.3f s %6.1f%%", stage_names[i], s, 100 * s / all_s);
        if (f->run_ns > 0)
            printf(" %12.1f", f->flops * 1e-9 / s);
        else
            printf(" %12s", "-");
        if (i == STAGE_DENOISE)
            printf("   %lld step%s%s, median %.3f s", (long long)job->c.request.steps,
                   job->c.request.steps == 1 ? "" : "s",
                   job->c.request.model->boundary > 0 ? " of both experts" : "",
                   median_step_s(job));
        if (i == STAGE_DENOISE && on_cuda(job))
            print_host_share(job, f);
        if (f->stream_ns)
            printf("   of it %.3f s reading weights", (double)f->stream_ns * 1e-9);
        putchar('\n');
    }
    printf("%-11s %8.3f s\n\n", "total", all_s);
    printf("beside it: loading weights %.3f s, ", load_s);
    if (output)
        printf("file encoding %.3f s, ", (double)job->encode_ns * 1e-9);
    printf("peak memory %.3f GiB\n", gib(host_peak_resident()));
    char nonfinite[512];
    case_describe_nonfinite(&job->c, nonfinite, sizeof nonfinite);
    if (nonfinite[0])
        printf("%s\n", nonfinite);
    if (!strcmp(device_ran_on(), "emulated"))
        printf("emulated on the CPU: these times say nothing about a GPU\n");
    if (show_ops)
        print_ops(job);
    if (output)
        printf("wrote %s\n", output);
    else
        printf("wrote %s/latents_final.safetensors\n", dump_folder);
}

static void json_stages(const struct job *job, struct json *j)
{
    json_open_object(j, "stages");
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        if (!f->calls && !stage_expected(job->c.request.model, (enum stage)i))
            continue;
        json_open_object(j, stage_names[i]);
        json_int(j, "calls", f->calls);
        json_number(j, "flops", f->flops);
        json_int(j, "weight_bytes", (int64_t)f->weight_bytes);
        json_int(j, "packed_bytes", (int64_t)f->packed_bytes);
        json_int(j, "activation_bytes", (int64_t)f->activation_bytes);
        json_int(j, "scratch_bytes", (int64_t)f->scratch_bytes);
        if (!dry_run) {
            json_int(j, "run_ns", f->run_ns);
            json_int(j, "load_ns", f->load_ns);
            if (f->stream_ns)
                json_int(j, "stream_ns", f->stream_ns);
            if (i == STAGE_DENOISE && on_cuda(job)) {
                json_int(j, "host_step_ns", f->host_ns);
                json_int(j, "graph_nodes", f->graph_nodes);
            }
        }
        json_end(j);
    }
    json_end(j);
}

static void print_json(const struct job *job)
{
    const struct geometry *g = &job->c.request.geometry;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    case_recipe(&job->c, job->engine, &j, "recipe");
    json_int(&j, "tokens", g->S);
    json_int(&j, "padded_width", g->pad_width);
    json_int(&j, "padded_height", g->pad_height);
    json_int(&j, "padded_frames", g->pad_frames);
    json_text(&j, "ran_on", dry_run ? NULL : device_ran_on());
    json_stages(job, &j);
    json_int(&j, "planned_bytes", (int64_t)engine_peak_bytes(job->engine));
    if (!dry_run) {
        json_open_array(&j, "step_ns");
        for (int64_t i = 0; i < job->c.request.steps; i++)
            json_int(&j, NULL, job->step_ns[i]);
        json_end(&j);
        json_int(&j, "total_ns", engine_total_ns(job->engine));
        json_int(&j, "encode_ns", job->encode_ns);
        json_int(&j, "peak_resident_bytes", (int64_t)host_peak_resident());
        char nonfinite[512];
        case_describe_nonfinite(&job->c, nonfinite, sizeof nonfinite);
        json_text(&j, "nonfinite_weights", nonfinite[0] ? nonfinite : NULL);
        if (show_ops)
            json_ops(job, &j);
        json_text(&j, "output", output ? output : dump_folder);
    }
    json_end(&j);
    fprintf(job->document, "%s\n", j.text);
    json_free(&j);
}

/* ---- the run ---- */

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
    struct dump *dump = job->dump;
    job->dump = NULL;
    return dump_close(dump, true, fault);
}

static enum status generate_clip(struct job *job, struct fault *fault)
{
    if (strcmp(format, "text") && strcmp(format, "json"))
        return fault_set(fault, ST_BAD_INPUT, "--format '%s' should be text or json", format);
    TRY(case_resolve(&spec, &job->c, fault));
    TRY(check_arguments(job, fault));
    TRY(case_ready(&job->c, fault));
    const struct geometry *g = &job->c.request.geometry;
    if (output) {
        TRY(media_check(output, g->width, g->height, g->frames, fault));
        TRY(media_check_input(output, image_path, fault));
        TRY(media_check_input(output, last_image_path, fault));
    }
    if (dump_folder)
        TRY(dump_check(dump_folder, fault));
    TRY(load_inputs(job, fault));
    watch(job);
    job->c.config.op_times = show_ops && on_cuda(job);
    TRY(engine_new(&job->c.config, &job->engine, fault));
    TRY(engine_plan(job->engine, &job->c.request, !dry_run, fault));
    if (plan_path)
        TRY(write_plan(job->engine, fault));
    if (job->json)
        TRY(stdout_take(&job->document, fault));
    else
        print_plan(job);
    fflush(stdout);
    if (!dry_run)
        TRY(execute(job, fault));
    if (job->json)
        print_json(job);
    else if (dry_run)
        print_dry_run(job);
    else
        print_result(job);
    return ST_OK;
}

int cmd_generate(int argc, char **argv, struct fault *fault)
{
    struct job job = {.fault = fault};
    enum status s = options_parse(options, argc, argv, NULL, NULL, fault);
    job.json = !strcmp(format, "json");
    if (s == ST_OK)
        s = generate_clip(&job, fault);
    if (job.document && fclose(job.document) && s == ST_OK)
        s = fault_set(fault, ST_IO, "standard output could not be written");
    if (job.media)
        media_abort(job.media);
    dump_close(job.dump, false, fault);
    engine_free(job.engine);
    case_images_free(&job.images);
    free(job.noise);
    free(job.extra_noise);
    free(job.prompt);
    free(job.negative);
    free(job.step_ns);
    return exit_code_of(s);
}
