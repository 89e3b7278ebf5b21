// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_model_folder.c   Clips from folders of published weights: the values of the files reach the
 * kernels bit by bit, memory stays what was planned, and what is not as it should be is said in one
 * sentence before anything runs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elem.h"
#include "engine/case.h"
#include "presets/dit.h"
#include "presets/wan.h"
#include "support/drawn_folder.h"
#include "support/files.h"
#include "support/jobs.h"
#include "support/json_check.h"
#include "support/spawn.h"
#include "support/weights_folder.h"

/* ---- running --------------------------------------------------------------------------------- */

#define CLIP                                                                                       \
    "--size", "34x20", "--frames", "6", "--steps", "2", "--threads", "2", "--format", "json"

static struct job clip_of(const char *model, const char *dtype, const char *out)
{
    return (struct job){.argv = {BUILD_DIR "/patchmark", "generate", "--model", model, "--prompt",
                                 "a test", CLIP, "--dtype", dtype, "--dump",
                                 job_word("%s.dump", out), "-o", job_word("%s.y4m", out)}};
}

static void succeed(struct job *job)
{
    jobs_run(job, 1);
    if (job->code != 0)
        fail_msg("exit code %d:\n%s%s", job->code, job->out, job->err);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Exit code 2, one line, and no file. */
static void refused(struct job *job, const char *out, const char *sentence)
{
    jobs_run(job, 1);
    if (job->code != 2 || strncmp(job->err, "patchmark: ", 11) != 0 ||
        strchr(job->err, '\n') != job->err + strlen(job->err) - 1)
        fail_msg("exit code %d, and one sentence was wanted, not:\n%s%s", job->code, job->out,
                 job->err);
    says(job->err, sentence);
    assert_false(file_exists(at("%s.y4m", out)));
    jobs_free(job, 1);
}

static void refuse(const char *model, const char *sentence)
{
    const char *out = job_word("%s/refused", folder);
    struct job job = clip_of(model, "f32", out);
    refused(&job, out, sentence);
}

static void same_file(const char *a, const char *b)
{
    size_t bytes_a, bytes_b;
    char *text_a = file_read(a, &bytes_a), *text_b = file_read(b, &bytes_b);
    assert_non_null(text_a);
    assert_non_null(text_b);
    if (bytes_a != bytes_b || memcmp(text_a, text_b, bytes_a) != 0)
        fail_msg("%s and %s differ", a, b);
    free(text_a);
    free(text_b);
}

static void same_clip(const char *a, const char *b)
{
    static const char *const files[] = {"text_embeds", "latents_0001", "latents_final", "frames"};
    for (int i = 0; i < 4; i++)
        same_file(at("%s.dump/%s.safetensors", a, files[i]),
                  at("%s.dump/%s.safetensors", b, files[i]));
    same_file(at("%s.y4m", a), at("%s.y4m", b));
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The folder holds what the preset draws, stored as --dtype says: the clips are the same. */
static void a_folder_gives_the_preset_s_clip(void **state)
{
    static const struct {
        const char *dtype;
        enum elem elem;
        int shards;
    } row[] = {{"f32", ELEM_F32, 1}, {"bf16", ELEM_BF16, 3}, {"f16", ELEM_F16, 1}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *dir = job_word("%s/model.%s", folder, row[i].dtype);
        const char *drawn = job_word("%s/drawn.%s", folder, row[i].dtype);
        const char *read = job_word("%s/read.%s", folder, row[i].dtype);
        model_draw(dir, &preset_tiny, row[i].elem, row[i].shards);
        struct job job[2] = {clip_of("tiny", row[i].dtype, drawn),
                             clip_of(dir, row[i].dtype, read)};
        succeed(&job[0]);
        succeed(&job[1]);
        same_clip(drawn, read);
        assert_true(json_valid(job[1].out));
        says(job[1].out, "\"model\": \"tiny\"");
        says(job[1].out, "\"kind\": \"checkpoint\"");
        says(job[1].out, "\"sha256\": \"");
        says(job[1].out, "\"nonfinite_weights\": null");
        char *recipe = strstr(job[1].out, "\"tokens\"");
        *recipe = 0;
        assert_null(strstr(job[1].out, folder));
        jobs_free(job, 2);
    }
}

/* The identity is the tensors', not the files'; another value is another identity. */
static void sharding_is_no_part_of_the_identity(void **state)
{
    char hash[3][65];
    struct fault fault = {{0}};
    struct model_config other = preset_tiny;
    (void)state;
    other.transformer.layers = 1;
    for (int i = 0; i < 3; i++) {
        struct model_folder *f;
        const struct weight_spec none = {.name = ""};
        const char *dir = job_word("%s/identity.%d", folder, i);
        component_draw(dir, "transformer", PART_TRANSFORMER, &other, ELEM_F32, i == 1 ? 4 : 1,
                       i == 2 ? "another " : "");
        component_put(dir, "vae", PART_VAE, &other, "F32", 4);
        scheduler_put(dir, 3);
        assert_int_equal(model_folder_of(dir, &f, &fault), ST_OK);
        const struct weights_source *source = model_folder_weights(f);
        assert_int_equal(source->check(source->user, STAGE_DENOISE, &none, 0, &fault), ST_OK);
        assert_int_equal(model_folder_sha256(f, hash[i], &fault), ST_OK);
    }
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
}

static float value_at(int64_t i) { return (float)(i % 977 - 488) * 0.0137f; }

/* Every type of a file as every type asked for, from the beginning and from the middle. */
static void every_type_is_read_as_every_type(void **state)
{
    static const struct {
        const char *dtype;
        enum elem elem;
    } kept[] = {{"F32", ELEM_F32}, {"BF16", ELEM_BF16}, {"F16", ELEM_F16}, {"F64", ELEM_F64}};
    static const enum elem asked[] = {ELEM_F32, ELEM_BF16, ELEM_F16};
    enum { COUNT = 700001 }; /* several pieces and an odd end */
    float *value = malloc(COUNT * sizeof *value), *single = malloc(COUNT * sizeof *single);
    double *file = malloc(COUNT * sizeof *file), *want = malloc(COUNT * sizeof *want);
    double *got = malloc(COUNT * sizeof *got);
    struct fault fault = {{0}};
    (void)state;
    for (int64_t i = 0; i < COUNT; i++)
        value[i] = value_at(i);
    for (int k = 0; k < 4; k++) {
        struct model_folder *f;
        const char *dir = job_word("%s/types.%s", folder, kept[k].dtype);
        const struct weight_spec spec = {.name = "x", .rank = 1, .dim = {COUNT}};
        const struct wanted w = {.spec = (struct weight_spec *)&spec, .count = 1};
        component_put(dir, "transformer", PART_TRANSFORMER, &preset_tiny, "F32", 4);
        component_put(dir, "vae", PART_VAE, &preset_tiny, "F32", 4);
        const char *path = at("%s/transformer/diffusion_pytorch_model.safetensors", dir);
        size_t size = elem_bytes(kept[k].elem);
        weights_put(path, &w, 0, 1, kept[k].dtype, size);
        for (int64_t i = 0; i < COUNT && kept[k].elem == ELEM_F64; i++)
            file[i] = (double)value[i];
        if (kept[k].elem != ELEM_F64)
            elem_convert(file, kept[k].elem, value, ELEM_F32, COUNT);
        FILE *out = fopen(path, "r+b");
        assert_true(out && !fseek(out, -(long)(COUNT * size), SEEK_END) &&
                    fwrite(file, size, COUNT, out) == COUNT && !fclose(out));
        elem_convert(single, ELEM_F32, file, kept[k].elem, COUNT);
        assert_int_equal(model_folder_of(dir, &f, &fault), ST_OK);
        const struct weights_source *s = model_folder_weights(f);
        /* opens the file, and says that it is not this model's */
        assert_int_equal(s->check(s->user, STAGE_DENOISE, &spec, 1, &fault), ST_BAD_INPUT);
        fault.text[0] = 0;
        for (int a = 0; a < 3; a++)
            for (int64_t first = 0; first < COUNT; first += 350001) {
                const int64_t n = COUNT - first;
                elem_convert(want, asked[a], single + first, ELEM_F32, n);
                memset(got, 0xee, COUNT * sizeof *got);
                if (s->read(s->user, STAGE_DENOISE, &spec, first, n, asked[a], got, 3, &fault))
                    fail_msg("%s", fault.text);
                assert_memory_equal(got, want, (size_t)n * elem_bytes(asked[a]));
            }
    }
    free(value), free(single), free(file), free(want), free(got);
}

/* Where a piece is not to be had the sentence comes out, whichever thread met it. */
static void a_file_that_shrinks_is_said(void **state)
{
    struct model_folder *f;
    struct fault fault = {{0}};
    const struct weight_spec spec = {.name = "x", .rank = 1, .dim = {1 << 20}};
    const struct wanted w = {.spec = (struct weight_spec *)&spec, .count = 1};
    float *to = malloc(sizeof *to << 20);
    const char *dir = job_word("%s/shrinks", folder);
    (void)state;
    component_put(dir, "transformer", PART_TRANSFORMER, &preset_tiny, "F32", 4);
    component_put(dir, "vae", PART_VAE, &preset_tiny, "F32", 4);
    const char *path = job_word("%s/transformer/diffusion_pytorch_model.safetensors", dir);
    weights_put(path, &w, 0, 1, "F32", 4);
    assert_int_equal(model_folder_of(dir, &f, &fault), ST_OK);
    const struct weights_source *s = model_folder_weights(f);
    s->check(s->user, STAGE_DENOISE, &spec, 1, &fault);
    fault.text[0] = 0;
    assert_int_equal(s->read(s->user, STAGE_DENOISE, &spec, 0, 1 << 20, ELEM_F32, to, 2, &fault),
                     ST_OK);
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_int_not_equal(
        s->read(s->user, STAGE_DENOISE, &spec, 0, 1 << 20, ELEM_F32, to, 2, &fault), ST_OK);
    assert_true(strlen(fault.text) > 0);
    free(to);
}

/* ---- experts --------------------------------------------------------------------------------- */

static enum status keep_latents(void *user, const float *latents)
{
    float **out = user;
    memcpy(*out, latents, 16 * 3 * 4 * 6 * sizeof *latents);
    return ST_OK;
}

static float *final_latents(const struct pipeline_case *c, const struct model_config *model)
{
    struct engine *engine;
    struct fault fault = {{0}};
    struct pipeline_case mine = *c;
    float *latents = calloc(16 * 3 * 4 * 6, sizeof *latents);
    mine.config.quiet = true;
    mine.request.model = model;
    mine.request.sink = (struct generate_sink){.user = &latents, .denoised = keep_latents};
    if (engine_new(&mine.config, &engine, &fault) != ST_OK ||
        engine_plan(engine, &mine.request, true, &fault) != ST_OK ||
        engine_execute(engine, &mine.request, NULL, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    engine_free(engine);
    return latents;
}

static void two_experts_are_read_from_two_folders(void **state)
{
    struct model_config two = preset_tiny;
    struct pipeline_case c;
    struct fault fault = {{0}};
    struct case_spec s = CASE_DEFAULTS;
    char dir[512];
    (void)state;
    two.boundary = 0.8;
    snprintf(dir, sizeof dir, "%s/experts", folder);
    model_draw(dir, &two, ELEM_F32, 2);
    s.model = dir;
    s.prompt = "a test";
    s.size = (struct size2){48, 32};
    s.frames = 9;
    s.steps = 4; /* times 999, 900, 750, 500 */
    s.threads = 2;
    s.guidance = (struct real2){5, 2};
    if (case_resolve(&s, &c, &fault) != ST_OK || case_prompts(&c, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    assert_string_equal(c.request.model->name, "tiny-a14b");
    assert_true(c.request.model->boundary == 0.8);
    assert_true(c.request.guidance == 5 && c.request.guidance_low == 2);
    float *read = final_latents(&c, c.request.model);
    c.config.weights = NULL;
    two.text.rows = c.request.model->text.rows;
    float *drawn = final_latents(&c, &two);
    assert_memory_equal(read, drawn, 16 * 3 * 4 * 6 * sizeof *read);
    two.boundary = 0;
    float *one = final_latents(&c, &two);
    assert_memory_not_equal(read, one, 16 * 3 * 4 * 6 * sizeof *read);
    free(read), free(drawn), free(one);
}

/* ---- other models ---------------------------------------------------------------------------- */

/* Without a text encoder and without an autoencoder of ours: the clip ends as latents. */
static void a_model_of_classes_is_read(void **state)
{
    struct model_config m = preset_tiny_dit;
    struct dit_config own = *preset_tiny_dit.dit;
    const char *dir = job_word("%s/classes", folder), *out = job_word("%s/class_3", folder);
    (void)state;
    own.shared_embedder = 0; /* as diffusers stores it */
    m.dit = &own;
    component_draw(dir, "transformer", PART_TRANSFORMER, &m, ELEM_F32, 1, "");
    mkdir(at("%s/vae", dir), 0700);
    file_write(at("%s/vae/config.json", dir), "{\"_class_name\": \"AutoencoderKL\"}", false);
    mkdir(at("%s/scheduler", dir), 0700);
    file_write(at("%s/scheduler/scheduler_config.json", dir),
               "{\"_class_name\": \"DDIMScheduler\", \"beta_end\": 0.02, \"beta_schedule\":"
               " \"linear\", \"beta_start\": 0.0001, \"clip_sample\": false, \"steps_offset\": 0}",
               false);
    struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", "--model", dir, "--class", "3",
                               "--steps", "2", "--threads", "2", "--format", "json", "--dump",
                               job_word("%s.dump", out)}};
    succeed(&job);
    says(job.out, "\"model\": \"tiny-dit\"");
    says(job.out, "\"scheduler\": \"ddim\"");
    says(job.out, "\"kind\": \"checkpoint\"");
    assert_true(file_exists(at("%s.dump/latents_final.safetensors", out)));
    jobs_free(&job, 1);
}

/* CLIP's rows and the mask beside the noise: as the preset draws them. */
static void a_model_from_images_is_read(void **state)
{
    const char *dir = job_word("%s/images", folder), *image = job_word("%s/image.ppm", folder);
    const char *drawn = job_word("%s/drawn.image", folder);
    const char *read = job_word("%s/read.image", folder);
    char pixels[11 + 4 * 4 * 3] = "P6\n4 4\n255\n";
    (void)state;
    for (int i = 0; i < 48; i++)
        pixels[11 + i] = (char)(40 + 3 * i);
    file_put(image, pixels, sizeof pixels);
    model_draw(dir, &preset_tiny_i2v, ELEM_F32, 1);
    struct job job[2] = {clip_of("tiny-i2v", "f32", drawn), clip_of(dir, "f32", read)};
    for (int i = 0; i < 2; i++) {
        int n = 0;
        while (job[i].argv[n])
            n++;
        job[i].argv[n] = "--image";
        job[i].argv[n + 1] = image;
        succeed(&job[i]);
    }
    same_clip(drawn, read);
    same_file(at("%s.dump/image_condition.safetensors", drawn),
              at("%s.dump/image_condition.safetensors", read));
    says(job[1].out, "\"model\": \"tiny-i2v\"");
    jobs_free(job, 2);
}

/* ---- parts and defaults ---------------------------------------------------------------------- */

/* Given rows need no text encoder; a prompt does. */
static void what_a_clip_does_not_need_may_be_missing(void **state)
{
    const char *dir = job_word("%s/partial", folder), *out = job_word("%s/given", folder);
    const char *rows = job_word("%s/drawn.f32.dump/text_embeds.safetensors", folder);
    (void)state;
    component_draw(dir, "transformer", PART_TRANSFORMER, &preset_tiny, ELEM_F32, 1, "");
    component_draw(dir, "vae", PART_VAE, &preset_tiny, ELEM_F32, 1, "");
    scheduler_put(dir, 3);
    refuse(dir, "holds no folder 'text_encoder', so a prompt cannot be encoded; give "
                "--prompt-embeds");
    struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", "--model", dir,
                               "--prompt-embeds", rows, CLIP, "--dump", job_word("%s.dump", out),
                               "-o", job_word("%s.y4m", out)}};
    succeed(&job);
    jobs_free(&job, 1);
    same_file(at("%s.dump/latents_final.safetensors", out),
              at("%s/drawn.f32.dump/latents_final.safetensors", folder));
    same_file(at("%s.y4m", out), at("%s/drawn.f32.y4m", folder));
}

static void defaults_are_the_folder_s(void **state)
{
    struct model_config m = preset_tiny;
    struct pipeline_case c;
    struct fault fault = {{0}};
    struct case_spec s = CASE_DEFAULTS;
    char dir[512];
    (void)state;
    m.transformer.layers = 1;
    m.shift = 7.5;
    snprintf(dir, sizeof dir, "%s/a model", folder);
    component_put(dir, "transformer", PART_TRANSFORMER, &m, "BF16", 2);
    component_put(dir, "vae", PART_VAE, &m, "F32", 4);
    component_put(dir, "text_encoder", PART_TEXT, &m, "F16", 2);
    scheduler_put(dir, m.shift);
    s.model = dir;
    s.prompt = "";
    assert_int_equal(case_resolve(&s, &c, &fault), ST_OK);
    assert_string_equal(c.request.model->name, "a model");
    assert_true(c.request.shift == 7.5 && c.request.scheduler == SCHEDULER_UNIPC);
    assert_int_equal(c.request.model->text.rows, 512);
    assert_int_equal(c.request.steps, 50);
    s.scheduler = "euler";
    s.shift = 2;
    assert_int_equal(case_resolve(&s, &c, &fault), ST_OK);
    assert_true(c.request.shift == 2 && c.request.scheduler == SCHEDULER_EULER);
}

static void euler_folders_are_followed(void **state)
{
    struct pipeline_case c;
    struct fault fault = {{0}};
    struct case_spec s = CASE_DEFAULTS;
    char dir[512];
    (void)state;
    snprintf(dir, sizeof dir, "%s/euler", folder);
    component_put(dir, "transformer", PART_TRANSFORMER, &preset_tiny, "BF16", 2);
    component_put(dir, "vae", PART_VAE, &preset_tiny, "F32", 4);
    scheduler_put(dir, 1);
    file_write(at("%s/scheduler/scheduler_config.json", dir),
               "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 5.0,"
               " \"use_dynamic_shifting\": false}",
               false);
    s.model = dir;
    s.prompt = "";
    assert_int_equal(case_resolve(&s, &c, &fault), ST_OK);
    assert_true(c.request.shift == 5 && c.request.scheduler == SCHEDULER_EULER);
}

/* ---- values that are no numbers -------------------------------------------------------------- */

static void not_a_number_is_counted_and_said(void **state)
{
    struct model_config m = preset_tiny;
    const char *dir = job_word("%s/nan", folder), *out = job_word("%s/nan_clip", folder);
    const char *file = job_word("%s/transformer/model.safetensors", dir);
    static const uint32_t bad[] = {0x7FC00000, 0x7F800000, 0xFFC00000};
    (void)state;
    m.transformer.layers = 1;
    model_draw(dir, &m, ELEM_F32, 1);
    FILE *f = fopen(file, "r+b");
    assert_true(f && !fseek(f, -64, SEEK_END) && fwrite(bad, 4, 3, f) == 3 && !fclose(f));
    struct job job = clip_of(dir, "f32", out);
    succeed(&job);
    says(job.out, "\"nonfinite_weights\": \"of the weights as f32, 2 are NaN and 1 infinite, the "
                  "first in transformer: ");
    jobs_free(&job, 1);
    struct job run = {.argv = {BUILD_DIR "/patchmark", "run", "--model", dir, "--size", "34x20",
                               "--frames", "1", "--steps", "1", "--threads", "2", "--results",
                               "none", "--kernels", "c", "--format", "json"}};
    jobs_run(&run, 1);
    says(run.out, "\"status\": \"nonfinite\"");
    jobs_free(&run, 1);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static const struct model_config *no_preset(void)
{
    static struct model_config m;
    m = preset_tiny;
    m.transformer.layers = 1;
    m.text.layers = 1;
    return &m;
}

/* A sound folder of zeros, to be spoilt. */
static const char *folder_of(const char *name)
{
    const char *dir = job_word("%s/%s", folder, name);
    component_put(dir, "transformer", PART_TRANSFORMER, no_preset(), "F32", 4);
    component_put(dir, "vae", PART_VAE, no_preset(), "F32", 4);
    component_put(dir, "text_encoder", PART_TEXT, no_preset(), "F32", 4);
    scheduler_put(dir, 3);
    index_put(dir, 0);
    return dir;
}

static void spoil_config(const char *dir, const char *file, const char *text)
{
    file_write(at("%s/%s", dir, file), text, false);
}

/* Writes the transformer's tensors anew, changed by hand. */
static void spoil_weights(const char *dir, void (*change)(struct wanted *w), const char *dtype,
                          size_t size)
{
    struct wanted w;
    struct fault fault = {{0}};
    assert_int_equal(wanted_of(PART_TRANSFORMER, no_preset(), &w, &fault), ST_OK);
    change(&w);
    weights_put(at("%s/transformer/diffusion_pytorch_model.safetensors", dir), &w, 0, w.count,
                dtype, size);
    wanted_free(&w);
}

static void drop_last(struct wanted *w) { free((char *)w->spec[--w->count].name); }
static void swap_shape(struct wanted *w) { w->spec[0].dim[0] += 1; }
static void change_nothing(struct wanted *w) { (void)w; }

static void rename_copy(struct wanted *w)
{
    w->spec = realloc(w->spec, (size_t)(w->count + 1) * sizeof *w->spec);
    w->spec[w->count] = w->spec[0];
    w->spec[w->count++].name = strdup("blocks.7.stray.weight");
}

static void tensors_that_are_not_the_model_s_are_named(void **state)
{
    const char *dir = folder_of("tensors");
    (void)state;
    spoil_weights(dir, drop_last, "F32", 4);
    refuse(dir, "is missing, wanted [");
    spoil_weights(dir, swap_shape, "F32", 4);
    refuse(dir, "tensor patch_embedding.weight is [257, 16, 1, 2, 2], wanted [256, 16, 1, 2, 2]");
    spoil_weights(dir, rename_copy, "F32", 4);
    refuse(dir, "tensor blocks.7.stray.weight [256, 16, 1, 2, 2] is none of this model's");
    spoil_weights(dir, change_nothing, "I32", 4);
    refuse(dir, "has dtype I32; F32, BF16, F16 and F64 can be read");
    spoil_config(dir, "transformer/diffusion_pytorch_model.safetensors", "{}");
    refuse(dir, "diffusion_pytorch_model.safetensors");
}

static void missing_folders_are_named(void **state)
{
    const char *dir = folder_of("folders");
    (void)state;
    refuse(at("%s/nowhere", folder), "cannot open");
    file_write(at("%s/a_file", folder), "", false);
    refuse(at("%s/a_file", folder), "is a file; name a model's folder");
    mkdir(at("%s/empty", folder), 0700);
    refuse(at("%s/empty", folder), "holds no folder 'transformer'");
    assert_int_equal(rename(at("%s/vae", dir), at("%s/other", dir)), 0);
    refuse(dir, "holds no folder 'vae'");
    assert_int_equal(rename(at("%s/other", dir), at("%s/vae", dir)), 0);
    unlink(at("%s/vae/diffusion_pytorch_model.safetensors", dir));
    refuse(dir, "vae holds no .safetensors file");
}

static void schedulers_that_are_not_followed_are_said(void **state)
{
    static const struct {
        const char *text, *says;
    } row[] = {
        {"{\"_class_name\": \"DPMSolverMultistepScheduler\"}",
         "its class is 'DPMSolverMultistepScheduler'; name another by --scheduler and --shift"},
        {"{\"_class_name\": \"UniPCMultistepScheduler\", \"flow_shift\": 3.0}",
         "its use_flow_sigmas is not true"},
        {"{\"_class_name\": \"UniPCMultistepScheduler\", \"prediction_type\": \"flow_prediction\","
         " \"use_flow_sigmas\": true, \"solver_order\": 3}",
         "its solver_order is not 2"},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": \"five\"}",
         "its shift is no number over 0"},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"use_dynamic_shifting\": true}",
         "its use_dynamic_shifting is not false"},
        {"[]", "should hold one JSON object"},
    };
    const char *dir = folder_of("schedulers");
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        spoil_config(dir, "scheduler/scheduler_config.json", row[i].text);
        refuse(dir, row[i].says);
    }
    unlink(at("%s/scheduler/scheduler_config.json", dir));
    refuse(dir, "it holds no scheduler/scheduler_config.json");
    struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", "--model", dir, "--scheduler",
                               "euler", "--shift", "4", "--dry-run", CLIP}};
    succeed(&job);
    says(job.out, "\"scheduler\": \"euler\"");
    jobs_free(&job, 1);
}

