// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_autoencoders.c   The video autoencoders of Wan 2.1 and 2.2 against the published code
 * (tests/golden/make_autoencoders.py): encoding and decoding, chunk by chunk, whole and in tiles;
 * their sizes against the published ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "model/clip.h"
#include "model/vae.h"
#include "model/vae_encoder.h"
#include "presets/wan.h"
#include "support/golden.h"
#include "support/mini.h"

#define BOUND 1e-5
enum { FRAMES_STEP = 31, MEAN_STEP = 3 }; /* of all values, those that the golden file has */

/* The geometries of the golden script. */
static const struct model {
    const char *name;
    struct vae_config config;
} models[] = {{"2.1", WAN_VAE(4)}, {"2.2", WAN_2_2_VAE(4, 6)}};
enum { MODELS = sizeof models / sizeof *models };

/* A clip of T latent frames of H x W cells, and the same in pixels. */
struct shape {
    int64_t T, H, W;
    int64_t cells, latents; /* of a frame; values of all */
    int64_t frames, height, width, pixels, values;
};

static struct shape shape_of(const struct vae_config *c, int64_t T, int64_t H, int64_t W)
{
    struct shape s = {.T = T, .H = H, .W = W, .cells = H * W, .latents = T * H * W * c->z_dim};
    s.frames = 1 + (T - 1) * c->scale_time;
    s.height = H * c->scale_space;
    s.width = W * c->scale_space;
    s.pixels = s.height * s.width;
    s.values = s.frames * s.pixels * 3;
    return s;
}

/* What the script draws under this name, channels last. */
static float *drawn(const struct model *m, const char *what, int64_t channels, int64_t places,
                    float scale)
{
    char name[64];
    snprintf(name, sizeof name, "golden.%s.%s", m->name, what);
    float *planes = mini_uniform(name, channels * places, scale);
    float *out = golden_transposed(planes, channels, places);
    free(planes);
    return out;
}

/* The script's latents are what goes into the network; ours are normalised. */
static float *drawn_latents(const struct model *m, const struct shape *s)
{
    const struct vae_config *c = &m->config;
    float *z = drawn(m, "z", c->z_dim, s->T * s->cells, 2.0f);
    for (int64_t i = 0; i < s->latents; i++)
        z[i] = (float)((z[i] - c->mean[i % c->z_dim]) / c->std[i % c->z_dim]);
    return z;
}

static float *drawn_pixels(const struct model *m, const struct shape *s)
{
    return drawn(m, "pixels", 3, s->frames * s->pixels, 1.0f);
}

/* Against the stored part, channels first as stored. */
static void close_to_golden(struct safetensors *file, const char *model, const char *kind,
                            const char *what, const float *got, int64_t channels, int64_t places,
                            int64_t step)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s.%s", model, kind, what);
    const int64_t count = (channels * places + step - 1) / step;
    float *want = golden_values(file, key, count),
          *planes = golden_transposed(got, places, channels);
    for (int64_t i = 0; i < count; i++)
        planes[i] = planes[i * step];
    golden_close(key, planes, want, count, BOUND);
    free(planes), free(want);
}

static void clamp(float *frames, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        frames[i] = fminf(fmaxf(frames[i], -1.0f), 1.0f);
}

static void denormalise(const struct vae_config *c, float *z, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        z[i] = (float)(z[i] * c->std[i % c->z_dim] + c->mean[i % c->z_dim]);
}

/* ---- whole frames ---------------------------------------------------------------------------- */

/* z [T][cells][z] -> frames [frames][pixels][3]; after the first `step` latent frames at a time. */
static float *decode(const struct vae_config *config, enum fill fill, const struct shape *s,
                     const float *z, int64_t step)
{
    struct plain_ops *p = golden_ops(fill);
    struct ops *ops = plain_ops_table(p);
    struct vae v;
    struct tensor in, out;
    float *frames = malloc((size_t)s->values * sizeof *frames), *to = frames;
    golden_check(p, ops->enter(ops, STAGE_DECODE));
    golden_check(p, vae_load(ops, config, &v));
    golden_check(p, vae_begin(&v, s->H, s->W));
    for (int64_t t = 0, chunk, count; t < s->T; t += chunk) {
        chunk = t == 0 ? 1 : step;
        const int64_t rows = chunk * s->cells;
        golden_check(p, ops->alloc(ops, &in, ELEM_F32, rows, config->z_dim, "z"));
        golden_check(p, ops->put(ops, &in, z + t * s->cells * config->z_dim, rows, config->z_dim));
        golden_check(p, vae_decode_many(&v, in, chunk, &out, &count));
        assert_int_equal(count, t == 0 ? 1 : chunk * config->scale_time);
        golden_check(p, ops->get(ops, &out, to, count * s->pixels, 3));
        to += count * s->pixels * 3;
        ops->release(ops, &out);
        ops->release(ops, &in);
    }
    golden_check(p, ops->leave(ops, STAGE_DECODE));
    plain_ops_free(p);
    assert_ptr_equal(to, frames + s->values);
    return frames;
}

