// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_dit.c   DiT, DDIM and the respaced DDPM against diffusers and the papers' formulas on the
 * same weights and noise (tests/golden/make_dit.py); sizes and work of the presets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "model/dit.h"
#include "model/sampler.h"
#include "random.h"
#include "support/golden.h"
#include "support/mini.h"

/* The geometry of make_dit.py: as diffusers stores it, but for an mlp_eps that shows, and as the
 * original release computes. */
enum { SIDE = 8, LARGER = 12, CHANNELS = 4, PREDICTED = 8, LABEL = 207 };

static const struct dit_config copies = {
    .classes = 1000, .sample = SIDE, .time_drop = 1, .shared_embedder = 0, .mlp_eps = 1e-3};
static const struct dit_config published = {
    .classes = 1000, .sample = SIDE, .time_drop = 0, .shared_embedder = 1, .mlp_eps = 1e-6};

static struct model_config model_of(const struct dit_config *own)
{
    return (struct model_config){
        .name = "mini-dit",
        .family = FAMILY_DIT,
        .transformer = {.in_channels = CHANNELS,
                        .out_channels = PREDICTED,
                        .pt = 1,
                        .ph = 2,
                        .pw = 2,
                        .layers = 3,
                        .N = 2,
                        .D = 24,
                        .F = 192,
                        .freq_dim = 256,
                        .eps = 1e-6},
        .vae = {.z_dim = CHANNELS, .scale_time = 1, .scale_space = 8},
        .scheduler = SCHEDULER_DDIM,
        .dit = own,
    };
}

/* ---- the network ----------------------------------------------------------------------------- */

static void forward(struct plain_ops *p, const struct model_config *model, int side, double time,
                    int64_t label, const float *cells, float *prediction)
{
    struct ops *ops = plain_ops_table(p);
    const struct denoiser_prompt prompt = {.class_label = label};
    struct denoiser d;
    struct tensor x, y;
    void *condition;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, model, &d));
    golden_check(p, d.family->begin(d.network, 1, side, side, 1.0));
    golden_check(p, denoiser_condition_new(&d, ops, &prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, side * side, CHANNELS, "x"));
    golden_check(p, ops->alloc(ops, &y, ELEM_F32, side * side, PREDICTED, "y"));
    golden_check(p, ops->put(ops, &x, cells, side * side, CHANNELS));
    golden_check(p, d.family->set_time(d.network, &time, 1));
    golden_check(p, d.family->forward(d.network, condition, x, y));
    golden_check(p, ops->get(ops, &y, prediction, side * side, PREDICTED));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
}

static void check_network(struct safetensors *file, const char *name, const struct dit_config *own,
                          int side, double time, int64_t label)
{
    const struct model_config model = model_of(own);
    const int cells = side * side;
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *latents = mini_uniform("golden.latents", CHANNELS * cells, 2.0f);
    float *x = golden_transposed(latents, CHANNELS, cells);
    float *y = malloc((size_t)(cells * PREDICTED) * sizeof *y);
    forward(p, &model, side, time, label, x, y);
    float *got = golden_transposed(y, cells, PREDICTED);
    float *want = golden_values(file, name, PREDICTED * cells);
    golden_close(name, got, want, PREDICTED * cells, 1e-5);
    free(want), free(got), free(y), free(x), free(latents);
    plain_ops_free(p);
}

static void network(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("dit");
    check_network(file, "network.class", &copies, SIDE, 937, LABEL);
    check_network(file, "network.none", &copies, SIDE, 3, DENOISER_NO_CLASS);
    check_network(file, "network.larger", &copies, LARGER, 500, 0);
    check_network(file, "network.published", &published, SIDE, 937, 0);
    safetensors_free(file);
}

/* ---- samplers -------------------------------------------------------------------------------- */

enum { SAMPLES = 8 };

/* A prediction and a variance share for every value, as toy() of make_dit.py. */
static void toy(const float *x, double time, float prediction[2 * SAMPLES])
{
    for (int i = 0; i < SAMPLES; i++) {
        prediction[i] = (float)(0.5 * tanh(x[i]) + 0.3 * x[i] + time / 2000);
        prediction[SAMPLES + i] = (float)sin(3.0 * x[i]);
    }
}

struct toy_tensors {
    struct tensor x, v, last, m[2], noise;
};