static void experts_that_do_not_fit_are_refused(void **state)
{
    struct model_config other = *no_preset();
    const char *dir = folder_of("odd_experts");
    (void)state;
    index_put(dir, 0.9);
    refuse(dir, "gives a boundary_ratio, and the second expert's folder 'transformer_2' is not "
                "there");
    spoil_config(dir, "model_index.json", "{\"boundary_ratio\": 7}");
    refuse(dir, "boundary_ratio should be a number over 0, up to 1");
    other.transformer.layers = 2;
    component_put(dir, "transformer_2", PART_TRANSFORMER, &other, "F32", 4);
    refuse(dir, "transformer and transformer_2 differ in num_layers");
    struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", "--guidance", "4,3", "--prompt",
                               "x", "-o", job_word("%s/refused.y4m", folder)}};
    refused(&job, at("%s/refused", folder), "is of two experts, and tiny has one");
}

static void configs_that_do_not_fit_are_refused(void **state)
{
    struct model_config other = *no_preset();
    const char *dir = folder_of("configs");
    (void)state;
    spoil_config(dir, "transformer/config.json", "{\"_class_name\": \"FluxTransformer2DModel\"}");
    refuse(dir, "the class 'FluxTransformer2DModel' is none that runs here as a transformer");
    other.transformer.text_dim = 64;
    char *text = config_text(PART_TRANSFORMER, &other);
    spoil_config(dir, "transformer/config.json", text);
    free(text);
    refuse(dir, "the text encoder gives rows of 128, the transformer takes 64");
    spoil_config(dir, "transformer/config.json",
                 "{\"_class_name\": \"WanTransformer3DModel\", \"cross_attn_norm\": false}");
    refuse(dir, "not computed here: cross_attn_norm false");
    spoil_config(dir, "transformer/config.json", "{");
    refuse(dir, "malformed JSON");
}

