// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_run.c   What timed pipelines must withstand: kernels that cheat, print, crash or refuse,
 * and plans and tensors that are not what they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"
#include "weights/safetensors.h"

static struct spawned patchmark(const char *const *words)
{
    const char *argv[40] = {BUILD_DIR "/patchmark"};
    for (int n = 1; n < 39 && words[n - 1]; n++)
        argv[n] = words[n - 1];
    return spawn_program((char *const *)argv, NULL);
}

/* A small pipeline with one rms_norm of tests/broken in it. */
static struct spawned run_with(const char *fault, const char *repetitions)
{
    const char *plugin = at(BUILD_DIR "/tests/broken/%s.so", fault);
    const char *kernels = at("rms_norm=broken_90_%s", fault);
    const char *words[] = {"run",
                           "--size=32x32",
                           "--frames=5",
                           "--steps=1",
                           "--budget=0.5",
                           "--results=none",
                           "--repetitions",
                           repetitions,
                           "--plugin",
                           plugin,
                           "--kernels",
                           kernels,
                           NULL};
    return patchmark(words);
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static void printing_forges_nothing(void **state)
{
    (void)state;
    struct spawned s = run_with("talks", "3");
    assert_int_equal(s.code, 0);
    assert_null(strstr(s.out, "forged"));
    assert_null(strstr(s.out, "0.000 s"));
    const char *plugin = BUILD_DIR "/tests/broken/talks.so";
    const char *words[] = {"generate",
                           "--prompt=x",
                           "--size=32x32",
                           "--frames=1",
                           "--steps=1",
                           "--plugin",
                           plugin,
                           "--kernels=rms_norm=broken_90_talks",
                           "--format=json",
                           "-o",
                           at("%s/t.ppm", folder),
                           NULL};
    s = patchmark(words);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    assert_null(strstr(s.out, "forged"));
}

/* Right while it is verified and in the first clips, idle later. */
static void a_kernel_that_stops_working_is_wrong(void **state)
{
    (void)state;
    struct spawned s = run_with("lazy", "12");
    expect(&s, 1, "wrong");
    assert_null(strstr(s.out, " s +-"));
}

static void a_wrong_kernel_gets_no_time(void **state)
{
    (void)state;
    struct spawned s = run_with("wrong_scale", "3");
    expect(&s, 1, "wrong");
    assert_null(strstr(s.out, " s +-"));
}

static void write_plan(const char *path, const char *from, const char *to)
{
    const char *words[] = {"generate",  "--size=32x32", "--frames=1", "--steps=1",
                           "--dry-run", "--write-plan", path,         NULL};
    struct spawned s = patchmark(words);
    assert_int_equal(s.code, 0);
    char *text = file_read(path, NULL), *place = strstr(text, from);
    if (place) {
        char *edited = malloc(strlen(text) + strlen(to) + 1);
        sprintf(edited, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
        file_write(path, edited, false);
        free(edited);
    }
    free(text);
    if (!place)
        skip();
}

static void expect_plan_refused(const char *path, const char *says)
{
    const char *words[] = {
        "generate", "--prompt=x", "--size=32x32", "--frames=1",           "--steps=1",
        "--plan",   path,         "-o",           at("%s/p.ppm", folder), NULL};
    struct spawned s = patchmark(words);
    expect(&s, 2, says);
    assert_false(file_exists(at("%s/p.ppm", folder)));
}

static void only_stated_knob_values_reach_a_kernel(void **state)
{
    const char *path = at("%s/plan.tsv", folder);
    (void)state;
    write_plan(path, "rows=96", "rows=7");
    expect_plan_refused(path, "not '7'");
    write_plan(path, "rows=96", "rows=abc");
    expect_plan_refused(path, "not 'abc'");
}

static void noise_must_be_finite(void **state)
{
    float *latents = calloc(16 * 4 * 4, sizeof *latents);
    const char *path = at("%s/noise.safetensors", folder);
    struct safetensor_out tensor = {"latents", 5, {1, 16, 1, 4, 4}, latents};
    struct fault fault = {{0}};
    (void)state;
    latents[77] = NAN;
    assert_int_equal(safetensors_write(path, &tensor, 1, &fault), ST_OK);
    free(latents);
    const char *words[] = {
        "generate", "--prompt=x", "--size=32x32", "--frames=1",           "--steps=1",
        "--noise",  path,         "-o",           at("%s/n.ppm", folder), NULL};
    struct spawned s = patchmark(words);
    expect(&s, 2, "1 values that are NaN or infinite");
}

static void absurd_thread_counts_are_refused(void **state)
{
    const char *words[] = {"run",       "--size=32x32",     "--frames=1",
                           "--steps=1", "--threads=100000", NULL};
    (void)state;
    struct spawned s = patchmark(words);
    expect(&s, 2, "--threads");
}

/* The line that repeats a case holds everything that made it. */
static void a_case_can_be_repeated_from_its_record(void **state)
{
    const char *words[] = {"run",
                           "--size=32x32",
                           "--frames=1",
                           "--steps=1",
                           "--budget=0.1",
                           "--results=none",
                           "--prompt=it's snow",
                           "--negative=rain",
                           "--fps=24",
                           "--shift=4.5",
                           "--fill=outlier",
                           "--guidance=3.25",
                           "--format=json",
                           NULL};
    static const char *const parts[] = {"--prompt 'it'\\\\''s snow'",
                                        "--negative rain",
                                        "--fps 24",
                                        "--shift 4.5",
                                        "--fill outlier",
                                        "--guidance 3.25"};
    (void)state;
    struct spawned s = patchmark(words);
    assert_int_equal(s.code, 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(s.out, parts[i]))
            fail_msg("repro lacks %s:\n%s", parts[i], s.out);
}

/* Of two experts the line that repeats a case names both guidances, as its recipe does; a model that
 * needs an image draws it, and says how long looking at it took. */
static void experts_and_images_are_cases_too(void **state)
{
    (void)state;
    const char *experts[] = {
        "run",          "--model=tiny-a14b", "--size=32x32",  "--frames=1",          "--steps=2",
        "--budget=0.1", "--results=none",    "--format=json", "--guidance=3.5,1.25", NULL};
    const char *image[] = {"run",       "--model=tiny-i2v", "--size=32x32",   "--frames=1",
                           "--steps=1", "--budget=0.1",     "--results=none", "--format=json",
                           NULL};
    struct spawned s = patchmark(experts);
    assert_int_equal(s.code, 0);
    assert_non_null(strstr(s.out, "--guidance 3.5,1.25"));
    assert_non_null(strstr(s.out, "\"guidance_low\":1.25"));
    s = patchmark(image);
    assert_int_equal(s.code, 0);
    assert_non_null(strstr(s.out, "\"encode_ns\": "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_forges_nothing),
        cmocka_unit_test(a_kernel_that_stops_working_is_wrong),
        cmocka_unit_test(a_wrong_kernel_gets_no_time),
        cmocka_unit_test(only_stated_knob_values_reach_a_kernel),
        cmocka_unit_test(noise_must_be_finite),
        cmocka_unit_test(absurd_thread_counts_are_refused),
        cmocka_unit_test(a_case_can_be_repeated_from_its_record),
        cmocka_unit_test(experts_and_images_are_cases_too),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
