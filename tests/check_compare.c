// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_compare.c   The compare command from outside: planted slowdowns and faults, suites, gates,
 * thresholds and calibrations, result files against each other. Differences planted here are large: no
 * machine is too noisy for them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/out_file.h"
#include "compare/calibration.h"
#include "compare/duel.h"
#include "machine/host.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define PROGRAM BUILD_DIR "/patchmark"
#define ARM "rms_norm/c_01_plain"
#define SMALL "--shape=rms_norm:S=64,C=256"
#define WRONG "--plugin=" BUILD_DIR "/tests/broken/wrong_scale.so"
#define MOST_WORDS 20

static struct spawned compare(const char *const *words)
{
    char *argv[MOST_WORDS] = {PROGRAM, "compare"};
    int n = 2;
    for (int i = 0; words[i] && n < MOST_WORDS - 1; i++)
        argv[n++] = (char *)words[i];
    return spawn_program(argv, NULL);
}
#define COMPARE(...) compare((const char *const[]){__VA_ARGS__, NULL})
#define ARMS(...)                                                                                  \
    COMPARE("--interleave", "--threads=1", "--budget=1", "--results=none", SMALL, __VA_ARGS__)

static void expect(const struct spawned *s, int code, const char *in_out, const char *in_err)
{
    bool said = (!in_out || strstr(s->out, in_out)) && (!in_err || strstr(s->err, in_err));
    if (s->code != code || !said)
        fail_msg("exit code %d where %d was due, or '%s' or '%s' is missing\n%s\n%s", s->code, code,
                 in_out ? in_out : "", in_err ? in_err : "", s->out, s->err);
}

/* ---- arms in turn ---------------------------------------------------------------------------- */

static void a_slow_arm_is_slower_and_a_fast_one_faster(void **state)
{
    (void)state;
    struct spawned s = ARMS(ARM, ARM "@slow=900%");
    expect(&s, 0, "B is SLOWER than A", NULL);
    expect(&s, 0, "B is slowed down on purpose by 900 %", NULL);
    assert_string_equal(s.err, "");
    s = ARMS(ARM, ARM "@slow=900%", "--gate");
    expect(&s, 1, "B is SLOWER than A", NULL);
    s = ARMS(ARM "@slow=900%", ARM, "--gate", "--format=json");
    expect(&s, 0, "\"verdict\": \"faster\"", NULL);
    expect(&s, 0, "\"schedule\": \"interleaved\"", NULL);
    assert_true(json_valid(s.out));
}

static void arms_kept_apart_are_judged_by_process(void **state)
{
    (void)state;
    struct spawned s = ARMS(ARM, ARM "@slow=900%", "--blocked", "--gate");
    expect(&s, 1, "B is SLOWER than A", NULL);
    expect(&s, 1, "in 6 processes", NULL);
    expect(&s, 1, "kept apart (asked for by --blocked)", NULL);
}

static void a_suite_is_judged_together(void **state)
{
    (void)state;
    file_write(at("%s/pairs", folder),
               "# two pairs\n" ARM " " ARM "@slow=900%   # slower\n\n" ARM "@slow=900% " ARM "\n",
               false);
    struct spawned s = COMPARE("--pairs", at("%s/pairs", folder), "--threads=1", "--budget=1.5",
                               "--results=none", SMALL);
    expect(&s, 0, "among 2 pairs", NULL);
    expect(&s, 0, "B is SLOWER", NULL);
    expect(&s, 0, "B is FASTER", NULL);
}