static void tokenizers_belong_to_their_encoders(void **state)
{
    struct model_config other = *no_preset();
    const char *dir = job_word("%s/tokens", folder);
    size_t bytes;
    (void)state;
    other.text.vocab = 300;
    component_put(dir, "transformer", PART_TRANSFORMER, &other, "F32", 4);
    component_put(dir, "vae", PART_VAE, &other, "F32", 4);
    component_put(dir, "text_encoder", PART_TEXT, &other, "F32", 4);
    scheduler_put(dir, 3);
    refuse(dir, "tokenizer/spiece.model is missing, without which a prompt cannot be read");
#ifdef HAVE_SENTENCEPIECE
    char *model = file_read("tests/golden/tokenizer/spiece.model", &bytes);
    assert_non_null(model);
    mkdir(at("%s/tokenizer", dir), 0700);
    file_put(at("%s/tokenizer/spiece.model", dir), model, bytes);
    free(model);
    refuse(dir, "token numbers, and the text encoder embeds only 300");
#else
    (void)bytes;
#endif
}

/* ---- memory and records ---------------------------------------------------------------------- */

static double number_of(const char *json, const char *name)
{
    const char *at_name = strstr(json, at("\"%s\": ", name));
    return at_name ? strtod(at_name + strlen(name) + 4, NULL) : NAN;
}

