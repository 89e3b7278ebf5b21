// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_profile.c   Marks for a profiler: perf's end of the two pipes is played by a thread, and the
 * command from outside prints lines that start a worker as it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counters/profile.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* ---- perf's end ------------------------------------------------------------------------------ */

static char control[400], answer[400], pipes[900];

struct listener {
    int control, answer;
    bool silent;        /* hears and does not answer */
    char heard[64];     /* all that was said */
    volatile int state; /* 1 between enable and disable */
};

static int make_pipes(void **state)
{
    static int number;
    (void)state;
    snprintf(control, sizeof control, "%s/ctl%d", folder, number);
    snprintf(answer, sizeof answer, "%s/ack%d", folder, number++);
    snprintf(pipes, sizeof pipes, "%s,%s", control, answer);
    return mkfifo(control, 0600) || mkfifo(answer, 0600);
}

static void *listen_to(void *user)
{
    struct listener *l = user;
    struct pollfd ready = {l->control, POLLIN, 0};
    for (int words = 0; words < 2 && poll(&ready, 1, 5000) == 1; words++) {
        char word[32] = "";
        if (read(l->control, word, sizeof word - 1) <= 0)
            break;
        strncat(l->heard, word, sizeof l->heard - strlen(l->heard) - 1);
        l->state = !strcmp(word, "enable\n");
        if (!l->silent && write(l->answer, "ack\n", 5) != 5)
            break;
    }
    return NULL;
}

static pthread_t listen_as(struct listener *l)
{
    pthread_t thread;
    l->control = open(control, O_RDWR | O_NONBLOCK);
    l->answer = open(answer, O_RDWR | O_NONBLOCK);
    assert_true(l->control >= 0 && l->answer >= 0);
    assert_int_equal(pthread_create(&thread, NULL, listen_to, l), 0);
    return thread;
}

static void leave(struct listener *l, pthread_t thread)
{
    pthread_join(thread, NULL);
    close(l->control);
    close(l->answer);
}

static int seen_state; /* what perf was told while the work ran */

static enum status look_around(void *user)
{
    const struct listener *l = user;
    seen_state = l ? l->state : 7;
    return ST_OK;
}

/* ---- marks ----------------------------------------------------------------------------------- */

static void work_lies_between_the_marks(void **state)
{
    (void)state;
    struct fault fault = {{0}};
    struct listener l = {.silent = false};
    pthread_t thread = listen_as(&l);
    enum status s = profile_marked(NULL, "a case", pipes, look_around, &l, &fault);
    leave(&l, thread);
    if (s != ST_OK)
        fail_msg("%s", fault.text);
    assert_int_equal(seen_state, 1);
    assert_int_equal(l.state, 0);
    assert_string_equal(l.heard, "enable\ndisable\n");
}

static void without_perf_the_work_runs(void **state)
{
    (void)state;
    struct fault fault = {{0}};
    assert_int_equal(profile_marked(NULL, "a case", NULL, look_around, NULL, &fault), ST_OK);
    assert_int_equal(seen_state, 7);
}

static enum status go_wrong(void *user)
{
    (void)user;
    return ST_WRONG;
}

static void refusals(void **state)
{
    (void)state;
    struct fault fault = {{0}};
    seen_state = 0;
    assert_int_equal(profile_marked(NULL, "a", "one", look_around, NULL, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "wants CTL,ACK"));
    fault = (struct fault){{0}};
    assert_int_equal(profile_marked(NULL, "a", pipes, look_around, NULL, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "nobody reads it; is perf running"));
    assert_int_equal(seen_state, 0);
    fault = (struct fault){{0}};
    assert_int_equal(profile_marked(NULL, "a case", NULL, go_wrong, NULL, &fault), ST_WRONG);
    assert_non_null(strstr(fault.text, "a case failed between the marks"));
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void lines_of_each_device(void **state)
{
    (void)state;
    static const char *const words[] = {"worker", "kernels", "x", "linear:S=1,K=2", NULL};
    static const char *const plugins[] = {"a b.so", NULL};
    static const struct {
        enum device_kind device;
        int index;
        const char *line;
    } rows[] = {
        {DEVICE_CPU, 0, "mkfifo patchmark.ctl patchmark.ack"},
        {DEVICE_CPU, 1,
         "perf record -g -o patchmark.perf -D -1 --control fifo:patchmark.ctl,patchmark.ack --"
         " bin/patchmark worker kernels x linear:S=1,K=2 --perf-control"
         " patchmark.ctl,patchmark.ack --plugin 'a b.so'"},
        {DEVICE_CPU, 2,
         "perf stat -d -D -1 --control fifo:patchmark.ctl,patchmark.ack -- bin/patchmark worker"
         " kernels x linear:S=1,K=2 --perf-control patchmark.ctl,patchmark.ack --plugin 'a b.so'"},
        {DEVICE_CUDA, 0,
         "ncu --profile-from-start off --nvtx --set full -f -o patchmark bin/patchmark worker"
         " kernels x linear:S=1,K=2 --plugin 'a b.so'"},
        {DEVICE_CUDA, 1,
         "nsys profile --capture-range=cudaProfilerApi --capture-range-end=stop --trace=cuda,nvtx"
         " --force-overwrite=true -o patchmark"
         " bin/patchmark worker kernels x linear:S=1,K=2 --plugin 'a b.so'"},
    };
    char line[PROFILE_LINE_BYTES], *path = strdup(getenv("PATH"));
    const char *missing = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(profile_command(rows[i].device, rows[i].index, "bin/patchmark", words, plugins,
                                    line, &missing));
        assert_string_equal(line, rows[i].line);
    }
    assert_false(profile_command(DEVICE_CPU, 3, "p", words, plugins, line, &missing));
    assert_false(profile_command(DEVICE_CUDA, 2, "p", words, plugins, line, &missing));
    setenv("PATH", folder, 1);
    missing = NULL;
    profile_command(DEVICE_CPU, 1, "p", words, NULL, line, &missing);
    assert_string_equal(missing, "perf");
    file_write(at("%s/perf", folder), "#!/bin/sh\n", true);
    missing = NULL;
    profile_command(DEVICE_CPU, 1, "p", words, NULL, line, &missing);
    assert_null(missing);
    setenv("PATH", path, 1);
    free(path);
}