/* pixels [frames][pixels][3] -> z [T][cells][z]; after the first `step` latent frames at a time. */
static float *encode(const struct vae_config *config, enum fill fill, const struct shape *s,
                     const float *pixels, int64_t step)
{
    struct plain_ops *p = golden_ops(fill);
    struct ops *ops = plain_ops_table(p);
    struct vae_encoder e;
    struct tensor in, out;
    float *z = malloc((size_t)s->latents * sizeof *z);
    golden_check(p, ops->enter(ops, STAGE_ENCODE));
    golden_check(p, vae_encoder_load(ops, config, &e));
    golden_check(p, vae_encoder_begin(&e, s->height, s->width));
    for (int64_t t = 0, chunk, frames; t < s->T; t += chunk, pixels += frames * s->pixels * 3) {
        chunk = t == 0 ? 1 : step;
        frames = t == 0 ? 1 : chunk * config->scale_time;
        golden_check(p, ops->alloc(ops, &in, ELEM_F32, frames * s->pixels, 3, "pixels"));
        golden_check(p, ops->put(ops, &in, pixels, frames * s->pixels, 3));
        golden_check(p, vae_encode(&e, in, frames, &out));
        golden_check(p, ops->get(ops, &out, z + t * s->cells * config->z_dim, chunk * s->cells,
                                 config->z_dim));
        ops->release(ops, &out);
        ops->release(ops, &in);
    }
    golden_check(p, ops->leave(ops, STAGE_ENCODE));
    plain_ops_free(p);
    return z;
}

static void check_decode(const struct model *m, enum fill fill, const char *kind)
{
    struct safetensors *file = golden_open("autoencoders");
    const struct shape s = shape_of(&m->config, 3, 3, 5);
    float *z = drawn_latents(m, &s), *frames = decode(&m->config, fill, &s, z, 1);
    clamp(frames, s.values);
    close_to_golden(file, m->name, kind, "frames", frames, 3, s.frames * s.pixels, FRAMES_STEP);
    free(frames), free(z);
    safetensors_free(file);
}

static void check_encode(const struct model *m, enum fill fill, const char *kind)
{
    struct safetensors *file = golden_open("autoencoders");
    const struct shape s = shape_of(&m->config, 3, 3, 5);
    float *pixels = drawn_pixels(m, &s), *z = encode(&m->config, fill, &s, pixels, 1);
    denormalise(&m->config, z, s.latents);
    close_to_golden(file, m->name, kind, "mean", z, m->config.z_dim, s.T * s.cells, MEAN_STEP);
    free(z), free(pixels);
    safetensors_free(file);
}

static void decoders_agree(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        check_decode(&models[i], FILL_NORMAL, "normal");
        check_decode(&models[i], FILL_OUTLIER, "outlier");
    }
}

static void encoders_agree(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        check_encode(&models[i], FILL_NORMAL, "normal");
        check_encode(&models[i], FILL_OUTLIER, "outlier");
    }
}

/* All that follows the first chunk, at once: the caches take no part beyond the first frame. */
static void chunks_equal_the_whole(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        const struct vae_config *c = &models[i].config;
        const struct shape s = shape_of(c, 4, 2, 3);
        float *z = drawn_latents(&models[i], &s), *pixels = drawn_pixels(&models[i], &s);
        float *frames = decode(c, FILL_NORMAL, &s, z, 1), *one = decode(c, FILL_NORMAL, &s, z, 3);
        golden_close("frames", frames, one, s.values, 1e-6);
        free(frames), free(one);
        float *latents = encode(c, FILL_NORMAL, &s, pixels, 1);
        one = encode(c, FILL_NORMAL, &s, pixels, 3);
        golden_close("latents", latents, one, s.latents, 1e-6);
        free(latents), free(one), free(pixels), free(z);
    }
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static const struct vae_tiling whole = {0, 0};

/* A model of nothing but an autoencoder, and a clip of it. */
struct scene {
    struct model_config model;
    struct geometry grid;
    struct shape shape;
    struct vae_tiling tiles; /* 5 cells, 3 apart */
};

static struct scene scene_of(const struct model *m, int64_t T, int64_t H, int64_t W)
{
    const int64_t cell = m->config.scale_space;
    struct scene s = {.model = {.vae = m->config, .transformer = {.pt = 1, .ph = 1, .pw = 1}},
                      .shape = shape_of(&m->config, T, H, W),
                      .tiles = {5 * cell, 3 * cell}};
    assert_int_equal(
        geometry_of(&s.model, s.shape.width, s.shape.height, s.shape.frames, &s.grid, NULL), ST_OK);
    return s;
}

