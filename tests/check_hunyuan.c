// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_hunyuan.c   Both HunyuanVideo transformers against the published models' own code
 * (tests/golden/make_hunyuan.py), and the figures of their presets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "model/generate.h"
#include "model/sampler.h"
#include "presets/hunyuan.h"
#include "support/golden.h"
#include "support/mini.h"

/* ---- transformers ---------------------------------------------------------------------------- */

enum { ROWS = 11, TEXT_DIM = 40, POOLED_DIM = 24 };
enum { GLYPH_ROWS = 5, GLYPH_DIM = 28, IMAGE_ROWS = 4, IMAGE_DIM = 20 };

#define TIME 937.25
#define GUIDANCE 6.0
#define SMALL (1.0f / 64.0f)

static const struct hunyuan_config first_own = {
    .single_layers = 2,
    .refiner_layers = 2,
    .axis = {4, 6, 6},
    .theta = 256.0,
    .pooled_dim = POOLED_DIM,
};

static const struct model_config first = {
    .name = "first",
    .family = FAMILY_HUNYUAN,
    .text = {.C = TEXT_DIM, .rows = ROWS},
    .transformer = {.in_channels = 4,
                    .out_channels = 5,
                    .pt = 2,
                    .ph = 2,
                    .pw = 2,
                    .layers = 2,
                    .N = 3,
                    .D = 16,
                    .F = 144,
                    .text_dim = TEXT_DIM,
                    .freq_dim = 256,
                    .eps = 1e-6},
    .told_guidance = 1,
    .hunyuan = &first_own,
};

static const struct hunyuan_config second_own = {
    .refiner_layers = 2,
    .axis = {4, 6, 6},
    .theta = 256.0,
    .image_channels = 5,
    .glyph_dim = GLYPH_DIM,
    .glyph_F = 2048, /* the published class has no other */
};

static const struct model_config second = {
    .name = "second",
    .family = FAMILY_HUNYUAN_15,
    .text = {.C = TEXT_DIM, .rows = ROWS},
    .transformer = {.in_channels = 4,
                    .out_channels = 4,
                    .pt = 1,
                    .ph = 1,
                    .pw = 1,
                    .layers = 3,
                    .N = 2,
                    .D = 16,
                    .F = 96,
                    .text_dim = TEXT_DIM,
                    .freq_dim = 256,
                    .eps = 1e-6,
                    .image_dim = IMAGE_DIM},
    .hunyuan = &second_own,
};

struct grid {
    int64_t T, H, W;
};

static const struct grid first_grid = {4, 6, 10}, second_grid = {2, 3, 5};

static int64_t cells_of(const struct grid *g) { return g->T * g->H * g->W; }

/* cells [T][H][W][in] -> velocity [T][H][W][out] */
static void forward(struct plain_ops *p, const struct model_config *m, const struct grid *g,
                    const struct denoiser_prompt *prompt, const float *cells, float *velocity)
{
    struct ops *ops = plain_ops_table(p);
    const int64_t count = cells_of(g), in = m->transformer.in_channels;
    const int64_t out = m->transformer.out_channels;
    const double time = TIME;
    struct denoiser d;
    void *condition;
    struct tensor x, v;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, m, &d));
    golden_check(p, d.family->begin(d.network, g->T, g->H, g->W, 24.0));
    golden_check(p, denoiser_condition_new(&d, ops, prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, count, in, "x"));
    golden_check(p, ops->alloc(ops, &v, ELEM_F32, count, out, "v"));
    golden_check(p, ops->put(ops, &x, cells, count, in));
    for (int i = 0; i < 2; i++) { /* the second finds all memory as the first has left it */
        golden_check(p, d.family->set_time(d.network, &time, 1));
        golden_check(p, d.family->forward(d.network, condition, x, v));
    }
    golden_check(p, ops->get(ops, &v, velocity, count, out));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
}

struct how {
    enum fill fill;
    enum elem type;
    double limit;
};

/* Of bf16 this asks that every op takes it and that no error is beyond its roundings. */
static const struct how normal = {FILL_NORMAL, ELEM_F32, 1e-5};
static const struct how outlier = {FILL_OUTLIER, ELEM_F32, 1e-5};
static const struct how half = {FILL_NORMAL, ELEM_BF16, 0.02};

