// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_cheats.c   The ways to be fast without doing the work (tests/broken/cheat_*.c): each meets
 * `patchmark kernels` as a plug-in and gets a status that says what it did, and no time; the honest
 * twin gets one. Then the supervisor's rules alone, on figures made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contest/kernels_watch.h"
#include "support/jobs.h"
#include "support/sanitizer.h"
#include "support/spawn.h"

/* Some milliseconds of work for the plain loops of honest_linear.h: what a cheat saves stands out
 * from what a busy machine does to any time. Checks see a sample of the rows. */
#define SHAPE "linear:S=256,K=256,O=256,bias=0"

struct cheat {
    const char *name, *status, *says;
};

static const struct cheat cheats[] = {
    {"stale", "wrong", "were not computed anew"},
    {"half", "wrong", "were not computed anew"},
    {"side_thread", "wrong", ""}, /* late, or not at all: which comes first depends on its pace */
    {"late_write", "mistrusted", "made when they are read"},
    {"input_zeroed", "wrong", "changed its input x"},
    {"input_restored", "crashed", "reached into its input x, which it may not write"},
    {"low_precision", "wrong", "times the tolerance"},
    {"cached_by_content", "mistrusted", "it keeps results"},
    {"slow_clock", "mistrusted", "the clock there is not to be trusted"},
    {"constant", "wrong", "the output did not change with the data"},
    {"shape_keyed", "wrong", "times the tolerance"},
    {"failed_launch", "wrong", ""},
    {"unwritten", "wrong", "unwritten: y row 85"},
    {"hidden_nan", "nonfinite", "got nan"},
    {"more_threads", "mistrusted",
     UNDER_TSAN ? "it started 4 more threads than the 1 that it was given"
                : "it started 3 more threads than the 1 that it was given"},
    {"leaks", "mistrusted", "runs take memory and give none back"},
};
enum { CHEATS = sizeof cheats / sizeof *cheats };

static struct job jobs[CHEATS];

/* So many blocks, however busy the machine is. */
static struct job job_of(const char *name, const char *blocks)
{
    return (struct job){.argv = {BUILD_DIR "/patchmark", "kernels",
                                 job_word("linear/cheat_90_%s", name), "--plugin",
                                 job_word(BUILD_DIR "/tests/broken/cheat_%s.so", name), "--shape",
                                 SHAPE, "--threads=1", "--cache=hot", "--repetitions", blocks,
                                 "--budget=0.4", "--results=none"}};
}

static int run_all(void **state)
{
    (void)state;
    for (int i = 0; i < CHEATS; i++)
        jobs[i] = job_of(cheats[i].name, "6");
    jobs_run(jobs, CHEATS);
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    jobs_free(jobs, CHEATS);
    return 0;
}

static void expect(const struct job *job, const char *name, const char *status, const char *says)
{
    char row[128];
    snprintf(row, sizeof row, "cheat_90_%s  %s", name, status);
    if (job->code != 1 || !strstr(job->out, row) || !strstr(job->out, says) ||
        !strstr(job->out, "nothing was timed"))
        fail_msg("exit %d, wanted 1 with '%s' and '%s':\n%s%s", job->code, row, says, job->out,
                 job->err);
}

static void is_caught(void **state)
{
    const struct cheat *cheat = *state;
    if (UNDER_TSAN && !strcmp(cheat->name, "slow_clock"))
        skip();
    expect(&jobs[cheat - cheats], cheat->name, cheat->status, cheat->says);
}

/* One after the other, and alone: times are believed here. */
static void passes(const char *name)
{
    struct job job = job_of(name, "6");
    jobs_run(&job, 1);
    if (job.code != 0 || !strstr(job.out, "is the only one timed: 6 blocks"))
        fail_msg("%s: exit %d, wanted 0 and a time:\n%s%s", name, job.code, job.out, job.err);
    jobs_free(&job, 1);
}

static void honest_twin_is_timed(void **state)
{
    (void)state;
    passes("none");
}

/* The program and its libraries do not look into a plug-in for the clock. */
static void clock_of_a_plugin_is_not_taken(void **state)
{
    (void)state;
    passes("own_clock");
}

/* The second process would find in files what the first has left, were its data the same. */
static void results_in_files_are_of_no_use(void **state)
{
    (void)state;
    char *folder = temporary_folder();
    for (int turn = 0; turn < 2; turn++) {
        struct job job = job_of("cached_in_file", "4");
        job.variable[0] = job_word("CHEAT_FOLDER=%s", folder);
        jobs_run(&job, 1);
        expect(&job, "cached_in_file", "mistrusted", "it keeps results");
        jobs_free(&job, 1);
    }
    temporary_remove(folder);
}

