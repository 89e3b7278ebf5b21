// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_golden.c   Our networks, samplers and pipeline against the published models' own code on
 * the same weights (tests/golden/README.md). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode/to_rgb/to_rgb.h"
#include "model/generate.h"
#include "model/sampler.h"
#include "model/text.h"
#include "model/transformer.h"
#include "model/vae.h"
#include "support/golden.h"
#include "support/mini.h"

/* ---- networks -------------------------------------------------------------------------------- */

enum { DIT_T = 3, DIT_H = 6, DIT_W = 10, DIT_CELLS = DIT_T * DIT_H * DIT_W, Z = 16 };

static void forward(struct plain_ops *p, const float *cells, const float *text, float *velocity)
{
    struct ops *ops = plain_ops_table(p);
    struct transformer t;
    struct transformer_context context;
    struct tensor x, v;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, transformer_load(ops, &mini.transformer, &t));
    golden_check(p, transformer_begin(&t, DIT_T, DIT_H, DIT_W));
    const struct denoiser_prompt prompt = {.text = text, .rows = mini.text.rows};
    golden_check(p, transformer_context_new(&t, &prompt, &context));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, DIT_CELLS, Z, "x"));
    golden_check(p, ops->alloc(ops, &v, ELEM_F32, DIT_CELLS, Z, "v"));
    golden_check(p, ops->put(ops, &x, cells, DIT_CELLS, Z));
    golden_check(p, transformer_set_time(&t, &(double){937.0}, 1));
    golden_check(p, transformer_forward(&t, &context, x, v));
    golden_check(p, ops->get(ops, &v, velocity, DIT_CELLS, Z));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    transformer_context_free(&context);
    transformer_free(&t);
}

static void check_transformer(const char *file_name, enum fill fill)
{
    struct safetensors *file = golden_open(file_name);
    struct plain_ops *p = golden_ops(fill);
    float *latents = mini_uniform("golden.latents", Z * DIT_CELLS, 2.0f);
    float *cells = golden_transposed(latents, Z, DIT_CELLS);
    float *text = mini_uniform("golden.text", mini.text.rows * mini.text.C, 1.0f);
    memset(text + 5 * mini.text.C, 0, (size_t)((mini.text.rows - 5) * mini.text.C) * sizeof *text);
    float velocity[DIT_CELLS * Z];
    forward(p, cells, text, velocity);
    float *got = golden_transposed(velocity, DIT_CELLS, Z);
    float *want = golden_values(file, "velocity", Z * DIT_CELLS);
    golden_close("velocity", got, want, Z * DIT_CELLS, 1e-5);
    free(want), free(got), free(text), free(cells), free(latents);
    plain_ops_free(p);
    safetensors_free(file);
}

static void check_text(const char *file_name, enum fill fill)
{
    struct safetensors *file = golden_open(file_name);
    struct plain_ops *p = golden_ops(fill);
    struct ops *ops = plain_ops_table(p);
    const int64_t count = mini.text.rows * mini.text.C;
    float *got = calloc((size_t)count, sizeof *got), *want = golden_values(file, "text", count);
    int32_t ids[24];
    const int64_t rows = tokenize_bytes("a red ball", mini.text.rows, ids);
    struct text text;
    golden_check(p, ops->enter(ops, STAGE_TEXT));
    golden_check(p, text_load(ops, &mini.text, &text));
    golden_check(p, text_encode(&text, ids, rows, got));
    golden_check(p, ops->leave(ops, STAGE_TEXT));
    golden_close("text", got, want, count, 1e-5);
    text_free(&text);
    free(want), free(got);
    plain_ops_free(p);
    safetensors_free(file);
}

enum { VAE_T = 4, VAE_H = 2, VAE_W = 4, VAE_CELLS = VAE_H * VAE_W };
enum { FRAMES = 1 + 4 * (VAE_T - 1), PIXELS = 64 * VAE_CELLS };

/* Decodes chunk by chunk into [frames][pixels][3], clamped as the published decoder does. */
static void decode(struct plain_ops *p, const float *cells, float *frames)
{
    struct ops *ops = plain_ops_table(p);
    struct vae v;
    struct tensor z, out;
    int64_t count;
    golden_check(p, ops->enter(ops, STAGE_DECODE));
    golden_check(p, vae_load(ops, &mini.vae, &v));
    golden_check(p, vae_begin(&v, VAE_H, VAE_W));
    golden_check(p, ops->alloc(ops, &z, ELEM_F32, VAE_CELLS, Z, "z"));
    for (int i = 0; i < VAE_T; i++, frames += count * PIXELS * 3) {
        golden_check(p, ops->put(ops, &z, cells + i * VAE_CELLS * Z, VAE_CELLS, Z));
        golden_check(p, vae_decode(&v, z, &out, &count));
        assert_int_equal(count, i == 0 ? 1 : 4);
        golden_check(p, ops->get(ops, &out, frames, count * PIXELS, 3));
        for (int64_t k = 0; k < count * PIXELS * 3; k++)
            frames[k] = fminf(fmaxf(frames[k], -1.0f), 1.0f);
        ops->release(ops, &out);
    }
    golden_check(p, ops->leave(ops, STAGE_DECODE));
}

