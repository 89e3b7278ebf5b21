// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_ltx.c   LTX-Video and LTX-2: their transformers, noise levels and denoising loops against
 * the published models' own code (tests/golden/make_ltx.py), and the sizes of their presets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "model/denoiser.h"
#include "model/generate.h"
#include "model/ltx_2.h"
#include "model/sampler.h"
#include "support/golden.h"
#include "support/mini.h"
#include "support/spawn.h"

/* The geometries of make_ltx.py. Widths leave a remainder to the axes of a position, and half a
 * head of the sound is odd. */
enum { T = 3, H = 4, W = 5, CELLS = T * H * W, CHANNELS = 12, CAPTION = 20, AUDIO = 14 };
enum { TEXT_ROWS = 9, REAL_ROWS = 5 };

#define FPS 30.0
#define TIME 937.5

/* In 16 bits all that is stored is rounded: some roundings of the type. */
static const struct {
    enum elem type;
    double limit;
} arithmetic[] = {{ELEM_F32, 1e-5}, {ELEM_F16, 2e-3}, {ELEM_BF16, 2e-2}};
enum { ARITHMETICS = sizeof arithmetic / sizeof *arithmetic };

#define MINI_TRANSFORMER                                                                           \
    {                                                                                              \
        .in_channels = CHANNELS, .out_channels = CHANNELS, .pt = 1, .ph = 1, .pw = 1, .layers = 2, \
        .N = 4, .D = 20, .F = 320, .text_dim = CAPTION, .freq_dim = 256, .eps = 1e-6               \
    }
#define MINI_VAE                                                                                   \
    {                                                                                              \
        .z_dim = CHANNELS, .scale_time = 8, .scale_space = 32                                      \
    }

static const struct ltx_config latent_frames = {.pixel_frames = 0},
                               pixel_frames = {.pixel_frames = 1};

static const struct model_config mini_ltx = {
    .name = "mini-ltx",
    .family = FAMILY_LTX,
    .text = {.C = CAPTION, .rows = TEXT_ROWS},
    .transformer = MINI_TRANSFORMER,
    .vae = MINI_VAE,
    .ltx = &latent_frames,
};

static const struct ltx_2_config mini_audio = {
    .audio_channels = CHANNELS,
    .audio_N = 4,
    .audio_D = 10,
    .audio_F = 160,
    .sample_rate = 16000,
    .hop = 160,
    .scale = 4,
    .gate_time = 0.4,
};

static const struct model_config mini_ltx_2 = {
    .name = "mini-ltx-2",
    .family = FAMILY_LTX_2,
    .text = {.C = 2 * CAPTION, .rows = TEXT_ROWS},
    .transformer = MINI_TRANSFORMER,
    .vae = MINI_VAE,
    .ltx_2 = &mini_audio,
};

/* Rows of padding are anything but zero here: nothing may come of them. */
static float *text_of(const char *name, int64_t width)
{
    float *text = mini_uniform(name, TEXT_ROWS * width, 1.0f);
    for (int64_t i = REAL_ROWS * width; i < TEXT_ROWS * width; i++)
        text[i] = 0.5f;
    return text;
}

/* ---- networks -------------------------------------------------------------------------------- */

/* One forward of a family: latents and prediction [rows][CHANNELS]. */
static void forward(enum elem type, const struct model_config *model, const float *text,
                    int64_t rows, const float *latents, float *prediction)
{
    const struct plain_config config = {.seed = MINI_SEED, .type = type, .threads = 2};
    struct plain_ops *p = plain_ops_new(&config);
    struct ops *ops = plain_ops_table(p);
    struct denoiser d;
    void *condition;
    struct tensor x, y;
    const double time = TIME;
    const struct denoiser_prompt prompt = {.text = text, .rows = TEXT_ROWS, .real = REAL_ROWS};
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, model, &d));
    golden_check(p, d.family->begin(d.network, T, H, W, FPS));
    golden_check(p, denoiser_condition_new(&d, ops, &prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, rows, CHANNELS, "x"));
    golden_check(p, ops->alloc(ops, &y, ELEM_F32, rows, CHANNELS, "y"));
    golden_check(p, ops->put(ops, &x, latents, rows, CHANNELS));
    golden_check(p, d.family->set_time(d.network, &time, 1));
    golden_check(p, d.family->forward(d.network, condition, x, y));
    golden_check(p, ops->get(ops, &y, prediction, rows, CHANNELS));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
    plain_ops_free(p);
}