/* Each of the two has its own process and its own verdict. */
static void compare_has_no_times_for_a_cheat(void **state)
{
    (void)state;
    struct job job = {.argv = {BUILD_DIR "/patchmark", "compare", "--interleave",
                               "linear/cheat_90_none", "linear/cheat_90_cached_by_content",
                               "--plugin", BUILD_DIR "/tests/broken/cheat_none.so", "--plugin",
                               BUILD_DIR "/tests/broken/cheat_cached_by_content.so", "--shape",
                               SHAPE, "--threads=1", "--cache=hot", "--budget=1",
                               "--results=none"}};
    jobs_run(&job, 1);
    if (job.code != 1 || !strstr(job.out, "cheat_90_cached_by_content  mistrusted: on new data") ||
        !strstr(job.out, "no verdict"))
        fail_msg("exit %d:\n%s%s", job.code, job.out, job.err);
    jobs_free(&job, 1);
}

/* A whole clip: the timer of its process is everyone's there. */
static void clips_by_a_patched_timer_are_not_believed(void **state)
{
    (void)state;
    if (UNDER_TSAN)
        skip();
    for (int patched = 0; patched < 2; patched++) {
        struct job job = {.argv = {BUILD_DIR "/patchmark", "run", "--size=64x64", "--frames=5",
                                   "--steps=2", "--threads=1", "--budget=0.5", "--repetitions=3",
                                   "--results=none", "--plugin",
                                   BUILD_DIR "/tests/broken/slow_clock.so",
                                   patched ? "--kernels=rms_norm=broken_90_slow_clock" : NULL}};
        jobs_run(&job, 1);
        const bool doubted = strstr(job.out, "the clock there is not to be trusted") != NULL;
        if (job.code != patched || doubted != (patched == 1))
            fail_msg("exit %d:\n%s%s", job.code, job.out, job.err);
        jobs_free(&job, 1);
    }
}

/* Of the clips that a figure needs all but the last have noise that no clip had before, so whoever keeps
 * what he made of earlier ones gains nothing by it. */
static void a_clip_kept_is_not_the_time_of_clips(void **state)
{
    (void)state;
    double s[4];
    struct job job = {.argv = {BUILD_DIR "/patchmark", "run", "--size=64x64", "--frames=5",
                               "--steps=4", "--threads=1", "--budget=0.1", "--repetitions=4",
                               "--results=none", "--format=json", "--plugin",
                               BUILD_DIR "/tests/broken/keeps_rows.so",
                               "--kernels=modulate=broken_90_keeps_rows"}};
    jobs_run(&job, 1);
    const char *samples = strstr(job.out, "\"samples\": [");
    if (job.code != 0 || !samples ||
        sscanf(samples, "\"samples\": [ %lf , %lf , %lf , %lf", &s[0], &s[1], &s[2], &s[3]) != 4)
        fail_msg("exit %d:\n%s%s", job.code, job.out, job.err);
    for (int i = 0; i < 3; i++)
        if (!(s[i] > 1.2 * s[3]))
            fail_msg("clips took %g %g %g %g", s[0], s[1], s[2], s[3]);
    jobs_free(&job, 1);
}

