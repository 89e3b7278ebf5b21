// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_residency.c   How long weights stay changes memory and time, and no bit of a clip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "support/spawn.h"

struct ran {
    uint64_t hash;
    size_t planned;
    int64_t load_ns, stream_ns;
};

static enum status hash_frames(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct ran *r = user;
    (void)first;
    for (int64_t i = 0; i < count * 32 * 32 * 3; i++)
        r->hash = (r->hash ^ rgb[i]) * UINT64_C(0x100000001b3);
    return ST_OK;
}

static struct engine *planned(const char *model, const char *kernels, const char *residency,
                              struct size2 size, struct pipeline_case *c)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct engine *engine;
    struct fault fault = {{0}};
    spec.model = model;
    spec.size = size;
    spec.frames = 5;
    spec.steps = strcmp(model, "tiny") ? 20 : 2; /* both experts have some */
    spec.threads = 2;
    spec.kernels = kernels;
    spec.residency = residency;
    spec.prompt = "ball";
    assert_int_equal(case_resolve(&spec, c, &fault), ST_OK);
    c->config.quiet = true;
    assert_int_equal(engine_new(&c->config, &engine, &fault), ST_OK);
    if (engine_plan(engine, &c->request, false, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return engine;
}

/* Twice with one engine: what stayed from the first time must be right in the second. */
static struct ran run_twice(const char *kernels, const char *residency)
{
    struct pipeline_case c;
    struct ran r[2] = {{0}};
    struct fault fault = {{0}};
    struct engine *engine = planned("tiny", kernels, residency, (struct size2){32, 32}, &c);
    for (int i = 0; i < 2; i++) {
        c.request.sink = (struct generate_sink){.user = &r[i], .frames = hash_frames};
        if (engine_execute(engine, &c.request, NULL, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        r[i].planned = engine_peak_bytes(engine);
        r[i].load_ns = engine_stage(engine, STAGE_DENOISE)->load_ns;
        r[i].stream_ns = engine_stage(engine, STAGE_DENOISE)->stream_ns;
    }
    engine_free(engine);
    assert_true(r[0].hash == r[1].hash);
    return r[1];
}

static void frames_are_the_same(void **state)
{
    static const char *const kernels[] = {"auto", "c"}; /* packed weights, and plain ones */
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct ran stage = run_twice(kernels[i], "stage");
        const struct ran resident = run_twice(kernels[i], "resident");
        const struct ran stream = run_twice(kernels[i], "block-stream");
        assert_true(stage.hash == resident.hash && stage.hash == stream.hash);
        assert_true(stream.planned < stage.planned && stage.planned < resident.planned);
        assert_true(stream.stream_ns > 0);
        assert_true(stage.stream_ns == 0 && resident.stream_ns == 0);
    }
}

/* 14 billion parameters: a stage holds all of its blocks, a stream one. */
static void a_stream_needs_one_block(void **state)
{
    (void)state;
    struct pipeline_case c;
    struct engine *engine =
        planned("wan2.1-t2v-14b", "c", "block-stream", (struct size2){64, 64}, &c);
    const size_t weights = engine_stage(engine, STAGE_DENOISE)->weight_bytes;
    const size_t stage = engine_residency_bytes(engine, RESIDENCY_STAGE);
    const size_t stream = engine_residency_bytes(engine, RESIDENCY_BLOCK_STREAM);
    const size_t resident = engine_residency_bytes(engine, RESIDENCY_RESIDENT);
    assert_int_equal(engine_residency(engine), RESIDENCY_BLOCK_STREAM);
    assert_int_equal(engine_peak_bytes(engine), stream);
    assert_true(stage > weights && resident > stage);
    assert_true(stream > weights / 40 && stream < weights / 5);
    engine_free(engine);
}

static void experts_take_turns(void **state)
{
    (void)state;
    struct pipeline_case c;
    struct engine *engine = planned("wan2.2-t2v-a14b", "c", "stage", (struct size2){64, 64}, &c);
    assert_int_equal(engine_residency(engine), RESIDENCY_EXPERT_SWAP);
    const size_t one = engine_stage(engine, STAGE_DENOISE)->weight_bytes;
    assert_true(engine_peak_bytes(engine) < 2 * one);
    assert_true(engine_residency_bytes(engine, RESIDENCY_RESIDENT) > 2 * one);
    engine_free(engine);
}

static void fit_is_said(void **state)
{
    (void)state;
    struct pipeline_case c;
    char text[160];
    struct engine *engine = planned("tiny", "c", "stage", (struct size2){32, 32}, &c);
    engine_describe_fit(engine, SIZE_MAX, text, sizeof text);
    assert_string_equal(text, "fits (stage)");
    engine_describe_fit(engine, 1 << 20, text, sizeof text);
    assert_non_null(strstr(text, "does not fit: stage needs 0.0"));
    engine_free(engine);
}

static void refuse(const char *flag, const char *other, const char *says)
{
    const char *argv[] = {
        BUILD_DIR "/patchmark", "run", "--size=32x32", "--results=none", flag, other, NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    if (s.code != 2 || !strstr(s.err, says))
        fail_msg("exit %d, wanted 2 and '%s':\n%s%s", s.code, says, s.out, s.err);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    refuse("--residency=block", "--steps=1", "did you mean block-stream");
    refuse("--residency=block-stream", "--launch=graph", "which a graph cannot");
    refuse("--residency=block-stream", "--sample", "--sample leaves reading out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_the_same),       cmocka_unit_test(a_stream_needs_one_block),
        cmocka_unit_test(experts_take_turns),        cmocka_unit_test(fit_is_said),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