static void check_video(const struct ltx_config *config, const char *name)
{
    struct safetensors *file = golden_open("ltx");
    struct model_config model = mini_ltx;
    model.ltx = config;
    float *text = text_of("ltx.text", CAPTION);
    float *latents = mini_uniform("ltx.latents", CELLS * CHANNELS, 2.0f);
    float *want = golden_values(file, name, CELLS * CHANNELS);
    float got[CELLS * CHANNELS];
    for (int i = 0; i < ARITHMETICS; i++) {
        forward(arithmetic[i].type, &model, text, CELLS, latents, got);
        golden_close(name, got, want, CELLS * CHANNELS, arithmetic[i].limit);
    }
    free(want), free(latents), free(text);
    safetensors_free(file);
}

static void video(void **state)
{
    (void)state;
    check_video(&latent_frames, "ltx.latent_frames");
    check_video(&pixel_frames, "ltx.pixel_frames");
}

/* Cells of the grid, then rows of the sound. */
static float *both_latents(void)
{
    float *both = malloc(sizeof(float) * (CELLS + AUDIO) * CHANNELS);
    float *cells = mini_uniform("ltx.latents", CELLS * CHANNELS, 2.0f);
    float *sound = mini_uniform("ltx.sound", AUDIO * CHANNELS, 2.0f);
    memcpy(both, cells, sizeof(float) * CELLS * CHANNELS);
    memcpy(both + CELLS * CHANNELS, sound, sizeof(float) * AUDIO * CHANNELS);
    free(sound), free(cells);
    return both;
}

static void video_and_audio(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("ltx");
    float *text = text_of("ltx.both", 2 * CAPTION), *latents = both_latents();
    float *want_video = golden_values(file, "ltx_2.video", CELLS * CHANNELS);
    float *want_audio = golden_values(file, "ltx_2.audio", AUDIO * CHANNELS);
    float got[(CELLS + AUDIO) * CHANNELS];
    for (int i = 0; i < ARITHMETICS; i++) {
        forward(arithmetic[i].type, &mini_ltx_2, text, CELLS + AUDIO, latents, got);
        golden_close("ltx_2.video", got, want_video, CELLS * CHANNELS, arithmetic[i].limit);
        golden_close("ltx_2.audio", got + CELLS * CHANNELS, want_audio, AUDIO * CHANNELS,
                     arithmetic[i].limit);
    }
    free(want_audio), free(want_video), free(latents), free(text);
    safetensors_free(file);
}

static void extra_rows(void **state)
{
    (void)state;
    static const struct {
        int64_t frames;
        double fps;
        int64_t rows;
    } row[] = {{17, FPS, AUDIO}, {121, 24.0, 126}, {1, 24.0, 1}, {9, 50.0, 4}, {1, 1000.0, 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct geometry g;
        assert_int_equal(geometry_of(&mini_ltx_2, 64, 64, row[i].frames, &g, NULL), ST_OK);
        assert_int_equal(generate_extra_rows(&mini_ltx_2, &g, row[i].fps), row[i].rows);
        assert_int_equal(generate_extra_rows(&mini_ltx, &g, row[i].fps), 0);
    }
}

/* ---- denoising loops ------------------------------------------------------------------------- */

enum { STEPS = 4 };

struct seen {
    float latents[STEPS][(CELLS + AUDIO) * CHANNELS];
    int64_t values;
};

static enum status see_latents(void *user, const float *latents, int64_t index, int64_t count)
{
    struct seen *seen = user;
    assert_int_equal(count, STEPS);
    memcpy(seen->latents[index - 1], latents, (size_t)seen->values * sizeof *latents);
    return ST_OK;
}

/* Through generate(), with guidance, from given rows and noise. */
static void denoise(const struct model_config *model, const char *prompt, const float *sound,
                    struct seen *seen)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    float *rows = text_of(prompt, model->text.C),
          *negative = text_of("ltx.negative", model->text.C);
    float *cells = mini_uniform("ltx.latents", CELLS * CHANNELS, 2.0f);
    float *noise = golden_transposed(cells, CELLS, CHANNELS);
    struct generate_request request = {
        .model = model,
        .steps = STEPS,
        .scheduler = SCHEDULER_EULER_TERMINAL,
        .guidance = 3.0,
        .fps = FPS,
        .noise = noise,
        .extra_noise = sound,
        .prompt_embeds = rows,
        .negative_embeds = negative,
        .embed_rows = REAL_ROWS,
        .sink = {.user = seen, .latents = see_latents},
    };
    golden_check(p, geometry_of(model, 32 * W, 32 * H, 1 + 8 * (T - 1), &request.geometry, NULL));
    request.shift = generate_shift(model, &request.geometry);
    golden_check(p, generate(plain_ops_table(p), &request));
    free(noise), free(cells), free(negative), free(rows);
    plain_ops_free(p);
}