static struct toy_tensors toy_tensors(struct plain_ops *p)
{
    struct ops *ops = plain_ops_table(p);
    struct toy_tensors t;
    struct tensor *const all[] = {&t.x, &t.last, &t.m[0], &t.m[1], &t.noise};
    for (int i = 0; i < 5; i++)
        golden_check(p, ops->alloc(ops, all[i], ELEM_F32, 1, SAMPLES, "sample"));
    golden_check(p, ops->alloc(ops, &t.v, ELEM_F32, 1, 2 * SAMPLES, "prediction"));
    return t;
}

static void ddim_step(struct plain_ops *p, const struct sampler *s, int64_t i,
                      const struct toy_tensors *t)
{
    struct sampler_step_problem step = {.S = 1,
                                        .C = SAMPLES,
                                        .x = t->x,
                                        .cond = t->v,
                                        .uncond = NO_TENSOR,
                                        .m1 = t->m[(i + 1) % 2],
                                        .m2 = t->m[i % 2],
                                        .m = t->m[i % 2],
                                        .corrected = t->last,
                                        .next = t->x};
    sampler_coefficients(s, i, &step);
    assert_int_equal(step.corrector, 0);
    golden_check(p, plain_ops_table(p)->sampler_step(plain_ops_table(p), &step));
}

static void ddpm_step(struct plain_ops *p, const struct sampler *s, int64_t i,
                      const struct toy_tensors *t)
{
    struct ops *ops = plain_ops_table(p);
    const struct random_stream stream = random_stream_of(MINI_SEED, "noise.step");
    float noise[SAMPLES];
    for (int k = 0; k < SAMPLES; k++)
        noise[k] = (float)random_normal(stream, (uint64_t)(i * SAMPLES + k));
    golden_check(p, ops->put(ops, &t->noise, noise, 1, SAMPLES));
    struct ddpm_step_problem step = {.S = 1,
                                     .C = SAMPLES,
                                     .x = t->x,
                                     .cond = t->v,
                                     .uncond = NO_TENSOR,
                                     .noise = i + 1 < s->steps ? t->noise : NO_TENSOR,
                                     .next = t->x};
    sampler_ddpm_coefficients(s, i, &step);
    golden_check(p, ops->ddpm_step(ops, &step));
}

/* x of every step [steps + 1][SAMPLES], the network being toy() */
static void walk(const struct sampler *s, float *states)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct ops *ops = plain_ops_table(p);
    const struct toy_tensors t = toy_tensors(p);
    golden_check(p, ops->put(ops, &t.x, states, 1, SAMPLES));
    for (int64_t i = 0; i < s->steps; i++, states += SAMPLES) {
        float prediction[2 * SAMPLES];
        toy(states, s->time[i], prediction);
        golden_check(p, ops->put(ops, &t.v, prediction, 1, 2 * SAMPLES));
        if (sampler_draws(s->scheduler))
            ddpm_step(p, s, i, &t);
        else
            ddim_step(p, s, i, &t);
        golden_check(p, ops->get(ops, &t.x, states + SAMPLES, 1, SAMPLES));
    }
    plain_ops_free(p);
}

static float *stored(struct safetensors *file, const char *sampler, int64_t steps, const char *what,
                     int64_t count)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%d.%s", sampler, (int)steps, what);
    return golden_values(file, key, count);
}

/* Of long walks the end alone is stored. */
static void check_walk(struct safetensors *file, enum scheduler scheduler, int64_t steps)
{
    const char *name = sampler_name(scheduler);
    const bool end = steps > 50;
    struct sampler s;
    assert_int_equal(sampler_new(scheduler, steps, NAN, &s, NULL), ST_OK);
    float *time = stored(file, name, steps, "time", steps);
    for (int64_t i = 0; i < steps; i++)
        assert_true(s.time[i] == time[i]);
    float *want = stored(file, name, steps, "states", (end ? 1 : steps + 1) * SAMPLES);
    float *start = mini_uniform("golden.sample", SAMPLES, 2.0f);
    float *got = calloc((size_t)((steps + 1) * SAMPLES), sizeof *got);
    memcpy(got, start, SAMPLES * sizeof *got);
    walk(&s, got);
    for (int64_t i = end ? steps : 0; i <= steps; i++)
        golden_close(name, got + i * SAMPLES, want + (end ? 0 : i) * SAMPLES, SAMPLES, 1e-5);
    free(got), free(start), free(want), free(time);
    sampler_free(&s);
}

