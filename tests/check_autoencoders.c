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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_agree),
        cmocka_unit_test(encoders_agree),
        cmocka_unit_test(chunks_equal_the_whole),
        cmocka_unit_test(parameters_are_the_published),
    };
    return cmocka_run_group_tests_name("autoencoders", tests, NULL, NULL);
}
