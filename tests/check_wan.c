// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_wan.c   What the Wan models have beyond text to video with one expert, against the published
 * models' own code on the same weights (tests/golden/make_wan.py). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/picture.h"
#include "model/generate.h"
#include "model/image.h"
#include "model/transformer.h"
#include "presets/wan.h"
#include "support/golden.h"
#include "support/mini.h"

enum { ROWS = 512, SHORT_ROWS = 24, REAL_ROWS = 5, TEXT = 32, Z = 16, BESIDE = 20 };
enum { CLIP_SIDE = 42, CLIP_ROWS = 10, CLIP_C = 32 };

/* The geometry of make_wan.py. */
static struct model_config wan(enum image_input input, int64_t channels, bool attends,
                               int64_t image_rows)
{
    struct model_config m = mini;
    m.text.rows = attends ? ROWS : SHORT_ROWS;
    m.image_input = input;
    m.transformer.in_channels = channels;
    if (!attends)
        return m;
    m.image = (struct image_config){
        .size = CLIP_SIDE, .patch = 14, .N = 2, .D = 16, .F = 80, .layers = 3, .eps = 1e-5};
    m.transformer.image_dim = CLIP_C;
    m.transformer.image_rows = image_rows;
    return m;
}

static float *text_rows(const char *name, int64_t rows)
{
    float *text = mini_uniform(name, rows * TEXT, 1.0f);
    memset(text + REAL_ROWS * TEXT, 0, (size_t)((rows - REAL_ROWS) * TEXT) * sizeof *text);
    return text;
}

/* ---- components ------------------------------------------------------------------------------ */

enum { DIT_T = 3, DIT_H = 6, DIT_W = 10, DIT_CELLS = DIT_T * DIT_H * DIT_W };

static void forward(struct plain_ops *p, const struct model_config *model,
                    const struct denoiser_prompt *prompt, const double *time, int64_t times,
                    const float *cells, float *velocity)
{
    struct ops *ops = plain_ops_table(p);
    const int64_t in = model->transformer.in_channels;
    struct denoiser d;
    struct tensor x, v;
    void *condition;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, model, &d));
    golden_check(p, d.family->begin(d.network, DIT_T, DIT_H, DIT_W, 16.0));
    golden_check(p, denoiser_condition_new(&d, ops, prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, DIT_CELLS, in, "x"));
    golden_check(p, ops->alloc(ops, &v, ELEM_F32, DIT_CELLS, Z, "v"));
    golden_check(p, ops->put(ops, &x, cells, DIT_CELLS, in));
    golden_check(p, d.family->set_time(d.network, time, times));
    golden_check(p, d.family->forward(d.network, condition, x, v));
    golden_check(p, ops->get(ops, &v, velocity, DIT_CELLS, Z));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
}

static void check_forward(const char *name, const struct model_config *model, int64_t image_rows,
                          const double *time, int64_t times)
{
    struct safetensors *file = golden_open("wan");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    const int64_t in = model->transformer.in_channels;
    float *latents = mini_uniform("golden.latents", in * DIT_CELLS, 2.0f);
    float *cells = golden_transposed(latents, in, DIT_CELLS);
    float *text = text_rows("golden.text", model->text.rows);
    float *features = mini_uniform("golden.features", 2 * CLIP_ROWS * CLIP_C, 2.0f);
    const struct denoiser_prompt prompt = {
        .text = text, .rows = model->text.rows, .image = features, .image_rows = image_rows};
    float velocity[DIT_CELLS * Z];
    forward(p, model, &prompt, time, times, cells, velocity);
    float *got = golden_transposed(velocity, DIT_CELLS, Z);
    float *want = golden_values(file, name, Z * DIT_CELLS);
    golden_close(name, got, want, Z * DIT_CELLS, 1e-5);
    free(want), free(got), free(features), free(text), free(cells), free(latents);
    plain_ops_free(p);
    safetensors_free(file);
}

static void attends_to_an_image(void **state)
{
    (void)state;
    const struct model_config model = wan(IMAGE_CHANNELS, Z + BESIDE, true, 0);
    check_forward("image_velocity", &model, CLIP_ROWS, &(double){937.0}, 1);
}

static void attends_to_two_images(void **state)
{
    (void)state;
    const struct model_config model = wan(IMAGE_CHANNELS, Z + BESIDE, true, 2 * CLIP_ROWS);
    check_forward("images_velocity", &model, 2 * CLIP_ROWS, &(double){937.0}, 1);
}

