// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_cogvideox.c   The CogVideoX transformer in its three forms against the published class
 * (tests/golden/make_cogvideox.py); sizes and work of the presets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "engine/engine.h"
#include "model/cogvideox.h"
#include "model/generate.h"
#include "model/sampler.h"
#include "support/golden.h"
#include "support/mini.h"

/* ---- transformer ----------------------------------------------------------------------------- */

enum { Z = 16, ROWS = 7, TEXT_DIM = 24, FRAMES_MAX = 4, CELLS_MAX = FRAMES_MAX * 6 * 10 };

/* The same geometries as in tests/golden/make_cogvideox.py. */
static struct model_config small_model(const struct cogvideox_config *own, int64_t pt)
{
    return (struct model_config){
        .name = "small",
        .family = FAMILY_COGVIDEOX,
        .text = {.C = TEXT_DIM, .rows = ROWS},
        .transformer = {.in_channels = Z,
                        .out_channels = Z,
                        .pt = pt,
                        .ph = 2,
                        .pw = 2,
                        .layers = 2,
                        .N = 4,
                        .D = 16,
                        .F = 4 * 64,
                        .text_dim = TEXT_DIM,
                        .eps = 1e-5},
        .vae = {.z_dim = Z, .scale_time = 4, .scale_space = 8},
        .cogvideox = own,
    };
}

struct grid {
    int64_t T, H, W;
};

/* Two forwards, the second at the golden's time: what the first leaves behind must not show. */
static void forward(const struct model_config *model, enum elem type, struct grid g,
                    const float *cells, const float *text, float *prediction)
{
    const struct plain_config config = {.seed = MINI_SEED, .type = type, .threads = 2};
    struct plain_ops *p = plain_ops_new(&config);
    struct ops *ops = plain_ops_table(p);
    const struct denoiser_prompt prompt = {.text = text, .rows = ROWS, .real = ROWS};
    const double time[2] = {999.0, 937.0};
    const int64_t count = g.T * g.H * g.W;
    struct denoiser d;
    void *condition;
    struct tensor x, y;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, model, &d));
    golden_check(p, d.family->begin(d.network, g.T, g.H, g.W, 8.0));
    golden_check(p, denoiser_condition_new(&d, ops, &prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, count, Z, "x"));
    golden_check(p, ops->alloc(ops, &y, ELEM_F32, count, Z, "y"));
    golden_check(p, ops->put(ops, &x, cells, count, Z));
    for (int i = 0; i < 2; i++) {
        golden_check(p, d.family->set_time(d.network, &time[i], 1));
        golden_check(p, d.family->forward(d.network, condition, x, y));
    }
    golden_check(p, ops->get(ops, &y, prediction, count, Z));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
    plain_ops_free(p);
}

/* In bf16 no further off than the published class is in bf16. */
static void check_form(const char *name, const struct cogvideox_config *own, int64_t pt,
                       struct grid g)
{
    struct safetensors *file = golden_open("cogvideox");
    const struct model_config model = small_model(own, pt);
    const int64_t cells = g.T * g.H * g.W;
    float *latents = mini_uniform("cogvideox.latents", Z * cells, 2.0f);
    float *packed = golden_transposed(latents, Z, cells);
    float *text = mini_uniform("cogvideox.text", ROWS * TEXT_DIM, 1.0f);
    float prediction[CELLS_MAX * Z];
    char key[32];
    snprintf(key, sizeof key, "%s.bf16_error", name);
    float *want = golden_values(file, name, Z * cells), *limit = golden_values(file, key, 1);
    for (int half = 0; half < 2; half++) {
        forward(&model, half ? ELEM_BF16 : ELEM_F32, g, packed, text, prediction);
        float *got = golden_transposed(prediction, cells, Z);
        golden_close(name, got, want, Z * cells, half ? limit[0] : 1e-5);
        free(got);
    }
    free(limit), free(want), free(text), free(packed), free(latents);
    safetensors_free(file);
}

static void sines(void **state)
{
    (void)state;
    const struct cogvideox_config own = {.time_dim = 32, .interval = 1.875};
    check_form("sines", &own, 1, (struct grid){3, 6, 10});
}