/* Weights that outweigh the program itself: what the type asked for needs, and one staging buffer.
 * Sanitizers keep memory of their own beside ours. */
static void memory_is_what_the_types_need(void **state)
{
#ifdef SANITIZED /* shadow memory is taken too */
    skip();
#endif
    struct model_config m = preset_tiny;
    const char *dir = job_word("%s/large", folder), *rows = job_word("%s/rows", folder);
    (void)state;
    m.transformer.N = 8, m.transformer.F = 4096, m.transformer.layers = 8;
    component_put(dir, "transformer", PART_TRANSFORMER, &m, "BF16", 2);
    component_put(dir, "vae", PART_VAE, &m, "BF16", 2);
    scheduler_put(dir, 3);
    float *zeros = calloc(64 * 128, sizeof *zeros);
    const struct safetensor_out out[] = {{"prompt_embeds", 3, {1, 64, 128}, zeros}};
    assert_int_equal(safetensors_write(rows, out, 1, NULL), ST_OK);
    free(zeros);
    static const char *const dtypes[] = {"bf16", "f32"};
    for (int i = 0; i < 2; i++) {
        struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", "--model", dir,
                                   "--prompt-embeds", rows, "--guidance", "1", CLIP, "--dtype",
                                   dtypes[i], "-o", job_word("%s/large.y4m", folder)}};
        succeed(&job);
        const char *denoise = strstr(job.out, "\"denoise\"");
        const double weights = number_of(denoise, "weight_bytes");
        const double needed =
            weights + number_of(denoise, "activation_bytes") + number_of(denoise, "scratch_bytes");
        const double staging = 4096 * 1024 * sizeof(float); /* the largest matrix */
        const double own = 24 << 20;                        /* the program and its libraries */
        const double planned = number_of(job.out, "planned_bytes");
        const double resident = number_of(job.out, "peak_resident_bytes");
        assert_true(weights > 250 * 0x1p20);
        if (planned > 1.15 * needed + staging || resident > 1.15 * needed + staging + own)
            fail_msg("%s: %.1f MiB are needed, %.1f were planned, %.1f taken", dtypes[i],
                     needed / 0x1p20, planned / 0x1p20, resident / 0x1p20);
        jobs_free(&job, 1);
    }
}