static void times_per_frame(void **state)
{
    (void)state;
    const struct model_config model = wan(IMAGE_FIRST_FRAME, Z, false, 0);
    check_forward("times_velocity", &model, 0, (double[]){0.0, 937.0, 411.0}, 3);
}

/* The same network told one time for all frames, in both ways. */
static void equal_times_are_one_time(void **state)
{
    (void)state;
    const struct model_config model = wan(IMAGE_FIRST_FRAME, Z, false, 0);
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *cells = mini_uniform("golden.latents", Z * DIT_CELLS, 2.0f);
    float *text = text_rows("golden.text", SHORT_ROWS), one[DIT_CELLS * Z], three[DIT_CELLS * Z];
    const struct denoiser_prompt prompt = {.text = text, .rows = SHORT_ROWS};
    forward(p, &model, &prompt, &(double){411.0}, 1, cells, one);
    forward(p, &model, &prompt, (double[]){411.0, 411.0, 411.0}, 3, cells, three);
    assert_memory_equal(one, three, sizeof one);
    free(text), free(cells);
    plain_ops_free(p);
}

/* A transformer that attends to an image refuses to go without, and the other way round. */
static void image_rows_must_fit(void **state)
{
    (void)state;
    const struct model_config two = wan(IMAGE_CHANNELS, Z + BESIDE, true, 2 * CLIP_ROWS);
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct ops *ops = plain_ops_table(p);
    struct denoiser d;
    void *condition = NULL;
    float features[CLIP_ROWS * CLIP_C] = {0};
    const struct denoiser_prompt prompt = {.image = features, .image_rows = CLIP_ROWS};
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, &two, &d));
    assert_int_equal(denoiser_condition_new(&d, ops, &prompt, &condition), ST_BAD_INPUT);
    assert_non_null(strstr(plain_ops_fault(p), "10 rows of image features"));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
    plain_ops_free(p);
}

static void clip(void **state)
{
    (void)state;
    const struct model_config model = wan(IMAGE_CHANNELS, Z + BESIDE, true, 0);
    struct safetensors *file = golden_open("wan");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct ops *ops = plain_ops_table(p);
    float *pixels = mini_uniform("golden.pixels", CLIP_SIDE * CLIP_SIDE * 3, 2.0f);
    float got[CLIP_ROWS * CLIP_C], *want = golden_values(file, "clip", CLIP_ROWS * CLIP_C);
    struct image image;
    assert_int_equal(image_rows(&model.image), CLIP_ROWS);
    golden_check(p, ops->enter(ops, STAGE_IMAGE));
    golden_check(p, image_load(ops, &model.image, &image));
    golden_check(p, image_encode(&image, pixels, got));
    golden_check(p, ops->leave(ops, STAGE_IMAGE));
    golden_close("clip", got, want, CLIP_ROWS * CLIP_C, 1e-5);
    image_free(&image);
    free(want), free(pixels);
    plain_ops_free(p);
    safetensors_free(file);
}

/* ---- pipelines ------------------------------------------------------------------------------- */

enum { HEIGHT = 32, WIDTH = 48, WIDTH_MOST = 64, STEPS_MOST = 6, FRAMES_MOST = 9 };
enum { VALUES_MOST = 1152, FRAMES_STEP = 7 };

struct seen {
    int64_t values, pixels, next; /* of all latents; of a frame; of the next frame */
    float latents[STEPS_MOST][VALUES_MOST], finished[VALUES_MOST];
    float frames[FRAMES_MOST * HEIGHT * WIDTH_MOST * 3];
};

static enum status see_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct seen *seen = user;
    (void)count;
    memcpy(seen->latents[index - 1], latents, (size_t)seen->values * sizeof *latents);
    return ST_OK;
}

static enum status see_denoised(void *user, const float *latents)
{
    struct seen *seen = user;
    memcpy(seen->finished, latents, (size_t)seen->values * sizeof *latents);
    return ST_OK;
}

static enum status see_frames(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct seen *seen = user;
    assert_int_equal(first, seen->next);
    memcpy(seen->frames + first * seen->pixels, rgb, (size_t)(count * seen->pixels) * sizeof *rgb);
    seen->next = first + count;
    return ST_OK;
}