static void check_steps(struct safetensors *file, const char *name, const struct seen *seen)
{
    float *want = golden_values(file, name, STEPS * CELLS * CHANNELS);
    for (int i = 0; i < STEPS; i++) {
        float *got = golden_transposed(seen->latents[i], CHANNELS, CELLS);
        golden_close(name, got, want + i * CELLS * CHANNELS, CELLS * CHANNELS, 1e-5);
        free(got);
    }
    free(want);
}

static void video_loop(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("ltx");
    struct seen seen = {.values = CELLS * CHANNELS};
    denoise(&mini_ltx, "ltx.text", NULL, &seen);
    check_steps(file, "ltx.loop", &seen);
    safetensors_free(file);
}

static void video_and_audio_loop(void **state)
{
    (void)state;
    struct safetensors *file = golden_open("ltx");
    struct seen seen = {.values = (CELLS + AUDIO) * CHANNELS};
    float *sound = mini_uniform("ltx.sound", AUDIO * CHANNELS, 2.0f);
    float *want = golden_values(file, "ltx_2.loop.audio", AUDIO * CHANNELS);
    denoise(&mini_ltx_2, "ltx.both", sound, &seen);
    check_steps(file, "ltx_2.loop", &seen);
    golden_close("ltx_2.loop.audio", seen.latents[STEPS - 1] + CELLS * CHANNELS, want,
                 AUDIO * CHANNELS, 1e-5);
    free(want), free(sound);
    safetensors_free(file);
}

/* ---- noise levels ---------------------------------------------------------------------------- */

static void check_levels(struct safetensors *file, enum scheduler scheduler, int64_t steps,
                         double shift, const char *key)
{
    struct sampler s;
    float *want = golden_values(file, key, steps + 1);
    assert_int_equal(sampler_new(scheduler, steps, shift, &s, NULL), ST_OK);
    for (int64_t i = 0; i <= steps; i++)
        assert_true(s.level[i] == want[i]);
    for (int64_t i = 0; i < steps && scheduler == SCHEDULER_EULER_TERMINAL; i++)
        assert_true(s.time[i] == want[i] * 1000.0f);
    sampler_free(&s);
    free(want);
}

/* Times are given, levels follow from them. */
static void check_times(struct safetensors *file, int64_t steps, const char *key)
{
    struct sampler s;
    float *want = golden_values(file, key, steps);
    assert_int_equal(sampler_new(SCHEDULER_EULER_QUADRATIC, steps, 1.0, &s, NULL), ST_OK);
    for (int64_t i = 0; i < steps; i++)
        assert_true(s.time[i] == want[i]);
    sampler_free(&s);
    free(want);
}

static void levels(void **state)
{
    (void)state;
    static const int64_t tokens[] = {192, 1024, 7392, 13376}, steps[] = {2, 7, 50};
    struct safetensors *file = golden_open("ltx");
    float *shift = golden_values(file, "shift", 4);
    char key[64];
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) {
            assert_true(fabs(ltx_shift(tokens[j]) / shift[j] - 1.0) < 1e-7);
            snprintf(key, sizeof key, "terminal.%d.%d", (int)tokens[j], (int)steps[i]);
            check_levels(file, SCHEDULER_EULER_TERMINAL, steps[i], ltx_shift(tokens[j]), key);
        }
        snprintf(key, sizeof key, "quadratic.%d", (int)steps[i]);
        check_levels(file, SCHEDULER_EULER_QUADRATIC, steps[i], 1.0, key);
        snprintf(key, sizeof key, "quadratic.times.%d", (int)steps[i]);
        check_times(file, steps[i], key);
    }
    free(shift);
    safetensors_free(file);
}

/* Whatever the size and the steps, levels begin at 1, end at 0 and never rise. */
static void levels_fall(void **state)
{
    (void)state;
    static const int64_t tokens[] = {1, 7392, 400000, 10000000}, steps[] = {1, 2, 3, 8, 1000};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 5; j++)
            for (int k = 0; k < 2; k++) {
                struct sampler s;
                const enum scheduler scheduler =
                    k ? SCHEDULER_EULER_QUADRATIC : SCHEDULER_EULER_TERMINAL;
                assert_int_equal(
                    sampler_new(scheduler, steps[j], k ? 1.0 : ltx_shift(tokens[i]), &s, NULL),
                    ST_OK);
                assert_true(s.level[0] == 1.0 && s.level[steps[j]] == 0.0);
                for (int64_t n = 0; n < steps[j]; n++)
                    assert_true(s.level[n] >= s.level[n + 1]);
                sampler_free(&s);
            }
}