/* Frames that a sink is given, as the decoder's values. */
struct seen {
    const struct geometry *grid;
    float *frames;
    int64_t next;
};

static enum status see(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct seen *seen = user;
    const int64_t frame = seen->grid->height * seen->grid->width * 3;
    assert_int_equal(first, seen->next);
    for (int64_t i = 0; i < count * frame; i++)
        seen->frames[first * frame + i] = 2.0f * rgb[i] - 1.0f;
    seen->next += count;
    return ST_OK;
}

/* Peak bytes of activations where the caller wants them. */
static float *decode_clip(const struct scene *s, const struct vae_tiling *tiling, const float *z,
                          size_t *peak)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct seen seen = {&s->grid, malloc((size_t)s->shape.values * sizeof(float)), 0};
    const struct generate_sink sink = {.user = &seen, .frames_f32 = see};
    golden_check(p, clip_decode(plain_ops_table(p), &s->model, &s->grid, tiling, z, 1, &sink));
    assert_int_equal(seen.next, s->grid.frames);
    if (peak)
        *peak = plain_ops_peak_bytes(p);
    plain_ops_free(p);
    return seen.frames;
}

static float *encode_clip(const struct scene *s, const struct vae_tiling *tiling,
                          const uint8_t *rgb)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *z = malloc((size_t)s->shape.latents * sizeof *z);
    golden_check(p, clip_encode(plain_ops_table(p), &s->model, &s->grid, tiling, rgb, z));
    plain_ops_free(p);
    return z;
}

static uint8_t *drawn_bytes(const struct model *m, const struct shape *s)
{
    float *pixels = drawn_pixels(m, s);
    uint8_t *rgb = malloc((size_t)s->values);
    for (int64_t i = 0; i < s->values; i++)
        rgb[i] = (uint8_t)floor(((double)pixels[i] + 1.0) * 127.5 + 0.5);
    free(pixels);
    return rgb;
}

static void tiles_agree(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("autoencoders");
    for (int i = 0; i < MODELS; i++) {
        const struct model *m = &models[i];
        const struct scene s = scene_of(m, 2, 7, 8);
        float *z = drawn_latents(m, &s.shape), *frames = decode_clip(&s, &s.tiles, z, NULL);
        close_to_golden(file, m->name, "tiled", "frames", frames, 3,
                        s.shape.frames * s.shape.pixels, FRAMES_STEP);
        uint8_t *rgb = drawn_bytes(m, &s.shape);
        float *latents = encode_clip(&s, &s.tiles, rgb);
        denormalise(&m->config, latents, s.shape.latents);
        close_to_golden(file, m->name, "tiled", "mean", latents, m->config.z_dim,
                        s.shape.T * s.shape.cells, MEAN_STEP);
        free(latents), free(rgb), free(frames), free(z);
    }
    safetensors_free(file);
}

/* A tile as large as the frame changes nothing; smaller ones take less memory and leave seams. */
static void tiles_save_memory(void **state)
{
    (void)state;
    const struct scene s = scene_of(&models[0], 2, 7, 8);
    const struct vae_tiling large = {8 * 8, 6 * 8};
    size_t whole_bytes, large_bytes, tile_bytes;
    float *z = drawn_latents(&models[0], &s.shape);
    float *frames = decode_clip(&s, &whole, z, &whole_bytes);
    float *same = decode_clip(&s, &large, z, &large_bytes);
    float *tiled = decode_clip(&s, &s.tiles, z, &tile_bytes);
    assert_memory_equal(frames, same, (size_t)s.shape.values * sizeof *frames);
    assert_int_equal(large_bytes, whole_bytes);
    assert_true(tile_bytes < whole_bytes / 2 + whole_bytes / 8);
    const double seams = mini_relative_l2(tiled, frames, s.shape.values);
    assert_true(seams > 1e-4 && seams < 2.0); /* of a random network they are large */
    free(tiled), free(same), free(frames), free(z);
}

