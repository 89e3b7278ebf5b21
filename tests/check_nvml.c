// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_nvml.c   The watch over a GPU's clocks and power, against tests/plugin/fake_nvml.c in the
 * library's place. The search path of libraries is read when a program starts, so each case runs
 * this program again, with the word "watch" and its milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "machine/nvml.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define UUID "GPU-00112233-4455-6677-8899-aabbccddeeff"

/* ---- the watching side ----------------------------------------------------------------------- */

static void sleep_ms(int ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

/* Two stretches of one window; prints the two groups of a record. */
static int watch(const char *uuid, int ms)
{
    struct fault fault = {{0}};
    struct nvml *n = NULL;
    struct nvml_window w = {0};
    struct json j;
    enum status status = nvml_open(uuid, &n, &fault);
    for (int i = 0; i < 2; i++) {
        nvml_window_open(n, &w);
        sleep_ms(ms);
        nvml_window_close(n, &w);
    }
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_open_object(&j, "device");
    nvml_describe(n, fault.text, &j);
    json_end(&j);
    nvml_window_json(n, &w, fault.text, &j, "gpu");
    json_bool(&j, "throttled", nvml_window_throttled(&w));
    json_int(&j, "refreshes", w.energy_refreshes);
    json_number(&j, "sampled_j", w.sampled_j);
    json_end(&j);
    printf("%s\n", j.text);
    json_free(&j);
    nvml_window_free(&w);
    nvml_close(n);
    return exit_code_of(status);
}

/* ---- the testing side ------------------------------------------------------------------------ */

static const char *program;

static struct spawned watched(const char *ms, const char *uuid, const char *lacking)
{
    const char *argv[] = {program, "watch", ms, uuid, NULL};
    char library[600], fake[64];
    snprintf(library, sizeof library, "LD_LIBRARY_PATH=%s", folder);
    snprintf(fake, sizeof fake, "FAKE_NVML=%s", lacking);
    char *environment[] = {library, fake, NULL};
    struct spawned s = spawn_program((char *const *)argv, environment);
    if (!json_valid(s.out))
        fail_msg("code %d, not JSON: '%s', '%s'", s.code, s.out, s.err);
    return s;
}

static void expect(const struct spawned *s, const char *part)
{
    if (!strstr(s->out, part))
        fail_msg("no %s in %s", part, s->out);
}

static void figures_are_watched(void **state)
{
    (void)state;
    struct spawned s = watched("130", UUID, "");
    assert_int_equal(s.code, 0);
    expect(&s, "\"driver\":\"580.82.07\",\"power_limit_w\":700,\"sm_clock_max_hz\":1980000000,"
               "\"memory_clock_max_hz\":3201000000,\"persistence\":true");
    expect(&s, "\"power_w\":{\"min\":700,\"median\":700,\"max\":700}");
    expect(&s, "\"power_is\":\"instant\"");
    expect(&s, "\"temperature_c\":{\"min\":61,\"median\":61,\"max\":61}");
    expect(&s, "\"busy\":{\"min\":0.97,");
    expect(&s, "\"memory_busy\":{\"min\":0.4,");
    expect(&s, "\"memory_clock_hz\":{\"min\":3201000000,");
    expect(&s, "\"clock_events\":[\"power_cap\",\"hardware_thermal\"]");
    expect(&s, "\"throttled\":true");
    expect(&s, "\"energy_j\":{\"value\":null,\"why\":\"no stretch was long enough");
}

/* The clock falls with each look, so that minimum, median and maximum must differ; both ends of
 * both stretches are seen, and the thread between them. */
static void a_thread_looks_between_the_ends(void **state)
{
    (void)state;
    struct spawned s = watched("200", UUID, "");
    int samples = 0;
    double least = 0, median = 0, most = 0, ns = 0;
    const char *at = strstr(s.out, "\"gpu\":{");
    assert_non_null(at);
    assert_int_equal(sscanf(at,
                            "\"gpu\":{\"samples\":%d,\"watched_ns\":%lf,\"sm_clock_hz\":"
                            "{\"min\":%lf,\"median\":%lf,\"max\":%lf",
                            &samples, &ns, &least, &median, &most),
                     5);
    assert_true(samples > 4 && samples <= 4 + 2 * 11);
    assert_true(ns >= 4e8);
    assert_true(most == 1970e6 && least < median && median < most);
}

static void no_heat_no_throttling(void **state)
{
    (void)state;
    struct nvml_window w = {.events = NVML_EVENT_POWER_CAP | NVML_EVENT_IDLE};
    assert_false(nvml_window_throttled(&w));
    w.events |= NVML_EVENT_SOFTWARE_THERMAL;
    assert_true(nvml_window_throttled(&w));
}

/* 700 W in steps of 70 J, over two stretches of at least 2.05 s. */
static void energy_of_long_stretches(void **state)
{
    (void)state;
    struct spawned s = watched("2050", UUID, "");
    double joules = 0, ns = 0, refreshes = 0, sampled = 0;
    const char *at = strstr(s.out, "\"energy_j\":"), *more = strstr(s.out, "\"refreshes\":");
    assert_true(at && more);
    assert_int_equal(sscanf(at, "\"energy_j\":%lf,\"energy_ns\":%lf", &joules, &ns), 2);
    assert_true(ns >= 4.1e9 && joules >= 700 * 4 - 1 && fabs(joules - 700e-9 * ns) <= 140 + 1);
    assert_int_equal(sscanf(more, "\"refreshes\":%lf,\"sampled_j\":%lf", &refreshes, &sampled), 2);
    assert_true(refreshes >= 30 && refreshes <= 10e-9 * ns + 2);
    assert_true(fabs(sampled - 700e-9 * ns) <= 0.05 * sampled);
}

static void without_the_instant_power(void **state)
{
    (void)state;
    struct spawned s = watched("10", UUID, "instant");
    expect(&s, "\"power_w\":{\"min\":500,\"median\":500,\"max\":500}");
    expect(&s, "\"power_is\":\"average\"");
}

static void refused_figures_are_null(void **state)
{
    (void)state;
    struct spawned s = watched("10", UUID, "figures");
    assert_int_equal(s.code, 0);
    expect(&s, "\"driver\":{\"value\":null,\"why\":\"the driver does not tell\"}");
    expect(&s, "\"sm_clock_hz\":{\"value\":null,\"why\":\"the driver does not tell\"}");
    expect(&s, "\"clock_events\":[]");
    expect(&s, "\"throttled\":false");
}

static void absence_has_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *uuid, *lacking, *why;
    } rows[] = {
        {UUID, "driver", "NVML does not start: Driver Not Loaded"},
        {UUID, "device", "NVML does not know this CUDA device: Not Found"},
        {"GPU-ffffffff-0000-0000-0000-000000000000", "",
         "NVML does not know this CUDA device: Not Found"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spawned s = watched("1", rows[i].uuid, rows[i].lacking);
        assert_int_equal(s.code, EXIT_NOTHING);
        expect(&s, at("\"gpu\":{\"value\":null,\"why\":\"%s\"}", rows[i].why));
        expect(&s, at("\"driver\":{\"value\":null,\"why\":\"%s\"}", rows[i].why));
    }
}