/* ---- from outside ---------------------------------------------------------------------------- */

static struct spawned kernels(const char *first, const char *second, const char *third)
{
    const char *argv[] = {
        BUILD_DIR "/patchmark", "kernels", "--threads=1", first, second, third, NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void expect(const struct spawned *s, int code, const char *part)
{
    if (s->code != code || !(strstr(s->out, part) || strstr(s->err, part)))
        fail_msg("no '%s' with code %d in code %d\n%s\n%s", part, code, s->code, s->out, s->err);
}

/* Its own line, without perf's words, does what it says. */
static void the_line_can_be_copied(void **state)
{
    (void)state;
    struct spawned s =
        kernels("--profile=rms_norm/c_01_plain", "--shape=rms_norm:S=9,C=64", "--repetitions=3");
    expect(&s, 0, "rms_norm/c_01_plain at rms_norm:S=9,C=64,type=f32, ");
    expect(&s, 0, "\n  verified at worst ");
    expect(&s, 0, "then run 3 times between a profiler's marks");
    expect(&s, 0,
           "perf record -g -o patchmark.perf -D -1 --control fifo:patchmark.ctl,patchmark.ack");
    char *line = strstr(s.out, " -- "), *end = line ? strstr(line, " --perf-control ") : NULL;
    assert_non_null(end);
    *end = '\0';
    const char *argv[] = {"sh", "-c", line + 4, NULL};
    struct spawned alone = spawn_program((char *const *)argv, NULL);
    expect(&alone, 0, "ran 3 times between the marks");
    assert_null(strstr(alone.out, "alive"));
}

/* Threads of its own, as an arm of a comparison has them. */
static void a_spec_is_kept(void **state)
{
    (void)state;
    struct spawned s =
        kernels("--profile=rms_norm/c_01_plain@threads=2", "--shape=rms_norm:S=9,C=64", NULL);
    expect(&s, 0, "worker kernels c_01_plain rms_norm:S=9,C=64,type=f32 --threads 2 ");
    s = kernels("--profile=rms_norm/c_01_plain@slow=2", "--shape=rms_norm:S=9,C=64", NULL);
    expect(&s, 2, "leave @bin and @slow out");
    s = kernels("--profile=rms_norm/c_01_plain:none=2", "--shape=rms_norm:S=9,C=64", NULL);
    expect(&s, 2, "has no knob");
}

static void it_is_a_document_where_asked_for(void **state)
{
    (void)state;
    struct spawned s =
        kernels("--profile=rms_norm/c_01_plain", "--shape=rms_norm:S=9,C=64", "--format=json");
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    expect(&s, 0, "\"runs\": 10");
}

static void cases_that_are_none(void **state)
{
    (void)state;
    struct spawned s = kernels("--profile=linear/*", "--shape=linear:S=9,K=16,O=8", NULL);
    expect(&s, 2, "--profile takes one variant, as OP/NAME; 'linear/*' names ");
    s = kernels("--profile=rms_norm/c_01_plain", "linear", NULL);
    expect(&s, 2, "--profile rms_norm/c_01_plain names the variant; leave 'linear' out");
    s = kernels("--profile=rms_norm/c_01_plain", "--shape=linear:S=9,K=16,O=8", NULL);
    expect(&s, 2, "the shape is one of linear");
    s = kernels("--profile=rms_norm/broken_90_wrong_scale", "--shape=rms_norm:S=9,C=64",
                "--plugin=" BUILD_DIR "/tests/broken/wrong_scale.so");
    expect(&s, 1, "rms_norm/broken_90_wrong_scale: ");
    assert_null(strstr(s.out, "perf record"));
    s = kernels("--profile=rms_norm/broken_90_crash", "--shape=rms_norm:S=9,C=64",
                "--plugin=" BUILD_DIR "/tests/broken/crash.so");
    expect(&s, 1, "patchmark: the worker ");
    assert_null(strstr(s.out, "perf record"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(work_lies_between_the_marks, make_pipes),
        cmocka_unit_test(without_perf_the_work_runs),
        cmocka_unit_test_setup(refusals, make_pipes),
        cmocka_unit_test(lines_of_each_device),
        cmocka_unit_test(the_line_can_be_copied),
        cmocka_unit_test(a_spec_is_kept),
        cmocka_unit_test(it_is_a_document_where_asked_for),
        cmocka_unit_test(cases_that_are_none),
    };
    return cmocka_run_group_tests_name("profile", tests, folder_make, folder_drop);
}
