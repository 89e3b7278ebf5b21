// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_external.c   Other stacks that run our cases: their commands, what they may say, every way in
 * which they fail, and that what they made is held against our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include "external/external.h"
#include "presets/wan.h"
#include "support/drawn_folder.h"
#include "support/files.h"
#include "support/jobs.h"
#include "support/json_check.h"
#include "support/spawn.h"
#include "weights/safetensors.h"

#define CASE "--size=32x32", "--frames=5", "--steps=2", "--threads=1"
#define FAKE "sh tests/support/fake_engine.sh "

/* ---- commands ---- */

static void expect_words(const char *command, int count, const char *last)
{
    struct words words = {0};
    struct fault fault = {{0}};
    assert_int_equal(external_words(command, &words, &fault), ST_OK);
    assert_int_equal(words.count, count);
    assert_string_equal(words.word[count - 1], last);
    words_free(&words);
}

static void commands_are_taken_apart(void **state)
{
    struct words words = {0};
    struct fault fault = {{0}};
    (void)state;
    expect_words("  a  b\tc ", 3, "c");
    expect_words("a 'b c'", 2, "b c");
    expect_words("a \"b 'c\"", 2, "b 'c");
    expect_words("a b\\ c", 2, "b c");
    expect_words("a \"b\\\"c\"", 2, "b\"c");
    expect_words("a '\\'b", 2, "\\b");
    expect_words("a x''y", 2, "xy");
    expect_words("a ''", 2, "");
    expect_words("a $HOME;*|`b`", 2, "$HOME;*|`b`");
    assert_int_equal(external_words("a 'b", &words, &fault), ST_BAD_INPUT);
    words_free(&words);
    assert_int_equal(external_words("  ", &words, &fault), ST_BAD_INPUT);
    words_free(&words);
}

static void paths_are_told_by_their_last_names(void **state)
{
    (void)state;
    assert_string_equal(command_shown("/usr/bin/python3 harness/e.py --to=/a/b 'x /c/d/e f'"),
                        "python3 harness/e.py --to=b 'x e f'");
    assert_string_equal(command_shown("default;/a/b;c/d"), "default;b;c/d");
}

/* ---- failures ---- */

static const struct {
    const char *how;
    int code;
    const char *state, *says;
} failures[] = {
    {"exits", 1, "crashed", "the engine ended with exit code 3"},
    {"dies", 1, "crashed", "the engine was ended by signal 11"},
    {"garbage", 1, "crashed", "no JSON object with an event: Loading weights: 100%"},
    {"cut", 1, "crashed", "before it was done"},
    {"refuses", 3, "refused", "only on Tuesdays"},
    {"full", 2, "out_of_memory", "24 GiB are not enough"},
    {"later", 1, "crashed", "should have protocol 1"},
    {"short", 1, "crashed", "as many step_ns as steps"},
    {"sums", 1, "crashed", "stages that do not exceed the total"},
    {"leaves", 1, "crashed", "exit code 0 before it was done"},
    {"fast", 1, "mistrusted", "times as long around a clip as the engine's own said"},
    {"hangs", 1, "timeout", "the engine gave no answer within 2 s"},
    {"silent", 1, "timeout", "the engine gave no answer within 2 s"},
    {"good", 0, "", "not compared with ours: its own random weights"},
    {"rows", 0, "", "its clips begin with given text rows"},
    {"varies", 0, "", "its clips differ from one another"},
};
#define FAILURES ((int)(sizeof failures / sizeof *failures))

static struct job job_of(const char *engine, const char *more)
{
    return (struct job){.argv = {BUILD_DIR "/patchmark", "run", CASE, "--budget=0.3",
                                 "--results=none", "--timeout=2", "--engine", engine, more}};
}

static void expect(const struct job *j, int code, const char *says)
{
    if (j->code != code || (!strstr(j->out, says) && !strstr(j->err, says)))
        fail_msg("%s: exit %d, wanted %d and '%s':\n%s%s", j->argv[10], j->code, code, says, j->out,
                 j->err);
}

static void every_failure_costs_its_row(void **state)
{
    struct job jobs[FAILURES + 3] = {{.argv = {NULL}}};
    (void)state;
    for (int i = 0; i < FAILURES; i++)
        jobs[i] = job_of(job_word(FAKE "%s %s/pid", failures[i].how, folder), NULL);
    jobs[FAILURES] = job_of("no-such-engine --fast", NULL);
    jobs[FAILURES + 1] = job_of(FAKE "good", "--device=cuda:0");
    jobs[FAILURES + 2] = job_of(FAKE "good", "--model=open-sora-1.2");
    jobs_run(jobs, FAILURES + 3);
    for (int i = 0; i < FAILURES; i++) {
        expect(&jobs[i], failures[i].code, failures[i].says);
        assert_non_null(strstr(jobs[i].out, failures[i].state));
        assert_true(failures[i].code == 0 || !strstr(jobs[i].out, " s +-"));
    }
    expect(&jobs[FAILURES], 3, "no-such-engine cannot be started");
    expect(&jobs[FAILURES + 1], 3,
           "the case is for cuda:0, and the engine says that it runs on cpu");
    expect(&jobs[FAILURES + 2], 3, "not_built");
    jobs_free(jobs, FAILURES + 3);
}

/* Or dead and not yet waited for by whoever took it over, which may be never in a container. */
static bool is_gone(pid_t pid)
{
    char *stat = file_read(at("/proc/%d/stat", (int)pid), NULL);
    const char *behind = stat ? strrchr(stat, ')') : NULL;
    const bool gone = !behind || behind[2] == 'Z' || behind[2] == 'X';
    free(stat);
    return gone;
}