static void check(const char *name, struct how how, const struct model_config *m,
                  const struct grid *g, struct denoiser_prompt prompt)
{
    struct safetensors *file = golden_open("hunyuan");
    struct plain_ops *p = plain_ops_new(&(struct plain_config){
        .seed = MINI_SEED, .fill = how.fill, .type = how.type, .threads = 2});
    const int64_t count = cells_of(g), out = m->transformer.out_channels;
    float *latents = mini_uniform("hunyuan.latents", m->transformer.in_channels * count, 2.0f);
    float *cells = golden_transposed(latents, m->transformer.in_channels, count);
    float *text = mini_uniform("hunyuan.text", ROWS * TEXT_DIM, 2.0f);
    float *velocity = calloc((size_t)(count * out), sizeof *velocity);
    memset(text + prompt.real * TEXT_DIM, 0,
           (size_t)((ROWS - prompt.real) * TEXT_DIM) * sizeof *text);
    prompt.text = text;
    prompt.rows = ROWS;
    prompt.guidance = GUIDANCE;
    forward(p, m, g, &prompt, cells, velocity);
    float *got = golden_transposed(velocity, count, out);
    float *want = golden_values(file, name, count * out);
    golden_close(name, got, want, count * out, how.limit);
    free(want), free(got), free(velocity), free(text), free(cells), free(latents);
    plain_ops_free(p);
    safetensors_free(file);
}

static void first_transformer(void **state)
{
    (void)state;
    float *pooled = mini_uniform("hunyuan.pooled", POOLED_DIM, 2.0f);
    const struct denoiser_prompt padded = {.real = 7, .pooled = pooled};
    const struct denoiser_prompt full = {.real = ROWS, .pooled = pooled};
    check("first.padded", normal, &first, &first_grid, padded);
    check("first.padded", half, &first, &first_grid, padded);
    check("first.full", normal, &first, &first_grid, full);
    check("first.outlier", outlier, &first, &first_grid, padded);
    free(pooled);
}

static void second_transformer(void **state)
{
    (void)state;
    float *glyphs = mini_uniform("hunyuan.glyphs", GLYPH_ROWS * GLYPH_DIM, SMALL);
    float *image = mini_uniform("hunyuan.image", IMAGE_ROWS * IMAGE_DIM, SMALL);
    struct denoiser_prompt prompt = {.real = 7};
    check("second.plain", normal, &second, &second_grid, prompt);
    prompt.glyph = glyphs;
    prompt.glyph_rows = 3;
    check("second.glyphs", normal, &second, &second_grid, prompt);
    prompt.image = image;
    prompt.image_rows = IMAGE_ROWS;
    check("second.image", normal, &second, &second_grid, prompt);
    check("second.image", half, &second, &second_grid, prompt);
    prompt = (struct denoiser_prompt){.real = ROWS, .glyph = glyphs, .glyph_rows = GLYPH_ROWS};
    check("second.outlier", outlier, &second, &second_grid, prompt);
    free(image), free(glyphs);
}

/* Without a pooled vector one is drawn, the same every time. */
static void pooled_is_drawn(void **state)
{
    (void)state;
    enum { COUNT = 4 * 6 * 10 };
    float *text = mini_uniform("hunyuan.text", ROWS * TEXT_DIM, 2.0f);
    float *cells = mini_uniform("hunyuan.latents", 4 * COUNT, 2.0f);
    float velocity[2][5 * COUNT];
    for (int i = 0; i < 2; i++) {
        const struct denoiser_prompt prompt = {.text = text, .rows = ROWS, .real = ROWS};
        struct plain_ops *p = golden_ops(FILL_NORMAL);
        forward(p, &first, &first_grid, &prompt, cells, velocity[i]);
        plain_ops_free(p);
    }
    assert_memory_equal(velocity[0], velocity[1], sizeof velocity[0]);
    free(cells), free(text);
}