/* The picture of make_wan.py: 8x8 squares of one colour, in 8 bits. */
static uint8_t *picture(const char *name, int height, int width)
{
    float *coarse = mini_uniform(name, height / 8 * (width / 8) * 3, 1.0f);
    uint8_t *out = malloc((size_t)(height * width * 3));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                const float u = coarse[(y / 8 * (width / 8) + x / 8) * 3 + c];
                out[(y * width + x) * 3 + c] = (uint8_t)floorf((u + 1.0f) * 127.9f);
            }
    free(coarse);
    return out;
}

/* The resampling of the published code, to the last bit: what is larger and what is smaller, wide
 * and tall. */
static void images_are_prepared_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *stream, *clip, *frame;
        int height, width;
    } row[] = {{"golden.wide", "wide.clip", "wide.frame", 96, 152},
               {"golden.tall", "tall.clip", "tall.frame", 48, 24}};
    struct safetensors *file = golden_open("wan");
    const struct geometry g = {
        .width = WIDTH, .height = HEIGHT, .pad_width = WIDTH, .pad_height = HEIGHT};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct picture p = {.width = row[i].width, .height = row[i].height};
        float *frame, *pixels;
        p.rgb = picture(row[i].stream, row[i].height, row[i].width);
        assert_int_equal(picture_frame(&p, &g, &frame, NULL), ST_OK);
        assert_int_equal(picture_pixels(&p, CLIP_SIDE, &pixels, NULL), ST_OK);
        const int64_t values = WIDTH * HEIGHT * 3, clip_values = CLIP_SIDE * CLIP_SIDE * 3;
        float *want = golden_values(file, row[i].frame, values);
        float *clip_want = golden_values(file, row[i].clip, clip_values);
        golden_close(row[i].frame, frame, want, values, 1e-7);
        golden_close(row[i].clip, pixels, clip_want, clip_values, 1e-6);
        free(clip_want), free(want), free(pixels), free(frame);
        picture_free(&p);
    }
    safetensors_free(file);
}

/* As a frame of the clip, and as CLIP sees it. */
static void prepare(const char *name, const struct generate_request *r, float **frame,
                    float **pixels)
{
    const struct geometry *g = &r->geometry;
    struct picture p = {.width = g->width, .height = g->height};
    p.rgb = picture(name, (int)g->height, (int)g->width);
    assert_int_equal(picture_frame(&p, g, frame, NULL), ST_OK);
    *pixels = NULL;
    if (r->model->image.layers)
        assert_int_equal(picture_pixels(&p, CLIP_SIDE, pixels, NULL), ST_OK);
    picture_free(&p);
}

/* One pipeline of make_wan.py. */
struct pipeline {
    const char *name;
    struct model_config model;
    int64_t steps, frames;
    double shift, guidance, guidance_low;
    int images; /* given */
    int64_t width;
};

static void generate_into(struct plain_ops *p, const struct pipeline *c, struct seen *seen)
{
    float *prompt = text_rows("golden.prompt", c->model.text.rows);
    float *negative = text_rows("golden.negative", c->model.text.rows);
    float *image, *last, *pixels, *last_pixels;
    struct generate_request request = {
        .model = &c->model,
        .steps = c->steps,
        .guidance = c->guidance,
        .guidance_low = c->guidance_low,
        .shift = c->shift,
        .prompt_embeds = prompt,
        .negative_embeds = negative,
        .embed_rows = REAL_ROWS,
        .sink = {.user = seen,
                 .frames_f32 = see_frames,
                 .latents = see_latents,
                 .denoised = see_denoised},
    };
    struct geometry *g = &request.geometry;
    assert_int_equal(geometry_of(&c->model, c->width, HEIGHT, c->frames, g, NULL), ST_OK);
    seen->values = g->C * g->T * g->H * g->W;
    seen->pixels = c->width * HEIGHT * 3;
    assert_true(seen->values <= VALUES_MOST);
    prepare("golden.image", &request, &image, &pixels);
    prepare("golden.last", &request, &last, &last_pixels);
    request.image = c->images > 0 ? image : NULL;
    request.last_image = c->images > 1 ? last : NULL;
    request.image_pixels = pixels, request.last_image_pixels = last_pixels;
    float *noise = mini_uniform("golden.noise", seen->values, 2.0f);
    request.noise = noise;
    golden_check(p, generate(plain_ops_table(p), &request));
    free(noise), free(last_pixels), free(pixels);
    free(last), free(image), free(negative), free(prompt);
}