/* 3 by 4 tokens in 5 by 9: as high, centred in the width; 2 by 7: as wide, centred in the height. */
static void rotation_fitted(void **state)
{
    (void)state;
    const struct cogvideox_config own = {
        .time_dim = 32, .position = COGVIDEOX_FITTED, .trained_height = 10, .trained_width = 18};
    check_form("fitted", &own, 1, (struct grid){3, 6, 8});
    check_form("wide", &own, 1, (struct grid){1, 4, 14});
}

static void patches_over_time(void **state)
{
    (void)state;
    const struct cogvideox_config own = {.time_dim = 32, .position = COGVIDEOX_COUNTED};
    check_form("counted", &own, 2, (struct grid){4, 6, 8});
}

/* ---- sampler --------------------------------------------------------------------------------- */

enum { SAMPLES = 8 };

/* One step from `from` to `to`; a toy stands for the network. */
static void step(struct plain_ops *p, const struct sampler *s, int64_t index, const float *from,
                 float *to)
{
    struct ops *ops = plain_ops_table(p);
    struct tensor x, v, m, last;
    float velocity[SAMPLES];
    struct tensor *const all[] = {&x, &v, &m, &last};
    for (int i = 0; i < 4; i++)
        golden_check(p, ops->alloc(ops, all[i], ELEM_F32, 1, SAMPLES, "sample"));
    for (int k = 0; k < SAMPLES; k++)
        velocity[k] = (float)(0.5 * tanh(from[k]) + 0.3 * from[k] + s->time[index] / 1000.0);
    golden_check(p, ops->put(ops, &x, from, 1, SAMPLES));
    golden_check(p, ops->put(ops, &v, velocity, 1, SAMPLES));
    struct sampler_step_problem problem = {.S = 1,
                                           .C = SAMPLES,
                                           .guidance = 1.0,
                                           .x = x,
                                           .cond = v,
                                           .m = m,
                                           .corrected = last,
                                           .next = x};
    sampler_coefficients(s, index, &problem);
    golden_check(p, ops->sampler_step(ops, &problem));
    golden_check(p, ops->get(ops, &x, to, 1, SAMPLES));
    for (int i = 3; i >= 0; i--)
        ops->release(ops, all[i]);
}

static void check_sampler(struct safetensors *file, int64_t steps, double shift)
{
    char key[64];
    struct sampler s;
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *x = mini_uniform("golden.sample", SAMPLES, 2.0f);
    assert_int_equal(sampler_new(SCHEDULER_DDIM_COGVIDEOX, steps, shift, &s, NULL), ST_OK);
    snprintf(key, sizeof key, "ddim.%.0f.%d.time", shift, (int)steps);
    float *time = golden_values(file, key, steps);
    snprintf(key, sizeof key, "ddim.%.0f.%d.states", shift, (int)steps);
    float *want = golden_values(file, key, (steps + 1) * SAMPLES);
    assert_memory_equal(x, want, SAMPLES * sizeof *x);
    assert_true(s.level[0] == 0.0);
    for (int64_t i = 0; i < steps; i++) {
        assert_true(s.time[i] == time[i]);
        step(p, &s, i, x, x);
        golden_close(key, x, want + (i + 1) * SAMPLES, SAMPLES, 2e-6);
    }
    free(want), free(time), free(x);
    sampler_free(&s);
    plain_ops_free(p);
}

/* Three steps do not divide 1000: a step then leads past what the next one is told. */
static void sampler(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("cogvideox");
    static const int64_t steps[] = {2, 3, 4, 50};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        check_sampler(file, steps[i], 3.0);
    check_sampler(file, 4, 1.0);
    safetensors_free(file);
}

/* ---- clip ------------------------------------------------------------------------------------ */

enum { CLIP_VALUES = Z * 4 * 6 * 8 };

static enum status see_latents(void *user, const float *latents)
{
    memcpy(user, latents, CLIP_VALUES * sizeof *latents);
    return ST_OK;
}