static void ddim(void **state)
{
    (void)state;
    static const int64_t steps[] = {1, 2, 3, 4, 50};
    struct safetensors *file = golden_open("dit");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sampler s;
        assert_int_equal(sampler_new(SCHEDULER_DDIM, steps[i], NAN, &s, NULL), ST_OK);
        float *share = stored(file, "ddim", steps[i], "share", steps[i]);
        for (int64_t k = 0; k < steps[i]; k++)
            assert_true(fabs(s.level[k] - share[k]) <= 1e-6 * share[k]);
        assert_true(s.level[steps[i]] == 1.0);
        free(share);
        sampler_free(&s);
        check_walk(file, SCHEDULER_DDIM, steps[i]);
    }
    safetensors_free(file);
}

static void ddpm(void **state)
{
    (void)state;
    static const int64_t steps[] = {1, 2, 4, 50, 250};
    struct safetensors *file = golden_open("dit");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        check_walk(file, SCHEDULER_DDPM, steps[i]);
    safetensors_free(file);
}

static void schedulers_refused(void **state)
{
    (void)state;
    struct model_config dit = model_of(&copies);
    struct fault fault = {{0}};
    assert_int_equal(sampler_fits(SCHEDULER_DDIM, &dit, NULL), ST_OK);
    assert_int_equal(sampler_fits(SCHEDULER_DDPM, &dit, NULL), ST_OK);
    assert_int_equal(sampler_fits(SCHEDULER_EULER, &dit, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "ddim"));
    assert_int_equal(sampler_fits(SCHEDULER_DDIM, &mini, NULL), ST_BAD_INPUT);
    assert_int_equal(sampler_fits(SCHEDULER_UNIPC_ORIGINAL, &mini, NULL), ST_OK);
    dit.transformer.out_channels = CHANNELS; /* without a variance */
    assert_int_equal(sampler_fits(SCHEDULER_DDPM, &dit, NULL), ST_BAD_INPUT);
}

/* ---- pipelines ------------------------------------------------------------------------------- */

enum { ELEMS = CHANNELS * SIDE * SIDE, STEPS_MOST = 50 };

struct seen {
    float latents[STEPS_MOST][ELEMS];
    float denoised[ELEMS];
};

static enum status see_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct seen *seen = user;
    assert_in_range(index, 1, count);
    memcpy(seen->latents[index - 1], latents, sizeof seen->latents[0]);
    return ST_OK;
}

static enum status see_denoised(void *user, const float *latents)
{
    memcpy(((struct seen *)user)->denoised, latents, sizeof(float[ELEMS]));
    return ST_OK;
}

static enum status no_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    (void)user, (void)rgb, (void)first, (void)count;
    fail_msg("frames of a model without a decoder");
    return ST_WRONG;
}

/* Against the last `kept` steps. */
static void check_pipeline(const struct model_config *model, enum scheduler scheduler,
                           const char *name, int64_t steps, int64_t kept)
{
    struct safetensors *file = golden_open("dit");
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct seen *seen = calloc(1, sizeof *seen);
    struct generate_request request = {
        .model = model,
        .class_label = LABEL,
        .steps = steps,
        .scheduler = scheduler,
        .guidance = 4.0,
        .seed = MINI_SEED,
        .sink = {
            .user = seen, .frames = no_frames, .latents = see_latents, .denoised = see_denoised}};
    assert_int_equal(geometry_of(model, 8 * SIDE, 8 * SIDE, 1, &request.geometry, NULL), ST_OK);
    golden_check(p, generate(plain_ops_table(p), &request));
    float *want = golden_values(file, name, kept * ELEMS);
    for (int64_t i = 0; i < kept; i++)
        golden_close(name, seen->latents[steps - kept + i], want + i * ELEMS, ELEMS, 1e-4);
    assert_memory_equal(seen->denoised, seen->latents[steps - 1], sizeof seen->denoised);
    free(want), free(seen);
    plain_ops_free(p);
    safetensors_free(file);
}