/* Records go out into the world: a folder is known by its name there, not by where it stood. */
static void records_hold_no_paths(void **state)
{
    const char *dir = folder_of("of_mine"), *results = job_word("%s/results", folder);
    (void)state;
    struct job job = {.argv = {BUILD_DIR "/patchmark", "run", "--model", job_word("tiny,%s/", dir),
                               "--size", "34x20", "--frames", "1", "--steps", "1", "--threads", "2",
                               "--budget", "0.1", "--repetitions", "1", "--results", "results"}};
    char *here = getcwd(NULL, 0);
    (void)results;
    job.argv[0] = job_word("%s/%s/patchmark", here, BUILD_DIR);
    if (BUILD_DIR[0] == '/')
        job.argv[0] = BUILD_DIR "/patchmark";
    assert_int_equal(chdir(folder), 0);
    succeed(&job);
    assert_int_equal(chdir(here), 0);
    jobs_free(&job, 1);
    struct job show = {.argv = {"sh", "-c", job_word("cat %s/results/*/*.jsonl", folder)}};
    succeed(&show);
    says(show.out, "\"model\":\"of_mine\"");
    says(show.out, "--model tiny,of_mine");
    says(show.out, "--model of_mine");
    assert_null(strstr(show.out, dir));
    jobs_free(&show, 1);
    free(here);
}