/* Odd sizes are padded by repeating edges, and cropped again. */
static void clips_of_any_size_pass(void **state)
{
    (void)state;
    struct scene s = scene_of(&models[0], 2, 3, 4);
    struct scene odd = s;
    assert_int_equal(geometry_of(&odd.model, 29, 21, 3, &odd.grid, NULL), ST_OK);
    assert_int_equal(odd.grid.H * odd.grid.W * odd.grid.T, s.grid.H * s.grid.W * s.grid.T);
    uint8_t *rgb = drawn_bytes(&models[0], &s.shape), *part = malloc(3 * 21 * 29 * 3);
    for (int64_t t = 0; t < s.grid.frames; t++)
        for (int64_t y = 0; y < 24; y++)
            for (int64_t x = 0; x < 32; x++) {
                const int64_t u = t < 3 ? t : 2, v = y < 21 ? y : 20, w = x < 29 ? x : 28;
                uint8_t *to = rgb + ((t * 24 + y) * 32 + x) * 3;
                memcpy(to, rgb + ((u * 24 + v) * 32 + w) * 3, 3);
                if (t < 3 && y < 21 && x < 29)
                    memcpy(part + ((t * 21 + y) * 29 + x) * 3, to, 3);
            }
    float *padded = encode_clip(&odd, &whole, part), *full = encode_clip(&s, &whole, rgb);
    assert_memory_equal(padded, full, (size_t)s.shape.latents * sizeof *full);
    float *cropped = decode_clip(&odd, &whole, full, NULL),
          *all = decode_clip(&s, &whole, full, NULL);
    for (int64_t y = 0; y < 21; y++)
        assert_memory_equal(cropped + ((2 * 21 + y) * 29) * 3, all + ((2 * 24 + y) * 32) * 3,
                            29 * 3 * sizeof *all);
    free(all), free(cropped), free(full), free(padded), free(part), free(rgb);
}

static void tilings_are_checked(void **state)
{
    (void)state;
    static const struct vae_tiling wrong[] = {{8, 16}, {12, 8}, {16, 4}, {16, 0}, {-16, 8}, {4, 4}};
    const struct vae_config *c = &models[0].config;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fault fault = {0};
        assert_int_equal(vae_tiling_check(c, &wrong[i], &fault), ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, "multiples of 8"));
    }
    assert_int_equal(vae_tiling_check(c, &whole, NULL), ST_OK);
    assert_int_equal(vae_tile_stride(c, 256), 192);
    assert_int_equal(vae_tile_stride(c, 8), 8);
    assert_int_equal(vae_tile_stride(&models[1].config, 256), 192);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static const struct vae_config wan_2_1 = WAN_VAE(96), wan_2_2 = WAN_2_2_VAE(160, 256);

/* Of AutoencoderKLWan with the published configurations. */
static void parameters_are_the_published(void **state)
{
    (void)state;
    assert_int_equal(vae_encoder_parameters(&wan_2_1), 53596928);
    assert_int_equal(vae_decoder_parameters(&wan_2_1), 73295603);
    assert_int_equal(vae_encoder_parameters(&wan_2_2) + vae_decoder_parameters(&wan_2_2),
                     704688668);
}

/* Counted, not run, through the whole engine. */
static void assert_tflop(const struct vae_config *c, int64_t width, int64_t height, int64_t frames,
                         enum stage stage, double want)
{
    static const uint8_t clip;
    static const float clean;
    struct model_config model = {.vae = *c, .transformer = {.pt = 1, .ph = 1, .pw = 1}};
    struct engine_config config = {.type = ELEM_BF16, .threads = 1, .quiet = true};
    struct generate_request request = {.model = &model};
    struct engine *engine;
    struct fault fault = {{0}};
    if (stage == STAGE_ENCODE)
        request.clip = &clip;
    else
        request.clean = &clean;
    assert_int_equal(geometry_of(&model, width, height, frames, &request.geometry, NULL), ST_OK);
    assert_int_equal(engine_new(&config, &engine, &fault), ST_OK);
    if (engine_count(engine, &request, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    const double got = engine_stage(engine, stage)->flops / 1e12;
    if (!(got >= 0.9995 * want && got <= 1.003 * want))
        fail_msg("%.2f TFLOP, expected %.2f", got, want);
    engine_free(engine);
}

static void work_is_the_published(void **state)
{
    (void)state;
    assert_tflop(&wan_2_1, 832, 480, 81, STAGE_ENCODE, 163.75);
    assert_tflop(&wan_2_1, 832, 480, 81, STAGE_DECODE, 275.35);
    assert_tflop(&wan_2_2, 1280, 704, 121, STAGE_DECODE, 2011.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_agree),         cmocka_unit_test(encoders_agree),
        cmocka_unit_test(chunks_equal_the_whole), cmocka_unit_test(tiles_agree),
        cmocka_unit_test(tiles_save_memory),      cmocka_unit_test(clips_of_any_size_pass),
        cmocka_unit_test(tilings_are_checked),    cmocka_unit_test(parameters_are_the_published),
        cmocka_unit_test(work_is_the_published),
    };
    return cmocka_run_group_tests_name("autoencoders", tests, NULL, NULL);
}