/* Every seventh value of the clip. */
static void check_frames(const char *name, const struct seen *seen)
{
    struct safetensors *file = golden_open("wan");
    const int64_t values = seen->next * seen->pixels;
    const int64_t count = (values + FRAMES_STEP - 1) / FRAMES_STEP;
    float *want = golden_values(file, name, count);
    for (int64_t i = 0; i < count; i++)
        assert_true(fabsf(seen->frames[i * FRAMES_STEP] - want[i]) <= 1.0f / 255.0f);
    free(want);
    safetensors_free(file);
}

/* Latents after every step, on all cells together and within the bound of a pipeline. */
static void check_pipeline(const struct pipeline *c, struct seen *seen)
{
    struct safetensors *file = golden_open("wan");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    char name[64];
    generate_into(p, c, seen);
    snprintf(name, sizeof name, "%s.latents", c->name);
    float *want = golden_values(file, name, c->steps * seen->values);
    for (int64_t i = 0; i < c->steps; i++)
        golden_close(name, seen->latents[i], want + i * seen->values, seen->values, 1e-4);
    assert_int_equal(seen->next, c->frames);
    free(want);
    plain_ops_free(p);
    safetensors_free(file);
}

static void two_experts(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    struct pipeline c = {"experts", wan(IMAGE_NONE, Z, false, 0), 6, 9, 3.0, 4.0, 3.0, 0, WIDTH};
    c.model.boundary = 0.875;
    check_pipeline(&c, seen);
    free(seen);
}

/* With the latents of Wan 2.2, whose first frame is put back after the last step. */
static void first_frame_stays(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    struct safetensors *file = golden_open("wan");
    struct pipeline c = {"first",   wan(IMAGE_FIRST_FRAME, 48, false, 0), 4, 9, 5.0, 5.0, 0.0, 1,
                         WIDTH_MOST};
    c.model.transformer.out_channels = 48;
    c.model.vae = (struct vae_config)WAN_2_2_VAE(4, 6);
    check_pipeline(&c, seen);
    float *end = golden_values(file, "first.end", seen->values);
    golden_close("first.end", seen->finished, end, seen->values, 1e-4);
    assert_memory_not_equal(seen->finished, seen->latents[3], 8 * sizeof(float));
    check_frames("first.frames", seen);
    free(end), free(seen);
    safetensors_free(file);
}

static void first_frame_may_be_free(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    const struct pipeline c = {"none", wan(IMAGE_FIRST_FRAME, Z, false, 0), 4, 9, 5.0, 5.0, 0.0, 0,
                               WIDTH};
    check_pipeline(&c, seen);
    assert_memory_equal(seen->finished, seen->latents[3], (size_t)seen->values * sizeof(float));
    free(seen);
}

static void from_an_image(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    const struct pipeline c = {
        "one", wan(IMAGE_CHANNELS, Z + BESIDE, true, 0), 4, 5, 3.0, 5.0, 0.0, 1, WIDTH};
    check_pipeline(&c, seen);
    check_frames("one.frames", seen);
    free(seen);
}

static void between_two_images(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    const struct pipeline c = {
        "two", wan(IMAGE_CHANNELS, Z + BESIDE, true, 2 * CLIP_ROWS), 3, 9, 16.0, 5.0, 0.0, 2,
        WIDTH};
    check_pipeline(&c, seen);
    free(seen);
}

static void from_an_image_by_two_experts(void **state)
{
    (void)state;
    struct seen *seen = calloc(1, sizeof *seen);
    struct pipeline c = {
        "channels", wan(IMAGE_CHANNELS, Z + BESIDE, false, 0), 4, 9, 5.0, 3.5, 3.5, 1, WIDTH};
    c.model.boundary = 0.9;
    check_pipeline(&c, seen);
    free(seen);
}

/* ---- main ------------------------------------------------------------------------------------ */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attends_to_an_image),
        cmocka_unit_test(attends_to_two_images),
        cmocka_unit_test(times_per_frame),
        cmocka_unit_test(equal_times_are_one_time),
        cmocka_unit_test(image_rows_must_fit),
        cmocka_unit_test(clip),
        cmocka_unit_test(images_are_prepared_as_published),
        cmocka_unit_test(two_experts),
        cmocka_unit_test(first_frame_stays),
        cmocka_unit_test(first_frame_may_be_free),
        cmocka_unit_test(from_an_image),
        cmocka_unit_test(between_two_images),
        cmocka_unit_test(from_an_image_by_two_experts),
    };
    return cmocka_run_group_tests_name("wan", tests, NULL, NULL);
}