static void check_vae(const char *file_name, enum fill fill)
{
    struct safetensors *file = golden_open(file_name);
    struct plain_ops *p = golden_ops(fill);
    float *z = mini_uniform("golden.z", Z * VAE_T * VAE_CELLS, 2.0f);
    float *cells = golden_transposed(z, Z, VAE_T * VAE_CELLS);
    float *frames = malloc(sizeof(float) * FRAMES * PIXELS * 3);
    decode(p, cells, frames);
    float *got = golden_transposed(frames, FRAMES * PIXELS, 3);
    float *want = golden_values(file, "frames", 3 * FRAMES * PIXELS);
    golden_close("frames", got, want, 3 * FRAMES * PIXELS, 1e-5);
    free(want), free(got), free(frames), free(cells), free(z);
    plain_ops_free(p);
    safetensors_free(file);
}

static void transformer_normal(void **state)
{
    (void)state;
    check_transformer("networks_normal", FILL_NORMAL);
}

static void transformer_outlier(void **state)
{
    (void)state;
    check_transformer("networks_outlier", FILL_OUTLIER);
}

static void text_normal(void **state)
{
    (void)state;
    check_text("networks_normal", FILL_NORMAL);
}

static void text_outlier(void **state)
{
    (void)state;
    check_text("networks_outlier", FILL_OUTLIER);
}

static void vae_normal(void **state)
{
    (void)state;
    check_vae("networks_normal", FILL_NORMAL);
}

static void vae_outlier(void **state)
{
    (void)state;
    check_vae("networks_outlier", FILL_OUTLIER);
}

/* ---- samplers -------------------------------------------------------------------------------- */

enum { SAMPLES = 8 };

static float toy(float x, double sigma) { return (float)(0.5 * tanh(x) + 0.3 * x + sigma); }

/* x of every step [steps + 1][SAMPLES], the network being toy() */
static void sample(const struct sampler *s, const float *start, float *states)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct ops *ops = plain_ops_table(p);
    struct tensor x, v, last, m[2];
    struct tensor *const all[] = {&x, &v, &last, &m[0], &m[1]};
    for (int i = 0; i < 5; i++)
        golden_check(p, ops->alloc(ops, all[i], ELEM_F32, 1, SAMPLES, "sample"));
    golden_check(p, ops->put(ops, &x, start, 1, SAMPLES));
    memcpy(states, start, SAMPLES * sizeof *start);
    for (int64_t i = 0; i < s->steps; i++, states += SAMPLES) {
        float velocity[SAMPLES];
        for (int k = 0; k < SAMPLES; k++)
            velocity[k] = toy(states[k], s->level[i]);
        golden_check(p, ops->put(ops, &v, velocity, 1, SAMPLES));
        struct sampler_step_problem step = {.S = 1,
                                            .C = SAMPLES,
                                            .guidance = 1.0,
                                            .x = x,
                                            .cond = v,
                                            .uncond = NO_TENSOR,
                                            .last = last,
                                            .m1 = m[(i + 1) % 2],
                                            .m2 = m[i % 2],
                                            .m = m[i % 2],
                                            .corrected = last,
                                            .next = x};
        sampler_coefficients(s, i, &step);
        golden_check(p, ops->sampler_step(ops, &step));
        golden_check(p, ops->get(ops, &x, states + SAMPLES, 1, SAMPLES));
    }
    plain_ops_free(p);
}