/* The fastest kernels, as a user gets them, in planned memory. */
static void run_engine(const struct generate_request *request)
{
    struct engine *engine;
    struct fault fault = {""};
    const struct engine_config config = {
        .type = ELEM_F32, .threads = 2, .weights_seed = MINI_SEED, .quiet = true};
    if (engine_new(&config, &engine, &fault) != ST_OK ||
        engine_plan(engine, request, true, &fault) != ST_OK ||
        engine_execute(engine, request, NULL, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    engine_free(engine);
}

/* Nine frames are three of latents, padded to the two that a patch spans. */
static void clip(void **state)
{
    (void)state;
    const struct cogvideox_config own = {.time_dim = 32, .position = COGVIDEOX_COUNTED};
    const struct model_config model = small_model(&own, 2);
    struct safetensors *file = golden_open("cogvideox");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *noise = mini_uniform("cogvideox.latents", CLIP_VALUES, 2.0f), got[CLIP_VALUES];
    float *prompt = mini_uniform("cogvideox.text", ROWS * TEXT_DIM, 1.0f);
    float *negative = mini_uniform("cogvideox.negative", ROWS * TEXT_DIM, 1.0f);
    float *want = golden_values(file, "clip", CLIP_VALUES);
    struct generate_request request = {.model = &model,
                                       .steps = 4,
                                       .scheduler = SCHEDULER_DDIM_COGVIDEOX,
                                       .guidance = 6.0,
                                       .shift = 3.0,
                                       .fps = 8.0,
                                       .noise = noise,
                                       .prompt_embeds = prompt,
                                       .negative_embeds = negative,
                                       .embed_rows = ROWS,
                                       .sink = {.user = got, .denoised = see_latents}};
    assert_int_equal(geometry_of(&model, 64, 48, 9, &request.geometry, NULL), ST_OK);
    golden_check(p, generate(plain_ops_table(p), &request));
    golden_close("clip", got, want, CLIP_VALUES, 1e-4);
    memset(got, 0, sizeof got);
    run_engine(&request);
    golden_close("clip in the engine", got, want, CLIP_VALUES, 1e-4);
    free(want), free(negative), free(prompt), free(noise);
    plain_ops_free(p);
    safetensors_free(file);
}

/* ---- presets --------------------------------------------------------------------------------- */

static const struct model_config *preset(const char *name)
{
    const struct model_config *model = case_model(name, NULL);
    assert_non_null(model);
    return model;
}

/* CogVideoXTransformer3DModel on the meta device: num_layers=30, num_attention_heads=30;
 * num_layers=42, num_attention_heads=48, use_rotary_positional_embeddings=True; and that with
 * patch_size_t=2, patch_bias=False, which the class does not heed there. */
static void parameters(void **state)
{
    (void)state;
    assert_int_equal(transformer_parameters(preset("cogvideox-2b")), 1693783872);
    assert_int_equal(transformer_parameters(preset("cogvideox-5b")), INT64_C(5570283072));
    assert_int_equal(transformer_parameters(preset("cogvideox-1.5-5b")), INT64_C(5570676352));
}

/* One forward at the model's own size, as `list models` counts it. */
static double forward_flops(const char *name, int64_t *tokens)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    spec.model = name;
    spec.steps = 1;
    assert_int_equal(case_resolve(&spec, &c, NULL), ST_OK);
    assert_int_equal(engine_new(&c.config, &engine, NULL), ST_OK);
    assert_int_equal(engine_count(engine, &c.request, NULL), ST_OK);
    const double flops = engine_stage(engine, STAGE_DENOISE)->flops / (double)case_passes(&c);
    *tokens = c.request.geometry.S;
    engine_free(engine);
    return flops;
}

/* layers (24 S D^2 + 4 S^2 D) over text and video are nearly all of it. */
static void check_work(const char *name, int64_t want_tokens, double layers, double D,
                       double want_tflop)
{
    int64_t tokens;
    const double flops = forward_flops(name, &tokens), S = (double)want_tokens + 226.0;
    const double blocks = layers * (24.0 * S * D * D + 4.0 * S * S * D);
    assert_int_equal(tokens, want_tokens);
    assert_true(flops >= blocks && flops <= 1.001 * blocks);
    assert_true(fabs(flops * 1e-12 - want_tflop) <= 0.5);
}

static void work(void **state)
{
    (void)state;
    check_work("cogvideox-2b", 13 * 30 * 45, 30, 1920, 120);
    check_work("cogvideox-5b", 13 * 30 * 45, 42, 3072, 332);
    check_work("cogvideox-1.5-5b", 11 * 48 * 85, 42, 3072, 1479);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sines),
        cmocka_unit_test(rotation_fitted),
        cmocka_unit_test(patches_over_time),
        cmocka_unit_test(sampler),
        cmocka_unit_test(clip),
        cmocka_unit_test(parameters),
        cmocka_unit_test(work),
    };
    return cmocka_run_group_tests_name("cogvideox", tests, NULL, NULL);
}
