// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_gate.c   patchmark gate on planted histories: which runs count, when slower is a regression,
 * and what is never taken for a pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define PROGRAM BUILD_DIR "/patchmark"

/* Words up to a NULL, after "patchmark gate FOLDER --machine cpu-a". */
static struct spawned gate(const char *first, ...)
{
    const char *argv[20] = {PROGRAM, "gate", folder, "--machine=cpu-a", first};
    int n = 4 + (first != NULL);
    va_list more;
    va_start(more, first);
    while (first && n < 19 && (argv[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    return spawn_program((char *const *)argv, NULL);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is missing in:\n%s", part, text);
}

static void assert_says(const struct spawned *s, int code, const char *part)
{
    if (s->code != code)
        fail_msg("exit code %d\n%s%s", s->code, s->out, s->err);
    assert_has(s->out, part);
}

#ifdef HAVE_JANSSON

/* A case; NULL and 0 stand for what most tests want. */
struct planted {
    const char *kind, *variant, *status, *claim, *machine, *knobs, *recipe, *impl, *version,
        *slow; /* planted in the recipe */
    double ns;
};

static int day;

static const char * or (const char *text, const char *other) { return text ? text : other; }

/* A run of its own, a day after the one before. */
static void plant(const struct planted *cases, int count)
{
    char path[600];
    day++;
    snprintf(path, sizeof path, "%s/%02d.jsonl", folder, day);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
#define HEAD "{\"schema\":{\"name\":\"patchmark\",\"version\":\"%s\"},\"run_id\":\"run-%d\","
    fprintf(out, HEAD "\"kind\":\"run\",\"machine\":\"%s\"}\n", or (cases[0].version, "2.0"), day,
            or (cases[0].machine, "cpu-a"));
    for (int i = 0; i < count; i++) {
        const struct planted *c = &cases[i];
        fprintf(out,
                HEAD "\"kind\":\"case\",\"case\":%d,\"created_utc\":\"2026-03-%02dT00:00:00Z\","
                     "\"case_kind\":\"%s\",\"status\":\"%s\",\"status_reason\":null,"
                     "\"claim\":\"%s\",\"recipe\":{\"op\":\"linear\",\"shape\":\"linear:S=1\","
                     "\"seed\":%s%s},\"recipe_sha256\":\"%s\",\"impl\":{\"variant\":\"%s\","
                     "\"requested\":\"x\",\"knobs\":{%s}%s},\"timing\":",
                or (c->version, "2.0"), day, i + 1, day, or (c->kind, "kernel"),
                or (c->status, "passed"), or (c->claim, "measured"), or (c->recipe, "1"),
                or (c->slow, ""), or (c->recipe, "1"), or (c->variant, "c_01_plain"),
                or (c->knobs, ""), or (c->impl, ""));
        if (c->ns > 0)
            fprintf(out, "{\"median\":%.17g}}\n", c->ns);
        else
            fputs("null}\n", out);
    }
    assert_int_equal(fclose(out), 0);
}

/* Runs of one kernel, one after the other. */
static void plant_times(const double *ns, int count)
{
    for (int i = 0; i < count; i++)
        plant(&(struct planted){.ns = ns[i]}, 1);
}
#define TIMES(...)                                                                                 \
    plant_times((const double[]){__VA_ARGS__},                                                     \
                (int)(sizeof(const double[]){__VA_ARGS__} / sizeof(double)))

static int clear(void **state)
{
    glob_t files;
    (void)state;
    day = 0;
    if (glob(at("%s/*", folder), 0, NULL, &files) == 0)
        for (size_t i = 0; i < files.gl_pathc; i++)
            unlink(files.gl_pathv[i]);
    globfree(&files);
    return 0;
}

static void slower_by_both_limits_is_a_regression(void **state)
{
    (void)state;
    TIMES(1e6, 1.01e6, 0.99e6, 1.2e6);
    struct spawned s = gate(NULL);
    assert_says(&s, 1,
                "  REGRESSION           +20.0%     1.2 ms       1 ms    3  c_01_plain "
                "linear:S=1\n");
    assert_has(s.out, "\n1 REGRESSION\n");
    s = gate("--percent=25", NULL);
    assert_says(&s, 0, "  ok ");
    s = gate("--absolute=1e-3", NULL);
    assert_says(&s, 0, "  ok ");
    s = gate("--percent=0", "--absolute=0", NULL);
    assert_says(&s, 1, "REGRESSION");
}

/* Half as long again, and yet less than a clock can tell. */
static void a_percent_of_next_to_nothing_is_none(void **state)
{
    (void)state;
    TIMES(1000, 1000, 1000, 1500);
    struct spawned s = gate(NULL);
    assert_says(&s, 0, "+50.0%");
    s = gate("--absolute=4e-7", NULL);
    assert_says(&s, 1, "REGRESSION");
}

static void limits_go_by_the_kind_of_case(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        double more = i == 3 ? 1.06 : 1;
        plant((const struct planted[]){{.kind = "kernel", .ns = 1e9 * more},
                                       {.kind = "pipeline", .ns = 1e9 * more},
                                       {.kind = "ceiling", .ns = 1e9 * more},
                                       {.kind = "verify", .ns = 1e9 * more}},
              4);
    }
    struct spawned s = gate("--format=json", NULL);
    assert_int_equal(s.code, 1);
    assert_true(json_valid(s.out));
    assert_has(s.out, "\"REGRESSION\": 1,");
    assert_has(s.out, "\"ok\": 2\n");
    s = gate("--where=case_kind=pipeline", NULL);
    assert_says(&s, 1, "\n1 REGRESSION\n");
    s = gate("--where=case_kind=kernel", NULL);
    assert_says(&s, 0, "\n1 ok\n");
}

/* Twice the work in twice the time. */
static void ceilings_are_held_to_their_rates(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        plant(&(struct planted){.kind = "ceiling",
                                .ns = i == 3 ? 2e6 : 1e6,
                                .impl = i == 3 ? "},\"work\":{\"bytes\":2000"
                                               : "},\"work\":{\"bytes\":1000"},
              1);
    struct spawned s = gate("--where=case_kind=ceiling", NULL);
    assert_says(
        &s, 0, "  ok                    +0.0%       2 ms       2 ms    3  c_01_plain linear:S=1\n");
}

static void faster_is_told_and_no_failure(void **state)
{
    (void)state;
    TIMES(1e6, 1e6, 1e6, 0.5e6);
    struct spawned s = gate(NULL);
    assert_says(&s, 0, "  faster               -50.0%");
}

static void the_window_rolls(void **state)
{
    (void)state;
    TIMES(1e6, 1e6, 1e6, 2e6, 2e6, 2e6, 2e6, 2e6, 2.01e6);
    struct spawned s = gate(NULL);
    assert_says(&s, 0, " 5  c_01_plain");
    s = gate("--window=8", NULL);
    assert_says(&s, 0, " 8  c_01_plain");
    assert_int_equal(clear(NULL), 0);
    TIMES(1e6, 1e6, 1e6, 1e6, 2e6, 2e6, 2e6, 2.01e6);
    s = gate("--window=7", NULL);
    assert_says(&s, 1, "+101.0%");
    s = gate("--window=1", NULL);
    assert_says(&s, 0, "+0.5%");
}

static void too_little_history_is_no_pass(void **state)
{
    (void)state;
    TIMES(1e6, 1e6, 9e6);
    struct spawned s = gate(NULL);
    assert_says(&s, 3, "CALIBRATION NEEDED");
    assert_has(s.out, "(2 of 3 runs before it)");
    assert_has(s.err, "no recipe has the history");
    s = gate("--window=2", NULL);
    assert_says(&s, 1, "REGRESSION");
}

/* Else a run that measured itself ten times would be all the history there is. */
static void a_run_counts_once(void **state)
{
    (void)state;
    plant((const struct planted[]){{.ns = 1e6}, {.ns = 1e6}, {.ns = 1e6}, {.ns = 1e6}}, 4);
    plant((const struct planted[]){{.ns = 2e6}, {.ns = 2e6}}, 2);
    struct spawned s = gate(NULL);
    assert_says(&s, 3, "(1 of 3 runs before it)");
    char *text = file_read(at("%s/01.jsonl", folder), NULL);
    for (int i = 0; i < 3; i++)
        file_put(at("%s/copy%d.jsonl", folder, i), text, strlen(text));
    free(text);
    s = gate(NULL);
    assert_says(&s, 3, "(1 of 3 runs before it)");
}

static void only_what_passed_here_under_the_same_recipe_counts(void **state)
{
    static const struct planted strangers[] = {
        {.ns = 1e6, .slow = ",\"planted_slowdown\":0.02"},
        {.ns = 1e6, .impl = ",\"program_sha256\":\"ab\""},
        {.ns = 1e6, .status = "unstable"},
        {.ns = 1e6, .status = "throttled"},
        {.ns = 1e6, .claim = "sampled"},
        {.ns = 1e6, .machine = "cpu-b"},
        {.ns = 1e6, .variant = "c_02_other"},
        {.ns = 1e6, .status = "wrong"},
    };
    (void)state;
    TIMES(2e6, 2e6, 2e6);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        plant(&strangers[i], 1);
    TIMES(2.01e6);
    struct spawned s = gate("--where=variant=c_01_plain", "--where=claim=measured", NULL);
    assert_says(&s, 0, "   +0.5%");
    assert_has(s.out, "\n1 ok\n");
}

static void limits_under_the_noise_floor_are_refused(void **state)
{
    (void)state;
    TIMES(1e6, 1e6, 1e6, 1.1e6);
    struct spawned s = gate("--percent=3", NULL);
    assert_says(&s, 1, "REGRESSION");
    const char *calibrations =
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"run\",\"machine\":"
        "\"cpu-a\"}\n"
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"calibration\","
        "\"created_utc\":\"2026-02-02T00:00:00Z\",\"floor\":0.12}\n"
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"calibration\","
        "\"created_utc\":\"2026-02-01T00:00:00Z\",\"floor\":0.01}\n";
    file_put(at("%s/k.jsonl", folder), calibrations, strlen(calibrations));
    s = gate("--percent=3", NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "--percent 3 is under the noise floor of kernels on this machine, 12% by the "
                      "calibration of 2026-02-02T00:00:00Z");
    s = gate("--format=json", NULL);
    assert_says(&s, 0, "\"limit_percent\": 12,");
}

static void another_recipe_is_named(void **state)
{
    (void)state;
    TIMES(1e6, 1e6, 1e6, 1e6);
    plant(&(struct planted){.ns = 5e6, .recipe = "2"}, 1);
    struct spawned s = gate(NULL);
    assert_says(&s, 0, "RECIPE MISMATCH");
    assert_has(s.out, "(0 of 3 runs before it; recipe.seed differs from that of "
                      "2026-03-04T00:00:00Z)");
    plant(&(struct planted){.ns = 5e6, .knobs = "\"rows\":8"}, 1);
    s = gate(NULL);
    assert_has(s.out, "; impl.knobs.rows differs from that of 2026-03-04T00:00:00Z)");
    assert_has(s.out, "\n2 RECIPE MISMATCH, 1 ok\n");
    assert_int_equal(clear(NULL), 0);
    TIMES(1e6, 1e6, 1e6);
    plant(&(struct planted){.ns = 1e6, .version = "2.7"}, 1); /* minors only add */
    s = gate(NULL);
    assert_says(&s, 0, " 3  c_01_plain linear:S=1\n");
    plant(&(struct planted){.ns = 1e6, .version = "1.1"}, 1);
    s = gate(NULL);
    assert_has(s.out, "; schema.version differs from that of 2026-03-04T00:00:00Z)");
}

static void what_fails_now_and_passed_before_is_a_failure(void **state)
{
    (void)state;
    TIMES(1e6, 1e6);
    plant(&(struct planted){.status = "crashed", .knobs = "\"rows\":8"}, 1);
    struct spawned s = gate(NULL);
    assert_says(&s, 1, "  FAILED ");
    assert_has(s.out, "(crashed)");
    assert_int_equal(clear(NULL), 0);
    TIMES(1e6, 1e6, 1e6);
    plant(&(struct planted){.status = "unstable", .ns = 2e6}, 1);
    s = gate(NULL);
    assert_says(&s, 3, "  not judged ");
    assert_has(s.out, "(unstable)");
    assert_int_equal(clear(NULL), 0);
    plant(&(struct planted){.status = "crashed"}, 1);
    s = gate(NULL);
    assert_says(&s, 3, "  not judged ");
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    struct spawned s = gate(NULL);
    assert_int_equal(s.code, 3);
    assert_has(s.err, "there is nothing to judge: no case with a recipe of the machine cpu-a");
    TIMES(1e6, 1e6, 1e6, 1e6);
    static const char *const words[][2] = {
        {"--percent=-1", "at least 0"},
        {"--percent=x", "--percent wants a number"},
        {"--window=0", "--window is 1 to"},
        {"--format=csv", "--format wants text or json, not 'csv'"},
        {"--where=varint=1", "no record has the field 'varint'; did you mean variant"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        s = gate(words[i][0], NULL);
        assert_int_equal(s.code, 2);
        assert_has(s.err, words[i][1]);
        assert_string_equal(s.out, "");
    }
    file_put(at("%s/99.jsonl", folder), "{\"sch", 6);
    s = gate(NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "99.jsonl:1: the file breaks off");
    assert_string_equal(s.out, "");
}

static void the_answer_is_json_where_asked(void **state)
{
    (void)state;
    TIMES(1e6, 3e6, 2e6, 2.5e6);
    struct spawned s = gate("--format", "json", NULL);
    assert_int_equal(s.code, 1);
    assert_true(json_valid(s.out));
    assert_has(s.out, "\"before_ns\": 2000000,\n");
    assert_has(s.out, "\"change\": 0.25,\n");
    assert_has(s.out, "\"limit_percent\": 8,\n      \"limit_absolute_s\": 1e-06,\n");
    assert_has(s.out, "\"history_ns\": [\n        2000000,\n        3000000,\n        1000000\n");
    assert_int_equal(folder_count(folder), 4); /* nothing is recorded */
}

#define TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slower_by_both_limits_is_a_regression),
        TEST(a_percent_of_next_to_nothing_is_none),
        TEST(limits_go_by_the_kind_of_case),
        TEST(ceilings_are_held_to_their_rates),
        TEST(faster_is_told_and_no_failure),
        TEST(the_window_rolls),
        TEST(too_little_history_is_no_pass),
        TEST(a_run_counts_once),
        TEST(only_what_passed_here_under_the_same_recipe_counts),
        TEST(limits_under_the_noise_floor_are_refused),
        TEST(another_recipe_is_named),
        TEST(what_fails_now_and_passed_before_is_a_failure),
        TEST(bad_input_is_refused),
        TEST(the_answer_is_json_where_asked),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

#else

static void refused_without_jansson(void **state)
{
    (void)state;
    struct spawned s = gate(NULL);
    assert_says(&s, 3, "");
    assert_has(s.err, "reading records needs jansson");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_without_jansson)};
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

#endif
