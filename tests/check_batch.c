// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_batch.c   Clips made together: each is the clip that is made alone, and weights are read once
 * for all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

enum { CLIPS = 2 };

/* Everything that comes out, clip after clip. */
struct made {
    const struct generate_request *request;
    float *latents;
    uint8_t *frames;
    int64_t values, pixels, latents_seen, frames_seen;
    double flops, forwards;
};

static enum status take_latents(void *user, const float *latents)
{
    struct made *m = user;
    memcpy(m->latents + m->latents_seen, latents, (size_t)m->values * sizeof *latents);
    m->latents_seen += m->values;
    return ST_OK;
}

static enum status take_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct made *m = user;
    const int64_t bytes = m->pixels / m->request->geometry.frames;
    assert_int_equal(first * bytes, m->frames_seen % m->pixels);
    memcpy(m->frames + m->frames_seen, rgb, (size_t)(count * bytes));
    m->frames_seen += count * bytes;
    return ST_OK;
}

/* `clips` of seeds from 7 on and of the prompts from `first` on, by one plan or by several. */
static struct made make(const char *model, int64_t side, const char *kernels, int64_t clips,
                        int first)
{
    static const char *const prompts[CLIPS] = {"waves", "a red ball rolls"};
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    struct fault fault = {{0}};
    struct made m = {0};
    spec.model = model;
    spec.kernels = kernels;
    spec.size = (struct size2){side, side};
    spec.frames = 5;
    spec.steps = 2;
    spec.threads = 2;
    spec.seed = 7 + (uint64_t)first;
    assert_int_equal(case_resolve(&spec, &c, &fault), ST_OK);
    const struct geometry *g = &c.request.geometry;
    m.request = &c.request;
    m.values = g->C * g->T * g->H * g->W;
    m.pixels = g->frames * g->height * g->width * 3;
    m.latents = calloc((size_t)(clips * m.values), sizeof *m.latents);
    m.frames = calloc((size_t)(clips * m.pixels), 1);
    c.config.quiet = true;
    c.request.prompt = prompts[first];
    c.request.batch = clips;
    c.request.prompts = clips > 1 ? prompts : NULL;
    c.request.seed_step = 1;
    c.request.sink =
        (struct generate_sink){.user = &m, .denoised = take_latents, .frames = take_frames};
    assert_int_equal(engine_new(&c.config, &engine, &fault), ST_OK);
    if (engine_plan(engine, &c.request, true, &fault) != ST_OK ||
        engine_execute(engine, &c.request, NULL, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    m.flops = engine_stage(engine, STAGE_DENOISE)->flops;
    m.forwards = (double)engine_stage(engine, STAGE_DENOISE)->calls;
    assert_int_equal(m.latents_seen, clips * m.values);
    assert_int_equal(m.frames_seen, clips * m.pixels);
    engine_free(engine);
    m.request = NULL;
    return m;
}

static void made_free(struct made *m)
{
    free(m->latents);
    free(m->frames);
}

/* Largest difference over the largest value. */
static double apart(const float *a, const float *b, int64_t count)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return most / largest;
}

/* Plain kernels work row by row, so there the clips agree to the bit. */
static void check_model(const char *model, int64_t side, const char *kernels, double allowed)
{
    struct made all = make(model, side, kernels, CLIPS, 0);
    for (int i = 0; i < CLIPS; i++) {
        struct made one = make(model, side, kernels, 1, i);
        const float *latents = all.latents + i * all.values;
        const double error = apart(latents, one.latents, one.values);
        if (!(error <= allowed))
            fail_msg("%s by %s: clip %d is %g apart, more than %g", model, kernels, i, error,
                     allowed);
        if (allowed == 0)
            assert_memory_equal(all.frames + i * all.pixels, one.frames, (size_t)one.pixels);
        if (i)
            assert_true(apart(latents, all.latents, all.values) > 0.01);
        /* the vectors of the time are the same for all clips, so a little less than twice */
        assert_true(all.flops > 1.9 * one.flops && all.flops <= 2 * one.flops);
        assert_true(all.forwards == one.forwards);
        made_free(&one);
    }
    made_free(&all);
}

static void each_clip_is_the_one_made_alone(void **state)
{
    (void)state;
    check_model("tiny-a14b", 16, "c", 0); /* two experts, guidance */
}

static void fast_kernels_agree_within_rounding(void **state)
{
    (void)state;
    check_model("tiny-ti2v", 32, "auto", 1e-4);
}

/* ---- the program ----------------------------------------------------------------------------- */

static struct spawned run(const char *first, const char *second)
{
    const char *argv[] = {BUILD_DIR "/patchmark",
                          "run",
                          "--size=32x32",
                          "--frames=1",
                          "--steps=1",
                          "--threads=1",
                          "--results=none",
                          "--budget=0.2",
                          "--format=json",
                          first,
                          second,
                          NULL};
    return spawn_program((char *const *)argv, NULL);
}

static double number(const struct spawned *s, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *place = strstr(s->out, quoted);
    if (!place)
        fail_msg("no %s in\n%s%s", key, s->out, s->err);
    return strtod(place + strlen(quoted), NULL);
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static void a_batch_counts_all_its_clips(void **state)
{
    (void)state;
    struct spawned s = run("--batch=3", NULL);
    assert_true(json_valid(s.out));
    expect(&s, 0, "\"batch\":3");
    const double median_ns = number(&s, "median");
    assert_float_equal(number(&s, "ns_per_clip"), median_ns / 3, 1e-6 * median_ns);
    assert_float_equal(number(&s, "frames_per_s"), 3e9 / median_ns, 1e-6 * 3e9 / median_ns);
}

static void who_takes_none_says_so(void **state)
{
    (void)state;
    struct spawned s = run("--batch=2", "--model=tiny-dit");
    expect(&s, 3, "\"status\": \"refused\"");
    expect(&s, 3, "makes one clip at a time");
    s = run("--batch=2", "--model=tiny-i2v");
    expect(&s, 3, "makes one clip at a time");
    s = run("--batch=2", "--scenario=single-stream");
    expect(&s, 2, "goes with offline");
    s = run("--batch=2", "--sample");
    expect(&s, 2, "--sample cannot");
    s = run("--batch=0", NULL);
    expect(&s, 2, "--batch wants whole numbers from 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_clip_is_the_one_made_alone),
        cmocka_unit_test(fast_kernels_agree_within_rounding),
        cmocka_unit_test(a_batch_counts_all_its_clips),
        cmocka_unit_test(who_takes_none_says_so),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
