// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_worker.c   Worker processes that answer, crash, hang, flood and leave children behind. The
 * worker started is this test itself, as `worker <what>`. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "base/worker.h"

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the other end --------------------------------------------------------------------------- */

static void be_echo(void)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        fputs(line, stdout);
        fflush(stdout);
    }
}

static void be_environment(void)
{
    const char *policy = getenv("OMP_WAIT_POLICY");
    printf("%s %s %s %d\n", policy ? policy : "unset",
           getenv("BENCHMARK_REPETITIONS") ? "leaked" : "clean",
           getenv("CHECK_WORKER_KEPT") ? "kept" : "lost", getpgrp() == getpid());
}

/* No core file for a crash that is wanted. */
static void be_crash(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    printf("about to\n");
    fflush(stdout);
    fputs("first words\nfell over\n", stderr);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void be_quit(void) { exit(7); }

static void be_hang(void)
{
    for (;;)
        pause();
}

/* More on stderr than a pipe holds, then an answer. */
static void be_flood(void)
{
    for (int i = 0; i < 40000; i++)
        fprintf(stderr, "noise %d\n", i);
    printf("still here\n");
}

static void be_long_line(void)
{
    for (int i = 0; i < 300000; i++)
        putchar('a' + i % 26);
    putchar('\n');
}

/* Leaves a child behind that outlives it and holds no pipe of ours. */
static void be_parent(void)
{
    pid_t child = fork();
    if (child == 0) {
        close(0);
        close(1);
        close(2);
        for (;;)
            pause();
    }
    printf("%d\n", (int)child);
}

static void be_large(void)
{
    size_t bytes = (size_t)96 << 20;
    volatile char *block = malloc(bytes);
    for (size_t i = 0; i < bytes; i += 1024)
        block[i] = 1;
    printf("%d\n", block[bytes / 2]);
    free((void *)block);
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {{"echo", be_echo},      {"environment", be_environment},
             {"crash", be_crash},    {"quit", be_quit},
             {"hang", be_hang},      {"flood", be_flood},
             {"long", be_long_line}, {"parent", be_parent},
             {"large", be_large}};

static int be_worker(const char *what)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(what, kinds[i].name))
            kinds[i].run();
    return 0;
}

/* ---- this end -------------------------------------------------------------------------------- */