static void check_sampler(struct safetensors *file, const char *name, enum scheduler scheduler,
                          int64_t steps, double shift)
{
    char key[64];
    struct sampler s;
    assert_int_equal(sampler_new(scheduler, steps, shift, &s, NULL), ST_OK);
    snprintf(key, sizeof key, "%s.%d.sigma", name, (int)steps);
    float *sigma = golden_values(file, key, steps + 1);
    snprintf(key, sizeof key, "%s.%d.time", name, (int)steps);
    float *time = golden_values(file, key, steps);
    for (int64_t i = 0; i < steps; i++) {
        assert_true(fabs(s.level[i] - sigma[i]) <= 1.2e-7);
        assert_true(fabs(s.time[i] - time[i]) <= (scheduler == SCHEDULER_EULER ? 1e-4 : 0.0));
    }
    assert_true(s.level[steps] == 0.0 && sigma[steps] == 0.0f);
    snprintf(key, sizeof key, "%s.%d.states", name, (int)steps);
    float *want = golden_values(file, key, (steps + 1) * SAMPLES);
    float *start = mini_uniform("golden.sample", SAMPLES, 2.0f);
    float *got = malloc((size_t)((steps + 1) * SAMPLES) * sizeof *got);
    sample(&s, start, got);
    for (int64_t i = 0; i <= steps; i++)
        golden_close(key, got + i * SAMPLES, want + i * SAMPLES, SAMPLES, 2e-6);
    free(got), free(start), free(want), free(time), free(sigma);
    sampler_free(&s);
}

static void samplers(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("samplers");
    static const int64_t steps[] = {1, 2, 4, 50};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        check_sampler(file, "unipc", SCHEDULER_UNIPC, steps[i], 3.0);
        check_sampler(file, "euler", SCHEDULER_EULER, steps[i], 5.0);
        check_sampler(file, "unipc_original", SCHEDULER_UNIPC_ORIGINAL, steps[i], 3.0);
    }
    safetensors_free(file);
}

/* ---- pipeline -------------------------------------------------------------------------------- */

enum { CLIP_CELLS = 3 * 4 * 6, CLIP_FRAMES = 9, CLIP_PIXELS = 32 * 48 };

struct seen {
    float latents[4][Z * CLIP_CELLS];
    float frames[CLIP_FRAMES * CLIP_PIXELS * 3];
    uint8_t rgb[CLIP_FRAMES * CLIP_PIXELS * 3];
    int64_t next;
};

static enum status see_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct seen *seen = user;
    assert_int_equal(count, 4);
    memcpy(seen->latents[index - 1], latents, sizeof seen->latents[0]);
    return ST_OK;
}

static enum status see_frames(void *user, const float *rgb, int64_t first, int64_t count)
{
    struct seen *seen = user;
    assert_int_equal(first, seen->next);
    memcpy(seen->frames + first * CLIP_PIXELS * 3, rgb,
           (size_t)(count * CLIP_PIXELS * 3) * sizeof *rgb);
    seen->next = first + count;
    return ST_OK;
}

static enum status see_rgb(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct seen *seen = user;
    memcpy(seen->rgb + first * CLIP_PIXELS * 3, rgb, (size_t)(count * CLIP_PIXELS * 3));
    return ST_OK;
}

static void pipeline(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("pipeline");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct seen *seen = calloc(1, sizeof *seen);
    float *noise = mini_uniform("golden.noise", Z * CLIP_CELLS, 2.0f);
    struct generate_request request = {
        .model = &mini,
        .prompt = "a red ball",
        .negative = "",
        .steps = 4,
        .scheduler = SCHEDULER_UNIPC,
        .guidance = 5.0,
        .shift = 3.0,
        .noise = noise,
        .sink = {
            .user = seen, .frames = see_rgb, .frames_f32 = see_frames, .latents = see_latents}};
    assert_int_equal(geometry_of(&mini, 48, 32, 9, &request.geometry, NULL), ST_OK);
    golden_check(p, generate(plain_ops_table(p), &request));

    float *latents = golden_values(file, "latents", 4 * Z * CLIP_CELLS);
    float *frames = golden_values(file, "frames", CLIP_FRAMES * CLIP_PIXELS * 3);
    assert_int_equal(seen->next, CLIP_FRAMES);
    for (int i = 0; i < 4; i++)
        golden_close("latents", seen->latents[i], latents + i * Z * CLIP_CELLS, Z * CLIP_CELLS,
                     1e-4);
    for (int64_t i = 0; i < CLIP_FRAMES * CLIP_PIXELS * 3; i++) {
        assert_true(fabsf(seen->frames[i] - frames[i]) <= 1.0f / 255.0f);
        assert_true(fabs(seen->rgb[i] - 255.0 * seen->frames[i]) <= 0.5001);
    }
    free(frames), free(latents), free(noise), free(seen);
    plain_ops_free(p);
    safetensors_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transformer_normal), cmocka_unit_test(transformer_outlier),
        cmocka_unit_test(text_normal),        cmocka_unit_test(text_outlier),
        cmocka_unit_test(vae_normal),         cmocka_unit_test(vae_outlier),
        cmocka_unit_test(samplers),           cmocka_unit_test(pipeline),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