#ifndef HAVE_JANSSON
static void needs_jansson(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
#ifndef HAVE_JANSSON
    const struct CMUnitTest none[] = {cmocka_unit_test(needs_jansson)};
    return cmocka_run_group_tests(none, NULL, NULL);
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_gives_the_preset_s_clip),
        cmocka_unit_test(sharding_is_no_part_of_the_identity),
        cmocka_unit_test(every_type_is_read_as_every_type),
        cmocka_unit_test(a_file_that_shrinks_is_said),
        cmocka_unit_test(two_experts_are_read_from_two_folders),
        cmocka_unit_test(a_model_of_classes_is_read),
        cmocka_unit_test(a_model_from_images_is_read),
        cmocka_unit_test(what_a_clip_does_not_need_may_be_missing),
        cmocka_unit_test(defaults_are_the_folder_s),
        cmocka_unit_test(euler_folders_are_followed),
        cmocka_unit_test(not_a_number_is_counted_and_said),
        cmocka_unit_test(tensors_that_are_not_the_model_s_are_named),
        cmocka_unit_test(missing_folders_are_named),
        cmocka_unit_test(schedulers_that_are_not_followed_are_said),
        cmocka_unit_test(experts_that_do_not_fit_are_refused),
        cmocka_unit_test(configs_that_do_not_fit_are_refused),
        cmocka_unit_test(tokenizers_belong_to_their_encoders),
        cmocka_unit_test(memory_is_what_the_types_need),
        cmocka_unit_test(records_hold_no_paths),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