static struct worker *spawn(const char *what)
{
    const char *const argv[] = {"worker", what, NULL};
    struct fault fault = {{0}};
    struct worker *w = NULL;
    if (worker_spawn(argv, &w, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return w;
}

static const char *receive(struct worker *w, double seconds)
{
    struct fault fault = {{0}};
    const char *line = NULL;
    if (worker_receive(w, seconds, &line, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return line;
}

static void lines_go_both_ways(void **state)
{
    (void)state;
    struct worker *w = spawn("echo");
    struct fault fault = {{0}};
    assert_int_equal(worker_send(w, "one", &fault), ST_OK);
    assert_int_equal(worker_send(w, "two words", &fault), ST_OK);
    assert_string_equal(receive(w, 5), "one");
    assert_string_equal(receive(w, 5), "two words");
    double begin = seconds_now();
    worker_end(w);
    assert_true(seconds_now() - begin < 1.5);
}

static void environment_is_set(void **state)
{
    (void)state;
    setenv("OMP_WAIT_POLICY", "active", 1);
    setenv("BENCHMARK_REPETITIONS", "9", 1);
    setenv("CHECK_WORKER_KEPT", "1", 1);
    struct worker *w = spawn("environment");
    assert_string_equal(receive(w, 5), "passive clean kept 1");
    worker_end(w);
}

static void crash_names_the_signal(void **state)
{
    (void)state;
    struct worker *w = spawn("crash");
    struct fault fault = {{0}};
    const char *line;
    assert_string_equal(receive(w, 5), "about to");
    assert_int_equal(worker_receive(w, 5, &line, &fault), ST_CRASHED);
    assert_non_null(strstr(fault.text, "signal 11"));
    assert_non_null(strstr(fault.text, "fell over"));
    assert_string_equal(worker_stderr(w), "first words\nfell over\n");
    worker_end(w);
}

static void early_exit_names_the_code(void **state)
{
    (void)state;
    struct worker *w = spawn("quit");
    struct fault fault = {{0}}, sending = {{0}};
    const char *line;
    assert_int_equal(worker_receive(w, 5, &line, &fault), ST_CRASHED);
    assert_non_null(strstr(fault.text, "exit code 7"));
    assert_int_equal(worker_send(w, "anyone?", &sending), ST_CRASHED);
    assert_non_null(strstr(sending.text, "exit code 7"));
    worker_end(w);
}

static void hang_meets_the_deadline(void **state)
{
    (void)state;
    struct worker *w = spawn("hang");
    struct fault fault = {{0}};
    const char *line;
    double begin = seconds_now();
    assert_int_equal(worker_receive(w, 0.3, &line, &fault), ST_TIMEOUT);
    worker_end(w);
    double took = seconds_now() - begin;
    assert_true(took >= 0.3 && took < 1.5);
}

static void signal_interrupts_the_wait(void **state)
{
    (void)state;
    struct worker *w = spawn("hang");
    struct fault fault = {{0}};
    const char *line;
    interrupted_by = SIGINT;
    assert_int_equal(worker_receive(w, 30, &line, &fault), ST_INTERRUPTED);
    worker_end(w);
    interrupted_by = 0;
}

static void stderr_flood_does_not_block(void **state)
{
    (void)state;
    struct worker *w = spawn("flood");
    assert_string_equal(receive(w, 20), "still here");
    assert_true(strlen(worker_stderr(w)) <= 4096);
    assert_non_null(strstr(worker_stderr(w), "noise 39999\n"));
    worker_end(w);
}

static void long_lines_arrive_whole(void **state)
{
    (void)state;
    struct worker *w = spawn("long");
    const char *line = receive(w, 20);
    assert_int_equal(strlen(line), 300000);
    assert_int_equal(line[299999], 'a' + 299999 % 26);
    worker_end(w);
}

static void children_end_with_it(void **state)
{
    (void)state;
    struct worker *w = spawn("parent");
    pid_t child = (pid_t)atoi(receive(w, 5));
    assert_true(child > 1);
    assert_int_equal(kill(child, 0), 0);
    worker_end(w);
    /* An orphan that was killed may stay a zombie where nobody reaps; it no longer runs. */
    char path[64], stat_line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    for (int i = 0; i < 100 && kill(child, 0) == 0; i++) {
        FILE *f = fopen(path, "r");
        bool zombie = f && fgets(stat_line, sizeof stat_line, f) && strstr(stat_line, ") Z ");
        if (f)
            fclose(f);
        if (zombie)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(kill(child, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void peak_memory_is_seen(void **state)
{
    (void)state;
    struct worker *w = spawn("large");
    struct fault fault = {{0}};
    const char *line;
    assert_string_equal(receive(w, 5), "1");
    assert_int_equal(worker_receive(w, 5, &line, &fault), ST_CRASHED);
    assert_true(worker_peak_resident(w) >= (size_t)96 << 20);
    worker_end(w);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "worker"))
        return be_worker(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_both_ways),          cmocka_unit_test(environment_is_set),
        cmocka_unit_test(crash_names_the_signal),      cmocka_unit_test(early_exit_names_the_code),
        cmocka_unit_test(hang_meets_the_deadline),     cmocka_unit_test(signal_interrupts_the_wait),
        cmocka_unit_test(stderr_flood_does_not_block), cmocka_unit_test(long_lines_arrive_whole),
        cmocka_unit_test(children_end_with_it),        cmocka_unit_test(peak_memory_is_seen),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
