// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_tune.c   `tune` as people use it, on an op whose plain variant a planted one beats by far: the
 * right knob is found, the wrong ones never, what is found is used and said, and whatever ends a
 * search early costs no decision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/host.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"
#include "tune/tuned.h"

#define PROGRAM BUILD_DIR "/patchmark"
#define PLUGIN_FILE BUILD_DIR "/tests/plugin/upsample_knobs.so"
#define SHAPE "upsample:T=1,H=128,W=128,C=1,type=f32"
#define BUCKET "upsample:C=1,voxels=16384-32767,type=f32"

enum { WORDS = 40 };

static struct spawned patchmark(const char *word, ...)
{
    const char *argv[WORDS] = {PROGRAM};
    va_list args;
    va_start(args, word);
    for (int n = 1; word && n < WORDS - 1; word = va_arg(args, const char *))
        argv[n++] = word;
    va_end(args);
    return spawn_program((char *const *)argv, NULL);
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static const char *table_in(const char *results)
{
    return at("%s/%s/tuned.tsv", results, host_machine_slug());
}

static void expect_planted(const char *results)
{
    struct tuned *t;
    struct fault fault = {{0}};
    if (tuned_read(table_in(results), &t, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    const struct tuned_line *l = tuned_find(t, "cpu-1t", BUCKET);
    assert_non_null(l);
    assert_string_equal(l->variant, "knobs_91_pairs");
    assert_string_equal(l->knobs, "passes=1,rows_left=0");
    assert_string_equal(l->against, "c_01_plain");
    assert_true(l->gain > 1.5 && l->lo > 1 && l->hi >= l->gain && l->lo <= l->gain);
    assert_true(l->source != 0 && l->against_source != 0);
    tuned_free(t);
}

static void the_planted_knob_is_found_and_the_wrong_ones_are_not(void **state)
{
    const char *results = at("%s/found", folder);
    (void)state;
    struct spawned s = patchmark("tune", "--shapes", SHAPE, "--budget=4s", "--threads=1",
                                 "--plugin", PLUGIN_FILE, "--results", results, NULL);
    expect(&s, 0, "1 of 1 buckets have a faster choice");
    expect(&s, 0, "knobs_91_pairs:passes=1,rows_left=0");
    expect_planted(results);
    /* passes=3 is refused with three settings of the other knob; left rows are wrong with the rest */
    int tried, pruned, refused, wrong;
    const char *row = strstr(s.out, "100.0%");
    assert_non_null(row);
    assert_int_equal(sscanf(row, "100.0%% %d %d %d %d", &tried, &pruned, &refused, &wrong), 4);
    assert_int_equal(refused, 3);
    assert_int_equal(wrong, 4);
    assert_int_equal(tried, 7);
    glob_t journals;
    assert_int_equal(glob(at("%s/*/*.journal", results), 0, NULL, &journals), GLOB_NOMATCH);
}

/* A number of candidates in place of a time: the default, then the planted one's own default. */
static void a_budget_may_be_a_count(void **state)
{
    const char *results = at("%s/count", folder);
    (void)state;
    struct spawned s = patchmark("tune", "--shapes", SHAPE, "--budget=2", "--threads=1", "--plugin",
                                 PLUGIN_FILE, "--results", results, NULL);
    expect(&s, 0, "0 of 1 buckets have a faster choice");
    expect(&s, 0, "100.0%      2 ");
    assert_null(strstr(s.out, "table "));
}

/* ---- use ------------------------------------------------------------------------------------- */

/* A table whose line is of a kernel of this build, with knobs where it has some. */
static void make_table(const char *path, const char *bucket, const struct registry_entry *e,
                       const char *knobs, const struct registry_entry *against)
{
    struct tuned_line l = {.source = e->source_hash,
                           .against_source = against->source_hash,
                           .gain = 1.5,
                           .lo = 1.25,
                           .hi = 2};
    char aside[4200];
    snprintf(l.place, sizeof l.place, "cpu-1t");
    snprintf(l.bucket, sizeof l.bucket, "%s", bucket);
    snprintf(l.variant, sizeof l.variant, "%s", e->name);
    snprintf(l.knobs, sizeof l.knobs, "%s", knobs);
    snprintf(l.against, sizeof l.against, "%s", against->name);
    snprintf(l.utc, sizeof l.utc, "2026-01-31T23:59:00Z");
    snprintf(l.commit, sizeof l.commit, "abc");
    assert_int_equal(tuned_merge(path, &l, 1, NULL, 0, aside, sizeof aside, NULL), ST_OK);
}

static struct spawned dry_run(const char *tuned, const char *plan, const char *more)
{
    return patchmark("generate", "--size=32x32", "--frames=5", "--steps=1", "--threads=1",
                     "--dry-run", "--tuned", tuned, "--write-plan", plan, more, NULL);
}

/* What serves the linear layer of the tiny model's text encoder, without a table. */
#define LINEAR "linear:S=64,K=128,O=256,epilogue=gelu,type=f32"
#define LINEAR_BUCKET "linear:S=64-127,K=128,O=256,epilogue=gelu,type=f32"

static const struct registry_entry *untuned_choice(const char *plan)
{
    char name[64];
    struct spawned s =
        patchmark("generate", "--size=32x32", "--frames=5", "--steps=1", "--threads=1", "--dry-run",
                  "--untuned", "--write-plan", plan, NULL);
    assert_int_equal(s.code, 0);
    assert_null(strstr(s.out, "tuned"));
    char *text = file_read(plan, NULL), *row = strstr(text, LINEAR);
    if (!row)
        fail_msg("no %s in\n%s", LINEAR, text);
    assert_int_equal(sscanf(strchr(row, '\t') + 1, "0-0\t%63s", name), 1);
    free(text);
    return registry_find(OP_linear, name);
}

static void the_table_is_used_and_said(void **state)
{
    const char *path = at("%s/used.tsv", folder), *plan = at("%s/plan.tsv", folder);
    const struct registry_entry *best = untuned_choice(plan);
    const struct registry_entry *plain = registry_find(OP_linear, "c_01_plain");
    (void)state;
    make_table(path, LINEAR_BUCKET, plain, "-", best);
    struct spawned s = dry_run(path, plan, NULL);
    expect(&s, 0, "tuned   1 of ");
    expect(&s, 0, path);
    char *text = file_read(plan, NULL);
    assert_non_null(strstr(text, LINEAR "\t0-0\tc_01_plain\t-\n"));
    free(text);
    s = dry_run(path, plan, "--untuned");
    assert_int_equal(s.code, 0);
    assert_null(strstr(s.out, "tuned"));
    s = dry_run(path, plan, at("--kernels=linear=%s", best->name));
    expect(&s, 0, "tuned   0 of ");
    s = patchmark("generate", "--dry-run", "--tuned=no/such/table.tsv", NULL);
    expect(&s, 2, "--tuned no/such/table.tsv cannot be read");
}

static void stale_and_broken_tables_are_said_and_not_used(void **state)
{
    const char *path = at("%s/stale.tsv", folder), *plan = at("%s/plan2.tsv", folder);
    const struct registry_entry *best = untuned_choice(plan);
    struct registry_entry old = *registry_find(OP_linear, "c_01_plain");
    (void)state;
    old.source_hash ^= 1;
    make_table(path, LINEAR_BUCKET, &old, "-", best);
    struct spawned s = dry_run(path, plan, NULL);
    expect(&s, 0, "tuned   0 of ");
    expect(&s, 0, "1 of its 1 lines is of kernels that changed since");
    char *text = file_read(plan, NULL);
    assert_null(strstr(text, LINEAR "\t0-0\tc_01_plain"));
    free(text);
    text = file_read(path, NULL);
    strchr(text, '\n')[20] ^= 1;
    file_write(path, text, false);
    free(text);
    s = dry_run(path, plan, NULL);
    expect(&s, 0, "untuned: ");
    expect(&s, 0, "line 2: it is not as it was written");
}

/* What serves is another one now than what the line was faster than. */
static void a_line_holds_against_its_rival_alone(void **state)
{
    const char *path = at("%s/rival.tsv", folder), *plan = at("%s/plan3.tsv", folder);
    const struct registry_entry *best = untuned_choice(plan);
    const struct registry_entry *plain = registry_find(OP_linear, "c_01_plain");
    (void)state;
    if (best == plain)
        skip();
    make_table(path, LINEAR_BUCKET, best, "-", plain);
    struct spawned s = dry_run(path, plan, NULL);
    expect(&s, 0, "tuned   0 of ");
}

static void runs_record_it(void **state)
{
    const char *path = at("%s/run.tsv", folder), *plan = at("%s/plan4.tsv", folder);
    const struct registry_entry *best = untuned_choice(plan);
    const struct registry_entry *plain = registry_find(OP_linear, "c_01_plain");
    (void)state;
    make_table(path, LINEAR_BUCKET, plain, "-", best);
    struct spawned s =
        patchmark("run", "--size=32x32", "--frames=5", "--steps=1", "--threads=1", "--budget=0.1",
                  "--repetitions=1", "--results=none", "--format=json", "--tuned", path, NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    assert_non_null(strstr(s.out, "\"tuned\": {"));
    assert_non_null(strstr(s.out, "\"shapes\": 1,"));
    assert_non_null(strstr(s.out, "--tuned"));
    s = patchmark("run", "--size=32x32", "--frames=5", "--steps=1", "--threads=1", "--budget=0.1",
                  "--repetitions=1", "--results=none", "--format=json", "--untuned", NULL);
    assert_int_equal(s.code, 0);
    assert_non_null(strstr(s.out, "\"why\": \"--untuned\""));
}

/* ---- early ends ------------------------------------------------------------------------------ */

static const char *write_shapes(void)
{
    const char *path = at("%s/shapes.txt", folder);
    file_write(path,
               "# three buckets\n" SHAPE "\n"
               "upsample:T=1,H=64,W=128,C=1,type=f32   # and a word behind\n\n"
               "upsample:T=1,H=64,W=64,C=1,type=f32\n",
               false);
    return path;
}

static pid_t start_tune(const char *shapes, const char *results, const char *out)
{
    file_write(out, "", false);
    const pid_t child = fork();
    if (!child) {
        if (!freopen(out, "w", stdout))
            _exit(9);
        execl(PROGRAM, PROGRAM, "tune", "--shapes", shapes, "--budget=8", "--threads=1", "--plugin",
              PLUGIN_FILE, "--results", results, (char *)NULL);
        _exit(9);
    }
    return child;
}

/* Waits until so many rows of buckets are out, 60 s at most. */
static bool rows_come(const char *out, int rows)
{
    int there = 0;
    for (int i = 0; i < 1200 && there < rows; i++) {
        char *text = file_read(out, NULL);
        there = 0;
        for (const char *row = text; row && (row = strstr(row, " upsample:")); row++)
            there++;
        free(text);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return there >= rows;
}

static int lines_of(const char *results)
{
    struct tuned *t;
    struct fault fault = {{0}};
    if (tuned_read(table_in(results), &t, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    const int count = tuned_count(t);
    tuned_free(t);
    return count;
}

static void says(const char *path, const char *what)
{
    char *text = file_read(path, NULL);
    if (!strstr(text, what))
        fail_msg("no '%s' in\n%s", what, text);
    free(text);
}

/* What a kill within a write leaves of a line. */
static void tear_journal(const char *results)
{
    glob_t files;
    assert_int_equal(glob(at("%s/*/*.journal", results), 0, NULL, &files), 0);
    FILE *out = fopen(files.gl_pathv[0], "a");
    assert_non_null(out);
    fputs("upsample:C=1,voxels=4096-8191,type=f32\t1\t7", out);
    fclose(out);
    globfree(&files);
}

/* One search in three runs: Ctrl-C, then kill -9, then left alone. */
static void what_ends_a_search_costs_no_decision(void **state)
{
    const char *shapes = write_shapes(), *results = at("%s/ended", folder);
    const char *out = at("%s/ended.txt", folder);
    int status;
    (void)state;
    pid_t child = start_tune(shapes, results, out);
    assert_true(rows_come(out, 1));
    kill(child, SIGINT);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 130);
    says(out, "the same command goes on with them");
    assert_int_equal(lines_of(results), 1);
    child = start_tune(shapes, results, out);
    assert_true(rows_come(out, 2));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    says(out, "1 was decided before");
    assert_int_equal(lines_of(results), 2);
    tear_journal(results);
    child = start_tune(shapes, results, out);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    says(out, "2 were decided before");
    says(out, "3 of 3 buckets have a faster choice");
    assert_int_equal(lines_of(results), 3);
}

/* ---- does it still hold? --------------------------------------------------------------------- */

#define WIDE "linear:S=64,K=256,O=256,type=f32"

static void slower_lines_are_dropped_and_faster_ones_stay(void **state)
{
    const char *results = at("%s/found", folder), *shapes = at("%s/two.txt", folder);
    const char *plan = at("%s/plan5.tsv", folder);
    const struct registry_entry *best = untuned_choice(plan);
    const struct registry_entry *plain = registry_find(OP_linear, "c_01_plain");
    (void)state;
    if (best == plain)
        skip();
    make_table(table_in(results), "linear:S=64-127,K=256,O=256,type=f32", plain, "-", best);
    file_write(shapes, SHAPE "\n" WIDE "\n", false);
    struct spawned s =
        patchmark("tune", "--check", "--shapes", shapes, "--budget=6s", "--threads=1", "--plugin",
                  PLUGIN_FILE, "--results", results, NULL);
    expect(&s, 1, "2 of 2 buckets are tuned");
    expect(&s, 1, "holds");
    expect(&s, 1, "dropped");
    expect_planted(results);
    s = patchmark("tune", "--check", "--shapes", WIDE, "--threads=1", "--results", results, NULL);
    expect(&s, 0, "0 of 1 buckets are tuned");
}

static void clips_are_timed_with_and_without(void **state)
{
    const char *results = at("%s/found", folder);
    (void)state;
    struct spawned s =
        patchmark("tune", "--check", "--shapes=tiny-dit", "--size=32x32", "--frames=1", "--steps=1",
                  "--budget=1s", "--threads=1", "--results", results, NULL);
    expect(&s, 0, "clip    untuned ");
}

static void bad_input_is_one_sentence(void **state)
{
    (void)state;
    struct spawned s = patchmark("tune", "--budget=60x", NULL);
    expect(&s, 2, "--budget '60x' should be");
    s = patchmark("tune", "--shapes=linear:Q=1", NULL);
    assert_int_equal(s.code, 2);
    s = patchmark("tune", "--shapes=qkv:S=200,C=256,N=2,D=128", NULL);
    expect(&s, 2, "runs as its parts here");
    s = patchmark("tune", "--shapes=tiney", NULL);
    expect(&s, 2, "did you mean tiny");
    file_write(at("%s/bad.txt", folder), SHAPE "\nlinear:K=2\n", false);
    s = patchmark("tune", "--shapes", at("%s/bad.txt", folder), NULL);
    expect(&s, 2, "bad.txt, line 2: ");
    s = patchmark("tune", "nothing_like_it", "--shapes", SHAPE, NULL);
    expect(&s, 2, "nothing_like_it");
    s = patchmark("tune", "linear", "--shapes", SHAPE, NULL);
    expect(&s, 2, "'linear' names no variant of the ops");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_planted_knob_is_found_and_the_wrong_ones_are_not),
        cmocka_unit_test(a_budget_may_be_a_count),
        cmocka_unit_test(the_table_is_used_and_said),
        cmocka_unit_test(stale_and_broken_tables_are_said_and_not_used),
        cmocka_unit_test(a_line_holds_against_its_rival_alone),
        cmocka_unit_test(runs_record_it),
        cmocka_unit_test(what_ends_a_search_costs_no_decision),
        cmocka_unit_test(slower_lines_are_dropped_and_faster_ones_stay),
        cmocka_unit_test(clips_are_timed_with_and_without),
        cmocka_unit_test(bad_input_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