static void rows_refused(void **state)
{
    (void)state;
    static const int64_t bad[] = {0, ROWS + 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct denoiser_prompt prompt = {.rows = ROWS, .real = bad[i]};
        struct plain_ops *p = golden_ops(FILL_NORMAL);
        struct ops *ops = plain_ops_table(p);
        struct denoiser d;
        void *condition;
        golden_check(p, denoiser_load(ops, &first, &d));
        assert_int_equal(denoiser_condition_new(&d, ops, &prompt, &condition), ST_BAD_INPUT);
        assert_non_null(strstr(plain_ops_fault(p), "rows of text"));
        denoiser_condition_free(&d, condition);
        denoiser_free(&d);
        plain_ops_free(p);
    }
}

/* ---- pipelines ------------------------------------------------------------------------------- */

/* The levels that both pipelines ask for are shifted once, unlike the scheduler's own. */
static void levels(void **state)
{
    (void)state;
    static const struct {
        const char *sigma, *time;
        int64_t steps;
        double shift;
    } row[] = {{"sigma.7.50", "time.7.50", 50, 7.0},
               {"sigma.9.50", "time.9.50", 50, 9.0},
               {"sigma.7.4", "time.7.4", 4, 7.0}};
    struct safetensors *file = golden_open("hunyuan");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct sampler s;
        float *sigma = golden_values(file, row[i].sigma, row[i].steps + 1);
        float *time = golden_values(file, row[i].time, row[i].steps);
        assert_int_equal(sampler_new(SCHEDULER_EULER_ONCE, row[i].steps, row[i].shift, &s, NULL),
                         ST_OK);
        for (int64_t k = 0; k < row[i].steps; k++) {
            assert_true(fabs(s.level[k] - sigma[k]) <= 2e-7);
            assert_true(fabs(s.time[k] - time[k]) <= 2e-4);
        }
        assert_true(s.level[row[i].steps] == 0.0);
        sampler_free(&s);
        free(time), free(sigma);
    }
    safetensors_free(file);
}

struct seen {
    float *latents;
    int64_t count;
};

static enum status see_latents(void *user, const float *latents)
{
    const struct seen *seen = user;
    memcpy(seen->latents, latents, (size_t)seen->count * sizeof *latents);
    return ST_OK;
}

static void run_plain(const struct generate_request *request)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    golden_check(p, generate(plain_ops_table(p), request));
    plain_ops_free(p);
}