/* Also where the times have something to be told about. */
static void clips_of_equal_noise_must_be_equal(void **state)
{
    (void)state;
    struct job job = {.argv = {BUILD_DIR "/patchmark", "run", "--model=tiny-dit", "--steps=2",
                               "--threads=1", "--budget=0.1", "--repetitions=2", "--results=none",
                               "--plugin", BUILD_DIR "/tests/broken/drifts.so",
                               "--kernels=modulate=broken_90_drifts"}};
    jobs_run(&job, 1);
    if (job.code != 1 || !strstr(job.out, "wrong") ||
        !strstr(job.out, "a timed clip of the first one's noise differs from it"))
        fail_msg("exit %d:\n%s%s", job.code, job.out, job.err);
    jobs_free(&job, 1);
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* A run of 10 ms over 10 MB, 4 runs a block, on 2 threads; on new data it takes 12 ms. */
static const struct watch_case usual = {.median_s = 0.01, .operand_bytes = 1e7, .threads = 2};

static struct watch watched(void)
{
    struct watch w = {.least_first_s = INFINITY, .least_read_s = INFINITY};
    for (int block = 0; block < 20; block++) {
        w.wall_s = 0.0405;
        w.told_wall_s = 0.0404;
        w.busy_s = 0.081;
        w.first_s = 0.012;
        w.read_s = 0.001;
        w.read_bytes = 4e6;
        w.stands = true;
        watch_told(&w, 0.04, 2);
    }
    return w;
}

static void expect_doubt(const struct watch *w, const struct watch_case *c, const char *says)
{
    char reason[256] = "";
    const bool doubted = watch_doubts(w, c, reason, sizeof reason);
    if (doubted != (says != NULL) || (says && !strstr(reason, says)))
        fail_msg("'%s' where '%s' was due", reason, says ? says : "");
}

static void an_honest_worker_is_believed(void **state)
{
    (void)state;
    struct watch w = watched();
    expect_doubt(&w, &usual, NULL);
    for (int block = 0; block < 17; block++) { /* a busy machine: most blocks are seen late */
        w.clock[block] = w.times[block] = 3;
        w.busy[block] = 1.5;
    }
    expect_doubt(&w, &usual, NULL);
    struct watch none = {.blocks = 0};
    expect_doubt(&none, &usual, NULL);
}

static void each_rule_doubts(void **state)
{
    (void)state;
    struct watch clock = watched(), times = watched(), busy = watched(), first = watched(),
                 read = watched(), threads = watched(), memory = watched();
    for (int block = 0; block < 20; block++) {
        clock.clock[block] = 1.25;
        times.times[block] = 1.5;
        busy.busy[block] = 1.5;
    }
    first.least_first_s = 0.043;
    read.least_read_s = 0.015;
    threads.more_threads = 1;
    memory.grown_bytes = (int64_t)65 << 20;
    expect_doubt(&clock, &usual, "took 1.25 times as long as its process tells");
    expect_doubt(&times, &usual, "took 1.5 times as long as its process tells");
    expect_doubt(&busy, &usual, "kept 3 processors busy where it was given 2 threads");
    expect_doubt(&first, &usual, "on new data a run takes 43 ms at best");
    expect_doubt(&read, &usual, "reading 4 MB of output took 15 ms at best");
    expect_doubt(&threads, &usual, "started 1 more threads than the 2");
    expect_doubt(&memory, &usual, "grew by 68.2 MB");
    first.least_first_s = 0.041;
    read.least_read_s = 0.013;
    expect_doubt(&first, &usual, NULL);
    expect_doubt(&read, &usual, NULL);
}

/* A library may start threads, a device's driver whatever it likes; clocks are everyone's. */
static void rules_have_their_exceptions(void **state)
{
    (void)state;
    struct watch w = watched();
    struct watch_case c = usual;
    w.more_threads = 4;
    c.own_threads = true;
    expect_doubt(&w, &c, NULL);
    c = usual;
    c.device = true;
    w.grown_bytes = (int64_t)1 << 40;
    w.least_first_s = 9;
    expect_doubt(&w, &c, NULL);
    for (int block = 0; block < 20; block++)
        w.clock[block] = 4;
    expect_doubt(&w, &c, "the clock there is not to be trusted");
}

/* What is seen of a process is seen of this one. */
static void looks_at_a_process(void **state)
{
    (void)state;
    struct watch w = {.blocks = 0};
    watch_ready(&w, getpid());
    assert_true(w.threads >= 1);
    watch_began(&w, getpid(), "0.5 0.25 1000");
    assert_true(w.first_s == 0.5 && w.read_s == 0.25 && w.read_bytes == 1000);
    for (volatile int i = 0; i < 20000000; i++)
        continue;
    watch_stopped(&w, getpid(), "0.001");
    assert_true(w.wall_s > 0 && w.busy_s > 0 && w.resident_bytes > 0 && w.more_threads == 0);
    watch_told(&w, w.wall_s, 1);
    assert_int_equal(w.blocks, 1);
    watch_told(&w, w.wall_s, 1); /* no marks since */
    assert_int_equal(w.blocks, 1);
}

int main(void)
{
    static struct CMUnitTest tests[CHEATS + 16];
    int count = 0;
    for (int i = 0; i < CHEATS; i++)
        tests[count++] = (struct CMUnitTest){
            .name = cheats[i].name, .test_func = is_caught, .initial_state = (void *)&cheats[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(honest_twin_is_timed);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(clock_of_a_plugin_is_not_taken);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(results_in_files_are_of_no_use);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(compare_has_no_times_for_a_cheat);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(clips_by_a_patched_timer_are_not_believed);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_clip_kept_is_not_the_time_of_clips);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(clips_of_equal_noise_must_be_equal);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(an_honest_worker_is_believed);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(each_rule_doubts);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(rules_have_their_exceptions);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(looks_at_a_process);
    return _cmocka_run_group_tests("cheats", tests, (size_t)count, run_all, free_all);
}