/* What an engine has started goes with it. */
static void all_of_it_is_ended(void **state)
{
    (void)state;
    char *text = file_read(at("%s/pid", folder), NULL);
    assert_non_null(text);
    const pid_t pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    assert_true(pid > 1);
    for (int i = 0; i < 200 && !is_gone(pid); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(is_gone(pid));
}

static void flags_that_make_no_sense(void **state)
{
    static const char *const with[] = {"--kernels=base",      "--batch=2",   "--scenario=offline",
                                       "--counters=software", "--sustain=1", "--idle-power=1",
                                       "--engine-check=-1"};
    enum { COUNT = sizeof with / sizeof *with };
    struct job jobs[COUNT] = {{.argv = {NULL}}};
    (void)state;
    for (int i = 0; i < COUNT; i++)
        jobs[i] = job_of(FAKE "good", with[i]);
    jobs_run(jobs, COUNT);
    for (int i = 0; i < COUNT; i++)
        expect(&jobs[i], 2, "engine");
    jobs_free(jobs, COUNT);
}

/* ---- what they made ---- */

static void multiply(const char *from, const char *to, float by)
{
    struct safetensors *file;
    struct fault fault = {{0}};
    assert_int_equal(safetensors_open(from, &file, &fault), ST_OK);
    const struct safetensor *t = safetensors_find(file, "latents");
    const int64_t count = safetensor_elems(t);
    float *values = malloc((size_t)count * sizeof *values);
    assert_int_equal(safetensors_read(file, t, 0, count, values, &fault), ST_OK);
    for (int64_t i = 0; i < count; i++)
        values[i] *= by;
    struct safetensor_out out = {.name = "latents", .rank = t->rank, .data = values};
    memcpy(out.dim, t->dim, sizeof out.dim);
    assert_int_equal(safetensors_write(to, &out, 1, &fault), ST_OK);
    safetensors_free(file);
    free(values);
}

/* Ours from another process, which the engines hand over as theirs. */
static void make_ours(void)
{
    model_draw(at("%s/model", folder), &preset_tiny, ELEM_F32, 1);
    struct job job = {.argv = {BUILD_DIR "/patchmark", "generate", CASE,
                               "--prompt=a red ball rolls to the left", "--model",
                               job_word("%s/model", folder), "--dump", job_word("%s/ours", folder),
                               "-o", job_word("%s/clip.y4m", folder)}};
    jobs_run(&job, 1);
    if (job.code)
        fail_msg("%s", job.err);
    jobs_free(&job, 1);
    multiply(at("%s/ours/latents_final.safetensors", folder),
             at("%s/ours/other.safetensors", folder), 1.001f);
}

static struct job compared(const char *how, const char *more)
{
    struct job j = job_of(job_word(FAKE "%s %s/ours", how, folder), "--model");
    j.argv[12] = job_word("%s/model", folder);
    j.argv[13] = more;
    return j;
}

static void clips_are_held_against_ours(void **state)
{
    (void)state;
    make_ours();
    struct job jobs[] = {compared("copies", NULL),
                         compared("scaled", NULL),
                         compared("once", NULL),
                         compared("good", NULL),
                         compared("copies", "--engine-check=0"),
                         compared("scaled", "--dtype=bf16"),
                         compared("copies", "--format=json")};
    enum { COUNT = sizeof jobs / sizeof *jobs };
    jobs_run(jobs, COUNT);
    expect(&jobs[0], 0, "agrees with our clip in f32, latents 0 relative L2, frames 200.0 dB");
    expect(&jobs[1], 1, "the engine's latents are 0.001 (relative L2) apart from ours");
    assert_null(strstr(jobs[1].out, " s +-"));
    expect(&jobs[2], 1, "dumped its first clip and not its last");
    expect(&jobs[3], 1, "did not take the weights of the model's folder");
    expect(&jobs[4], 0, "not compared with ours: our own clip was not asked for");
    expect(&jobs[5], 0, "no verdict in half types; against our clip in f32, latents 0.001");
    assert_true(json_valid(jobs[6].out));
    expect(&jobs[6], 0, "\"claim\": \"external\"");
    expect(&jobs[6], 0, "\"agrees\": true");
    expect(&jobs[6], 0, "\"rechecked\": true");
    expect(&jobs[6], 0, "\"engine\":\"fake 1\"");
    jobs_free(jobs, COUNT);
}

/* Beside our own row, and in no ratio with it. */
static void rows_stand_beside_ours(void **state)
{
    struct job jobs[] = {job_of("default;" FAKE "good", "--kernels=default"),
                         job_of("default;" FAKE "good", "--dry-run")};
    (void)state;
    jobs_run(jobs, 2);
    expect(&jobs[0], 0, " auto ");
    expect(&jobs[0], 0, " fake ");
    assert_null(strstr(jobs[0].out, "x auto"));
    expect(&jobs[1], 0, "by " FAKE "good");
    jobs_free(jobs, 2);
}

int main(void)
{
    const struct CMUnitTest words[] = {
        cmocka_unit_test(commands_are_taken_apart),
        cmocka_unit_test(paths_are_told_by_their_last_names),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_costs_its_row),
        cmocka_unit_test(all_of_it_is_ended),
        cmocka_unit_test(flags_that_make_no_sense),
        cmocka_unit_test(clips_are_held_against_ours),
        cmocka_unit_test(rows_stand_beside_ours),
    };
    const int failed = cmocka_run_group_tests(words, NULL, NULL);
#ifdef HAVE_JANSSON
    return failed + cmocka_run_group_tests(tests, folder_make, folder_drop);
#else
    (void)tests;
    return failed;
#endif
}