/* By the variants that `kernels` name; NULL: by those that the engine prefers. */
static void run_engine(const struct generate_request *request, const char *kernels)
{
    const struct engine_config config = {.choice = {kernels, NULL},
                                         .type = ELEM_F32,
                                         .threads = 2,
                                         .weights_seed = MINI_SEED,
                                         .quiet = true};
    struct engine *engine;
    struct fault fault = {0};
    assert_int_equal(engine_new(&config, &engine, &fault), ST_OK);
    if (engine_plan(engine, request, true, &fault) != ST_OK ||
        engine_execute(engine, request, NULL, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    engine_free(engine);
}

/* Four steps from given noise and rows of text to latents, where the clip ends. */
static void check_pipeline(const char *name, const struct model_config *m, double shift)
{
    struct safetensors *file = golden_open("hunyuan");
    float *text = mini_uniform("hunyuan.text", ROWS * TEXT_DIM, 2.0f);
    float *negative = mini_uniform("hunyuan.negative", ROWS * TEXT_DIM, 2.0f);
    struct generate_request request = {.model = m,
                                       .steps = 4,
                                       .scheduler = SCHEDULER_EULER_ONCE,
                                       .guidance = GUIDANCE,
                                       .shift = shift,
                                       .prompt_embeds = text,
                                       .negative_embeds = negative,
                                       .embed_rows = 7};
    assert_int_equal(geometry_of(m, 80, 48, 9, &request.geometry, NULL), ST_OK);
    const struct geometry *g = &request.geometry;
    struct seen seen = {.count = g->C * g->T * g->H * g->W};
    float *noise = mini_uniform("hunyuan.noise", seen.count, 2.0f);
    float *want = golden_values(file, name, seen.count);
    seen.latents = calloc((size_t)seen.count, sizeof *seen.latents);
    request.noise = noise;
    request.sink = (struct generate_sink){.user = &seen, .denoised = see_latents};
    run_plain(&request);
    golden_close(name, seen.latents, want, seen.count, 1e-4);
    static const char *const kernels[] = {NULL, "reference"};
    for (int i = 0; i < 2; i++) {
        memset(seen.latents, 0, (size_t)seen.count * sizeof *seen.latents);
        run_engine(&request, kernels[i]);
        golden_close(name, seen.latents, want, seen.count, 1e-4);
    }
    free(seen.latents), free(want), free(noise), free(negative), free(text);
    safetensors_free(file);
}

static void pipeline(void **state)
{
    (void)state;
    /* of the first model the pipeline wants as many channels out as in */
    struct model_config model[] = {first, second};
    model[0].transformer.out_channels = 4;
    model[0].transformer.pt = 1;
    model[0].vae = (struct vae_config){.z_dim = 4, .scale_time = 4, .scale_space = 8};
    model[1].vae = (struct vae_config){.z_dim = 4, .scale_time = 4, .scale_space = 16};
    check_pipeline("first.latents", &model[0], 7.0);
    check_pipeline("second.latents", &model[1], 9.0);
}

/* ---- presets --------------------------------------------------------------------------------- */

/* Parameters of HunyuanVideoTransformer3DModel and HunyuanVideo15Transformer3DModel of diffusers
 * 0.42.1 with the defaults of their constructors, which the published configurations repeat; of the
 * tiny one with 2 heads, 2 and 2 layers, text_embed_dim and pooled_projection_dim 128. */
static void parameters(void **state)
{
    (void)state;
    assert_int_equal(transformer_parameters(&preset_tiny_hunyuanvideo), 9339968);
    assert_int_equal(transformer_parameters(&preset_hunyuanvideo), INT64_C(12821012544));
    assert_int_equal(transformer_parameters(&preset_hunyuanvideo_1_5), INT64_C(8326608160));
}

/* One forward of a preset, counted; its tokens. */
static double forward_flops(const char *model, int width, int height, int frames, int64_t *tokens)
{
    struct case_spec s = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    struct fault fault = {0};
    s.model = model;
    s.prompt = "";
    s.steps = 1;
    s.size.width = width, s.size.height = height;
    s.frames = frames;
    assert_int_equal(case_resolve(&s, &c, &fault), ST_OK);
    assert_int_equal(engine_new(&c.config, &engine, &fault), ST_OK);
    assert_int_equal(engine_count(engine, &c.request, &fault), ST_OK);
    const double flops = engine_stage(engine, STAGE_DENOISE)->flops;
    *tokens = c.request.geometry.S;
    engine_free(engine);
    return flops / (double)case_passes(&c);
}

/* Worked out from the published sizes, S tokens of video and text: 8 S C^2 + 4 S^2 C + 4 S C F for a
 * block of two streams, 2 S C (3C + F) + 4 S^2 C + 2 S (C + F) C for one of one; all else is under a
 * thousandth. */
static void work(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int width, height, frames;
        int64_t tokens;
        double tflop, within;
    } row[] = {
        {"hunyuanvideo", 1280, 720, 129, 118800, 12070, 5},
        {"hunyuanvideo", 960, 544, 129, 67320, 4285, 0.5},
        {"hunyuanvideo-1.5", 1280, 720, 121, 111600, 6221, 0.5},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t tokens;
        const double flops =
            forward_flops(row[i].model, row[i].width, row[i].height, row[i].frames, &tokens);
        assert_int_equal(tokens, row[i].tokens);
        if (fabs(flops * 1e-12 - row[i].tflop) > row[i].within)
            fail_msg("%s: %.2f TFLOP, expected %.1f", row[i].model, flops * 1e-12, row[i].tflop);
    }
}

/* The guidance that a network is told costs no second forward. */
static void passes(void **state)
{
    (void)state;
    assert_int_equal(generate_passes(&preset_hunyuanvideo, 6.0), 1);
    assert_int_equal(generate_passes(&preset_hunyuanvideo_1_5, 6.0), 2);
    assert_int_equal(generate_passes(&preset_hunyuanvideo_1_5, 1.0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_transformer),
        cmocka_unit_test(second_transformer),
        cmocka_unit_test(pooled_is_drawn),
        cmocka_unit_test(rows_refused),
        cmocka_unit_test(parameters),
        cmocka_unit_test(work),
        cmocka_unit_test(passes),
        cmocka_unit_test(levels),
        cmocka_unit_test(pipeline),
    };
    return cmocka_run_group_tests_name("hunyuan", tests, NULL, NULL);
}