/* A file of that name which is no NVML: an empty library would do, ours is another fake. */
static void a_library_without_its_calls_is_refused(void **state)
{
    (void)state;
    const char *library = at("%s/libnvidia-ml.so.1", folder);
    unlink(library);
    char *other = realpath(BUILD_DIR "/tests/plugin/linear_rows.so", NULL);
    assert_non_null(other);
    assert_int_equal(symlink(other, library), 0);
    free(other);
    struct spawned s = watched("1", UUID, "");
    assert_int_equal(s.code, EXIT_NOTHING);
    expect(&s, "libnvidia-ml.so.1 has no nvmlInit_v2");
    unlink(library);
}

static int link_the_fake(void **state)
{
    folder_make(state);
    char *fake = realpath(BUILD_DIR "/tests/plugin/fake_nvml.so", NULL);
    int failed = !fake || symlink(fake, at("%s/libnvidia-ml.so.1", folder)) != 0;
    free(fake);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "watch"))
        return watch(argv[3], atoi(argv[2]));
    program = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_watched),
        cmocka_unit_test(a_thread_looks_between_the_ends),
        cmocka_unit_test(no_heat_no_throttling),
        cmocka_unit_test(energy_of_long_stretches),
        cmocka_unit_test(without_the_instant_power),
        cmocka_unit_test(refused_figures_are_null),
        cmocka_unit_test(absence_has_a_reason),
        cmocka_unit_test(a_library_without_its_calls_is_refused),
    };
    return cmocka_run_group_tests_name("nvml", tests, link_the_fake, folder_drop);
}