static void a_wrong_arm_is_a_row(void **state)
{
    (void)state;
    struct spawned s = ARMS(ARM, "rms_norm/broken_90_wrong_scale", WRONG);
    expect(&s, 1, "wrong: ", NULL);
    expect(&s, 1, "no verdict: an arm has no times", NULL);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    struct spawned s = ARMS(ARM);
    expect(&s, 2, NULL, "--interleave wants arms by twos");
    s = ARMS(ARM, "linear/c_01_plain");
    expect(&s, 2, NULL, "are different ops");
    s = ARMS("linear/c_01_plain", "linear/c_01_plain");
    expect(&s, 2, NULL, "the shape is one of rms_norm, but no pair is");
    s = ARMS(ARM, ARM, "--threshold=1.5");
    expect(&s, 2, NULL, "--threshold 1.5 % is less than this machine can tell apart");
    s = ARMS(ARM, ARM, "--threshold=0");
    expect(&s, 2, NULL, "--threshold wants a percentage");
    file_write(at("%s/bad", folder), ARM " " ARM "\n" ARM "\n", false);
    s = COMPARE("--pairs", at("%s/bad", folder));
    expect(&s, 2, NULL, "/bad, line 2: a pair is two arms");
    file_write(at("%s/worse", folder), ARM " rms_norm/c_01_plane\n", false);
    s = COMPARE("--pairs", at("%s/worse", folder));
    expect(&s, 2, NULL, "/worse, line 1: no variant of rms_norm is called 'c_01_plane'");
    s = COMPARE("--pairs", at("%s/nowhere", folder));
    expect(&s, 2, NULL, "cannot read the pairs");
    s = COMPARE("old.jsonl", "new.jsonl", "--blocked");
    expect(&s, 2, NULL, "--blocked, --shape, --cache and --budget are for arms (--interleave)");
    s = COMPARE("old.jsonl", "new.jsonl", "--budget=3");
    expect(&s, 2, NULL, "--budget are for arms (--interleave)");
    s = COMPARE("--results=none");
    expect(&s, 2, NULL, "compare wants two result files, OLD.jsonl NEW.jsonl, or --interleave");
}

/* Blocks alone that last longer, shorter, or only as noise has it. */
static void disturbance_is_told_from_noise(void **state)
{
    (void)state;
    struct duel_side slower = {.solo = {1.1, 1.2, 1.15, 1.3, 1.1, 1.12}, .solos = 6};
    struct duel_side faster = {.solo = {0.9, 0.8, 0.85, 0.7, 0.9, 0.88}, .solos = 6};
    struct duel_side noisy = {.solo = {1.1, 1.2, 0.99, 1.3, 1.1, 1.12}, .solos = 6};
    struct duel_side few = {.solo = {1.1, 1.2}, .solos = 2}, none = {.solos = 0};
    double ratio;
    assert_true(duel_disturbed(&slower, 0.05, &ratio));
    assert_true(fabs(ratio - 1.135) < 1e-9);
    assert_true(duel_disturbed(&faster, 0.05, &ratio));
    assert_false(duel_disturbed(&slower, 0.11, &ratio)); /* within the threshold */
    assert_false(duel_disturbed(&noisy, 0.05, &ratio));
    assert_false(duel_disturbed(&few, 0.05, &ratio));
    assert_false(duel_disturbed(&none, 0.05, &ratio));
    assert_true(isnan(ratio));
}

/* ---- where the stack stands ------------------------------------------------------------------ */

#define STACK_PROCESSES 16
#define STACK_PLACES 256     /* of 16 bytes in a page */
#define STACK_TIMED_RUNS 100 /* at one place: more than checks and first runs of blocks are */
#define STACK_ARM "rms_norm/broken_90_tells_stack"

struct stack_seen {
    int process[STACK_PROCESSES], processes;
    int runs[STACK_PROCESSES][STACK_PLACES];
};

static void stack_read(const char *path, struct stack_seen *seen)
{
    int process, at, i;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *seen = (struct stack_seen){.processes = 0};
    while (fscanf(file, "%d %d", &process, &at) == 2) {
        for (i = 0; i < seen->processes && seen->process[i] != process;)
            i++;
        assert_true(i < STACK_PROCESSES && at >= 0 && at < 16 * STACK_PLACES);
        seen->process[i] = process;
        seen->processes += i == seen->processes;
        seen->runs[i][at / 16]++;
    }
    fclose(file);
}

/* Timed at a place, and whether some other process was, too. */
static bool stack_shared(const struct stack_seen *seen, int process, int place)
{
    for (int i = 0; i < seen->processes; i++)
        if (i != process && seen->runs[i][place] > STACK_TIMED_RUNS)
            return true;
    return false;
}

/* A stack begins where the command line ends. Still both arms' blocks of a round are run with it in
 * the same place, and of different rounds in different ones. */