static void pipelines(void **state)
{
    (void)state;
    const struct model_config ours = model_of(&copies);
    struct model_config original = model_of(&published);
    original.guided = 3;
    check_pipeline(&ours, SCHEDULER_DDIM, "pipeline.ddim.2", 2, 2);
    check_pipeline(&ours, SCHEDULER_DDIM, "pipeline.ddim.4", 4, 4);
    check_pipeline(&ours, SCHEDULER_DDIM, "pipeline.ddim.50", 50, 2);
    check_pipeline(&original, SCHEDULER_DDPM, "pipeline.ddpm.6", 6, 6);
}

/* ---- presets --------------------------------------------------------------------------------- */

/* One forward's flops, counted at the preset's own size without guidance. */
static double forward_flops(const char *model, int64_t *tokens)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    spec.model = model;
    spec.steps = 1;
    spec.guidance.first = 1.0;
    assert_int_equal(case_resolve(&spec, &c, NULL), ST_OK);
    assert_int_equal(engine_new(&c.config, &engine, NULL), ST_OK);
    assert_int_equal(engine_count(engine, &c.request, NULL), ST_OK);
    const double flops = engine_stage(engine, STAGE_DENOISE)->flops;
    *tokens = c.request.geometry.S;
    engine_free(engine);
    return flops;
}

/* Parameters with the one embedder that was published, and with a copy in every block: what
 * diffusers 0.42.1 counts for DiTTransformer2DModel(num_attention_heads = N,
 * attention_head_dim = D, in_channels = 4, out_channels = 8, num_layers = layers,
 * sample_size = side / 8, patch_size).
 * Multiply-adds of a forward in 10^9, as the paper's table has them. */
static void presets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters, copied, tokens;
        double macs;
    } row[] = {
        {"dit-s-2-256", 32865056, 39805088, 256, 6.06},
        {"dit-s-4-256", 32920448, 39860480, 64, 1.41},
        {"dit-s-8-256", 33142016, 40082048, 16, 0.36},
        {"dit-b-2-256", 130315808, 147439904, 256, 23.01},
        {"dit-b-4-256", 130426496, 147550592, 64, 5.57},
        {"dit-b-8-256", 130869248, 147993344, 16, 1.42},
        {"dit-l-2-256", 457840672, 511609888, 256, 80.70},
        {"dit-l-4-256", 457988224, 511757440, 64, 19.70},
        {"dit-l-8-256", 458578432, 512347648, 16, 5.01},
        {"dit-xl-2-256", 674834720, 749826464, 256, 118.62},
        {"dit-xl-4-256", 675000704, 749992448, 64, 29.04},
        {"dit-xl-8-256", 675664640, 750656384, 16, 7.39},
        {"dit-xl-2-512", 674834720, 749826464, 1024, 524.54},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct model_config *model = case_model(row[i].name, NULL);
        assert_non_null(model);
        assert_int_equal(transformer_parameters(model), row[i].parameters);
        struct dit_config own = *model->dit;
        struct model_config other = *model;
        own.shared_embedder = 0;
        other.dit = &own;
        assert_int_equal(transformer_parameters(&other), row[i].copied);
        int64_t tokens;
        const double macs = forward_flops(row[i].name, &tokens) / 2e9;
        assert_int_equal(tokens, row[i].tokens);
        if (fabs(macs - row[i].macs) > 0.0051)
            fail_msg("%s: %.4f multiply-adds, expected %.2f", row[i].name, macs, row[i].macs);
    }
}

static void grids_refused(void **state)
{
    (void)state;
    static const int64_t bad[][3] = {{64, 80, 1}, {64, 64, 2}};
    const struct model_config model = model_of(&copies);
    struct geometry g;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault = {{0}};
        assert_int_equal(geometry_of(&model, bad[i][0], bad[i][1], bad[i][2], &g, &fault),
                         ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, "one square picture"));
    }
    assert_int_equal(geometry_of(&model, 90, 96, 1, &g, NULL), ST_OK);
    assert_int_equal(g.S, 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(network),       cmocka_unit_test(ddim),
        cmocka_unit_test(ddpm),          cmocka_unit_test(schedulers_refused),
        cmocka_unit_test(pipelines),     cmocka_unit_test(presets),
        cmocka_unit_test(grids_refused),
    };
    return cmocka_run_group_tests_name("dit", tests, NULL, NULL);
}