/* ---- presets --------------------------------------------------------------------------------- */

static const struct model_config *preset(const char *name)
{
    for (int i = 0; model_presets[i]; i++)
        if (strcmp(model_presets[i]->name, name) == 0)
            return model_presets[i];
    fail_msg("no preset %s", name);
    return NULL;
}

/* The counts of the classes of diffusers 0.42.1 on the meta device, with the configurations that
 * make_ltx.py names. */
static void parameters(void **state)
{
    (void)state;
    assert_int_equal(transformer_parameters(preset("ltx-video-2b")), INT64_C(1923385472));
    assert_int_equal(transformer_parameters(preset("ltx-video-13b")), INT64_C(13042569344));
    assert_int_equal(transformer_parameters(preset("ltx-2-19b")), INT64_C(18876174592));
}

/* Of all denoising at the model's own size, counted without running. */
static double denoise_flops(const char *model, int64_t steps)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    struct fault fault = {0};
    spec.model = model;
    spec.prompt = "";
    spec.guidance.first = 1.0;
    spec.steps = steps;
    if (case_resolve(&spec, &c, &fault) || engine_new(&c.config, &engine, &fault) ||
        engine_count(engine, &c.request, &fault))
        fail_msg("%s", fault.text);
    const double flops = engine_stage(engine, STAGE_DENOISE)->flops;
    engine_free(engine);
    return flops;
}

/* One forward is what a second step costs. Published figures are whole TFLOP; for LTX-2 there is
 * none, and 195 are its matrix products added up by hand. */
static void work(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        double tflop;
        int64_t tokens;
    } row[] = {{"ltx-video-2b", 37, 7392}, {"ltx-video-13b", 211, 7392}, {"ltx-2-19b", 195, 6144}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct model_config *m = preset(row[i].model);
        struct geometry g;
        assert_int_equal(geometry_of(m, m->width, m->height, m->frames, &g, NULL), ST_OK);
        assert_int_equal(g.S, row[i].tokens);
        const double flops = denoise_flops(m->name, 2) - denoise_flops(m->name, 1);
        if (fabs(flops * 1e-12 - row[i].tflop) > 0.5)
            fail_msg("%s: %.2f TFLOP, expected %g", m->name, flops * 1e-12, row[i].tflop);
    }
}

/* ---- the program ----------------------------------------------------------------------------- */

static struct spawned generate_tiny(const char *dump, const char *noise)
{
    char *argv[] = {BUILD_DIR "/patchmark",
                    "generate",
                    "--model=tiny-ltx-2",
                    "--size=64x64",
                    "--frames=9",
                    "--steps=2",
                    "--dump",
                    (char *)dump,
                    noise ? "--noise" : NULL,
                    (char *)noise,
                    NULL};
    return spawn_program(argv, NULL);
}

static float *dumped(const char *path, const char *name, int64_t count)
{
    struct safetensors *file;
    struct fault fault = {0};
    if (safetensors_open(path, &file, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    float *values = golden_values(file, name, count);
    safetensors_free(file);
    return values;
}

/* Sound goes out beside the video, and comes in with it. */
static void sound_in_and_out(void **state)
{
    (void)state;
    const int64_t rows = 9, channels = 128;
    char *folder = temporary_folder(), first[256], path[512];
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(path, sizeof path, "%s/latents_final.safetensors", first);
    assert_int_equal(generate_tiny(first, NULL).code, 0);
    float *once = dumped(path, "audio_latents", rows * channels);
    char again[256], other[512];
    snprintf(again, sizeof again, "%s/again", folder);
    snprintf(other, sizeof other, "%s/latents_final.safetensors", again);
    assert_int_equal(generate_tiny(again, path).code, 0);
    float *twice = dumped(other, "audio_latents", rows * channels);
    assert_true(mini_relative_l2(twice, once, rows * channels) > 1e-2);
    free(twice), free(once);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(video),       cmocka_unit_test(video_and_audio),
        cmocka_unit_test(video_loop),  cmocka_unit_test(video_and_audio_loop),
        cmocka_unit_test(extra_rows),  cmocka_unit_test(levels),
        cmocka_unit_test(levels_fall), cmocka_unit_test(parameters),
        cmocka_unit_test(work),        cmocka_unit_test(sound_in_and_out),
    };
    return cmocka_run_group_tests_name("ltx", tests, NULL, NULL);
}