static void longer_words_do_not_move_the_stack(void **state)
{
    (void)state;
    static struct stack_seen seen;
    int timed = 0, shared = 0;
    const char *path = strdup(at("%s/stack", folder));
    setenv("STACK_FILE", path, 1);
    struct spawned s = ARMS("--plugin=" BUILD_DIR "/tests/broken/tells_stack.so", STACK_ARM,
                            STACK_ARM "@slow=0.001%");
    unsetenv("STACK_FILE");
    expect(&s, 0, "blocks in", NULL);
    stack_read(path, &seen);
    for (int i = 0; i < seen.processes; i++)
        for (int place = 0; place < STACK_PLACES; place++) {
            bool here = seen.runs[i][place] > STACK_TIMED_RUNS;
            timed += here;
            shared += here && stack_shared(&seen, i, place);
        }
    assert_true(seen.processes >= 2 && timed >= 8);
    /* A block that was disturbed is done again elsewhere; so are the first, which only settle how
     * long a sample is. */
    assert_true(2 * shared >= timed);
    free((char *)path);
}

/* ---- calibrations ---------------------------------------------------------------------------- */

static void calibration_put(const char *name, const char *utc, const char *threads,
                            const char *floor)
{
    struct fault fault = {""};
    assert_int_equal(folder_create(at("%s/results/%s", folder, host_machine_slug()), &fault),
                     ST_OK);
    file_write(
        at("%s/results/%s/%s.jsonl", folder, host_machine_slug(), name),
        at("{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"calibration\","
           "\"run_id\":\"x\",\"case\":1,\"created_utc\":\"%s\",\"floor\":%s,\"threads\":%s,"
           "\"comparisons\":20,\"alarms\":1,\"false_alarm_rate\":0.05,\"pair_seconds\":3,"
           "\"seconds\":60,\"arms\":[],\"distances\":[]}\n",
           utc, floor, threads),
        false);
}

static struct calibration newest(int64_t threads, const char *in_note)
{
    struct calibration c = {.floor = 0};
    char note[512];
    bool found = calibration_newest(at("%s/results", folder), threads, &c, note, sizeof note);
    assert_int_equal(found, c.floor > 0);
    if (in_note ? !strstr(note, in_note) : note[0])
        fail_msg("the note is '%s'", note);
    return c;
}

static void the_newest_calibration_is_read(void **state)
{
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    assert_true(newest(1, NULL).floor == 0); /* there is no folder yet */
    calibration_put("20260101T000000Z-a", "2026-01-01T00:00:00Z", "1", "0.11");
    calibration_put("20260102T000000Z-b", "2026-01-02T00:00:00Z", "1", "0.12");
    calibration_put("20260103T000000Z-c", "2026-01-03T00:00:00Z", "2", "0.13");
    assert_true(newest(1, NULL).floor == 0.12); /* of as many threads */
    assert_true(newest(2, NULL).floor == 0.13);
    assert_true(newest(8, NULL).floor == 0); /* another number of threads, another noise */
    char text[256];
    calibration_describe(NULL, 8, text, sizeof text);
    assert_string_equal(text, "floor 2 %: no calibration of this machine with 8 threads is stored, "
                              "'patchmark calibrate --threads 8' makes one");
    struct spawned s = COMPARE("--interleave", ARM, ARM, "--threads=1", "--budget=3",
                               "--threshold=11", "--results", at("%s/results", folder));
    expect(&s, 2, NULL,
           "(floor 12 % of comparisons of 3 s, by the calibration of 2026-01-02 (20 of them, "
           "cpu, 1 thread))");
}

/* Four times as long: half the noise, and no less however long. */
static void a_floor_is_of_comparisons_of_one_length(void **state)
{
    (void)state;
    struct calibration c = {.floor = 0.02, .pair_seconds = 3};
    calibration_at(&c, 3);
    assert_true(c.floor == 0.02);
    calibration_at(&c, 12);
    assert_true(fabs(c.floor - 0.01) < 1e-12 && c.pair_seconds == 12);
    c = (struct calibration){.floor = 0.02, .pair_seconds = 3};
    calibration_at(&c, 300);
    assert_true(fabs(c.floor - 0.01) < 1e-12);
    c = (struct calibration){.floor = 0.02, .pair_seconds = 4};
    calibration_at(&c, 1);
    assert_true(fabs(c.floor - 0.04) < 1e-12); /* a shorter one is noisier */
    assert_true(calibration_threshold(NULL) == 0.02);
    c.floor = 0.004;
    assert_true(calibration_threshold(&c) == 0.01); /* nobody is told of less */
}

static void damaged_calibrations_are_passed_over(void **state)
{
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    static const char *const floors[] = {"0", "-1", "null", "\"0.1\"", "1e9", "2", "{"};
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++) {
        calibration_put("20260901T000000Z-z", "2026-09-01T00:00:00Z", "1", floors[i]);
        assert_true(newest(1, "is not used: it").floor == 0.12);
    }
    calibration_put("20260901T000000Z-z", "", "1", "0.2");
    newest(1, "does not say when it was measured");
    calibration_put("20260901T000000Z-z", "2026-09-01T00:00:00Z", "0", "0.2");
    newest(1, "it has no number of threads");
    calibration_put("20260901T000000Z-z", "2026-09-01T00:00:00Z", "1,\"device\":\"nvidia-h200\"",
                    "0.2");
    assert_true(newest(1, NULL).floor == 0.12); /* of a device that was not chosen */
    calibration_put("20260901T000000Z-z", "2026-09-01T00:00:00Z", "1,\"device\":\"cpu\"", "0.2");
    assert_true(newest(1, NULL).floor == 0.2);
}

/* ---- result files ---------------------------------------------------------------------------- */

/* `runs` records of one recipe, around so many ns. */
static const char *runs_put(const char *name, int runs, double median_ns, int threads)
{
    char text[16384] = "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"run\","
                       "\"machine\":\"some-cpu-1a2b3c\"}\n";
    for (int i = 0; i < runs; i++) {
        size_t used = strlen(text);
        snprintf(
            text + used, sizeof text - used,
            "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"case\","
            "\"case_kind\":\"kernel\",\"status\":\"passed\",\"claim\":\"measured\",\"recipe\":{"
            "\"op\":\"rms_norm\","
            "\"shape\":\"rms_norm:S=8,C=8,type=f32\",\"threads\":%d},"
            "\"impl\":{\"variant\":\"c_01_plain\",\"knobs\":{}},\"timing\":{\"median\":%.6g}}\n",
            threads, median_ns * (1 + 0.001 * i));
    }
    const char *path = at("%s/%s.jsonl", folder, name);
    file_write(path, text, false);
    return path;
}

static void files_are_matched_by_recipe(void **state)
{
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    const char *six = runs_put("six", 6, 1000, 1), *slow = runs_put("slow", 6, 1200, 1);
    const char *one = runs_put("one", 1, 1200, 1), *other = runs_put("other", 6, 1000, 2);
    struct spawned s = COMPARE(six, slow);
    expect(&s, 0, "B is SLOWER than A: 0.8333 times its speed", NULL);
    s = COMPARE(six, slow, "--gate");
    expect(&s, 1, "6 runs", NULL);
    s = COMPARE(slow, six, "--gate", "--format=json");
    expect(&s, 0, "\"verdict\": \"faster\"", NULL);
    assert_true(json_valid(s.out));
    s = COMPARE(six, one, "--gate");
    expect(&s, 0, "descriptive only: B has 0.8354 times A's speed", NULL);
    s = COMPARE(six, other);
    expect(&s, 2, NULL, "the nearest differ in recipe.threads: 1 and 2");
    s = COMPARE(at("%s,%s", six, other), slow);
    expect(&s, 0, "not compared: c_01_plain rms_norm:S=8,C=8,type=f32 of A: recipe.threads is 2",
           NULL);
    s = COMPARE(six, at("%s/none.jsonl", folder));
    expect(&s, 2, NULL, "none.jsonl");
    file_write(at("%s/torn.jsonl", folder), "{\"schema\":", false);
    s = COMPARE(six, at("%s/torn.jsonl", folder));
    expect(&s, 2, NULL, "torn.jsonl:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_arm_is_slower_and_a_fast_one_faster),
        cmocka_unit_test(arms_kept_apart_are_judged_by_process),
        cmocka_unit_test(a_suite_is_judged_together),
        cmocka_unit_test(a_wrong_arm_is_a_row),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(longer_words_do_not_move_the_stack),
        cmocka_unit_test(disturbance_is_told_from_noise),
        cmocka_unit_test(the_newest_calibration_is_read),
        cmocka_unit_test(a_floor_is_of_comparisons_of_one_length),
        cmocka_unit_test(damaged_calibrations_are_passed_over),
        cmocka_unit_test(files_are_matched_by_recipe),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
