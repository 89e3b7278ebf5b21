// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_counters.c   Events, presets and what follows from them, against tests/plugin/fake_papi.c in
 * the library's place, because a machine without a PMU has software events alone. The search path of
 * libraries is read when a program starts, so each case runs this program again, with the word
 * "count", how a crowd of events is dealt with, and their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <link.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "counters/counted.h"
#include "counters/counter_presets.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* ---- the counting side ----------------------------------------------------------------------- */

/* Every pass once; prints the lines of a worker, then the members of a record. */
static int count(const char *how, const char *names)
{
    struct fault fault = {{0}};
    struct counters *c = NULL;
    struct counted got[COUNTERS_MAX];
    const struct counted_work work = {1e-6, 2e5};
    struct json j;
    char line[400];
    enum counters_crowd crowd = strcmp(how, "turns") ? COUNTERS_IN_PASSES : COUNTERS_MULTIPLEXED;
    enum status status = counters_open(names, crowd, &c, &fault);
    if (status != ST_OK) {
        printf("%s\n", fault.text);
        return exit_code_of(status);
    }
    int passes = counters_passes(c), counted = 0;
    for (int pass = 0; pass < (strcmp(how, "first") ? passes : 1); pass++) {
        counters_start(c, pass);
        counters_stop(c);
    }
    printf("passes %d\n", passes);
    for (int i = 0; i < counters_count(c); i++) {
        FILE *out = fmemopen(line, sizeof line, "w");
        counted_say(counters_at(c, i), 2, out);
        fclose(out);
        printf("%s\n", line);
        counted += counted_take(line, &got[counted]);
    }
    json_init(&j, false);
    json_open_object(&j, NULL);
    counted_json(got, counted, "run", &j);
    counted_figures_json(got, counted, &work, &j);
    json_end(&j);
    printf("%s\n", j.text);
    counted_print(got, counted, "run", &work, "- ", stdout);
    counted_print_missing(got, counted, "- ", stdout);
    json_free(&j);
    counters_free(c);
    return 0;
}

/* ---- the testing side ------------------------------------------------------------------------ */

static const char *program;

static struct spawned counted_with(const char *how, const char *names, const char *lacking)
{
    const char *argv[] = {program, "count", how, names, NULL};
    char library[600], fake[64];
    snprintf(library, sizeof library, "LD_LIBRARY_PATH=%s", folder);
    snprintf(fake, sizeof fake, "FAKE_PAPI=%s", lacking);
    char *environment[] = {library, fake, NULL};
    return spawn_program((char *const *)argv, environment);
}

static void expect(const struct spawned *s, const char *part)
{
    if (!strstr(s->out, part))
        fail_msg("no '%s' in code %d\n%s\n%s", part, s->code, s->out, s->err);
}

/* Two registers, three events: two passes, each event counted as if it were alone. */
static void a_crowd_in_passes(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "PAPI_TOT_CYC,PAPI_TOT_INS,PAPI_L1_DCM", "");
    expect(&s, "passes 2\n");
    expect(&s, "PAPI_TOT_CYC 2000 process\nPAPI_TOT_INS 5000 process\nPAPI_L1_DCM 25 process\n");
    expect(&s, "\"PAPI_L1_DCM\":{\"value\":25,\"why\":null,\"per\":\"run\",\"scope\":\"process\","
               "\"multiplexed\":false}");
    assert_null(strstr(s.out, "~"));
}

static void a_crowd_in_turns(void **state)
{
    (void)state;
    struct spawned s = counted_with("turns", "PAPI_TOT_CYC,PAPI_TOT_INS,PAPI_L1_DCM", "");
    expect(&s, "passes 1\n");
    expect(&s, "PAPI_TOT_CYC 2000 process multiplexed\n");
    expect(&s, "PAPI_L1_DCM 25 process multiplexed\n");
    expect(&s, "\"multiplexed\":true");
    expect(&s, "- counted for all threads, a run: PAPI_TOT_CYC 2000~");
    expect(&s, "- ~ multiplexed: counted part of the time and multiplied out");
}

/* What fits is not made to take turns. */
static void no_crowd_no_turns(void **state)
{
    (void)state;
    struct spawned s = counted_with("turns", "PAPI_TOT_CYC,PAPI_TOT_INS,software", "");
    expect(&s, "passes 1\n");
    assert_null(strstr(s.out, "process multiplexed"));
    expect(&s, "perf::CPU-MIGRATIONS 0.5 process\n");
}

static void passes_where_turns_are_refused(void **state)
{
    (void)state;
    struct spawned s = counted_with("turns", "PAPI_TOT_CYC,PAPI_TOT_INS,PAPI_L1_DCM", "turns");
    expect(&s, "passes 2\n");
    expect(&s, "PAPI_L1_DCM 25 process\n");
}

static void a_pass_that_did_not_come(void **state)
{
    (void)state;
    struct spawned s = counted_with("first", "PAPI_TOT_CYC,PAPI_TOT_INS,PAPI_L1_DCM", "");
    expect(&s, "PAPI_TOT_INS 5000 process\nPAPI_L1_DCM null its turn among the passes");
}

static void presets_take_the_first_way_there_is(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "instructions,branch", "");
    expect(&s, "PAPI_TOT_INS 5000 process\nPAPI_TOT_CYC 2000 process\nPAPI_BR_INS 500 process\n"
               "PAPI_BR_MSP 15 process\n{");
    s = counted_with("passes", "instructions,branch", "presets");
    expect(&s, "perf::INSTRUCTIONS 5000.5 process\nperf::CPU-CYCLES 2000.5 process\n");
    expect(&s, "perf::BRANCH-MISSES 15.5 process\n");
    assert_null(strstr(s.out, "PAPI_TOT"));
}

/* A sum needs all of its events; a way that lacks one is not counted in part. */
static void sums_are_whole(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "flops", "");
    expect(&s, "FP_ARITH:512B_PACKED_SINGLE 5000 process\n");
    expect(&s, "\"flops_counted\":84203.5,\"flops_per_s_counted\":84203500000");
    expect(&s, "\"flops_counted_fraction\":0.4210175");
    s = counted_with("passes", "flops", "packed");
    expect(&s, "PAPI_SP_OPS null PAPI cannot find it: Event does not exist\n");
    assert_null(strstr(s.out, "FP_ARITH"));
    expect(&s, "\"counter_figures\":{}");
}

static void figures_follow(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "cycles,cache,branch,software", "");
    expect(&s, "\"instructions_per_cycle\":2.5,\"l1_misses_per_kilo_instruction\":5,"
               "\"branch_misses_per_kilo_instruction\":3,\"branch_miss_fraction\":0.03,"
               "\"busy_clock_hz\":2000000000}");
    expect(&s, "- 2.5 instructions a cycle, 5 L1 misses per 1000 instructions, 3 branch misses");
    expect(&s, "- unavailable: PAPI_L2_TCM, PAPI_L3_TCA, PAPI_L3_TCM: PAPI cannot find it");
}

/* Flops of one thread say nothing of the time of all; ratios within the thread stay. */
static void the_calling_thread_alone(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "cycles,instructions,flops", "threads");
    expect(&s, "PAPI_TOT_CYC 2000 thread\n");
    expect(&s, "\"counter_figures\":{\"instructions_per_cycle\":2.5}");
    expect(&s, "- counted for the calling thread alone, a run:");
}

static void sets_that_do_not_start(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "cycles,instructions,branch", "broken");
    assert_int_equal(s.code, 0);
    expect(&s, " null PAPI cannot ");
}

static void all_fits_in_the_list(void **state)
{
    (void)state;
    struct spawned s = counted_with("passes", "all,all,PAPI_TOT_CYC", "");
    assert_int_equal(s.code, 0);
    expect(&s, "PAPI_STL_ICY");
    assert_null(strstr(s.out, "at most"));
}

static void lines_that_are_none_are_refused(void **state)
{
    (void)state;
    struct counted c;
    assert_false(counted_take("", &c));
    assert_false(counted_take("PAPI_TOT_CYC", &c));
    assert_true(counted_take("PAPI_TOT_CYC 5 thread", &c) && !c.process && !c.multiplexed);
    assert_true(counted_take("X null because multiplexed", &c) && !c.available && !c.multiplexed);
    assert_string_equal(c.why, "because multiplexed");
}

/* Every figure of every preset is in the table, every way can be read. */
static void the_tables_agree(void **state)
{
    (void)state;
    struct counter_term term[COUNTER_TERMS_MAX];
    for (const struct counter_preset *p = counter_presets; p->figures; p++) {
        const struct counter_figure *f;
        const char *at = NULL;
        int index = 0, words = 1, found = 0;
        for (const char *blank = p->figures; (blank = strchr(blank, ' ')); blank++)
            words++;
        while ((f = counter_preset_next(p, &at, &index))) {
            found++;
            for (int w = 0; w < COUNTER_WAYS && f->way[w]; w++)
                assert_true(counter_way_terms(f->way[w], term) >= 1 && term[0].event[0]);
        }
        assert_int_equal(found, words);
    }
    assert_int_equal(counter_way_terms("A+4*B:C-D", term), 2);
    assert_true(term[1].weight == 4);
    assert_string_equal(term[1].event, "B:C-D");
}

/* On this machine, with the library as it is: software events count or say why not. */
static void the_list_tells_what_is_here(void **state)
{
    (void)state;
    const char *text[] = {BUILD_DIR "/patchmark", "list", "counters", NULL};
    struct spawned s = spawn_program((char *const *)text, NULL);
    assert_int_equal(s.code, 0);
    expect(&s, "software      task_clock_ns");
    const char *json[] = {BUILD_DIR "/patchmark", "list", "counters", "--format=json", NULL};
    s = spawn_program((char *const *)json, NULL);
    assert_true(json_valid(s.out));
    expect(&s, "\"preset\": \"tlb\"");
}

/* Both commands, from the preset's name to the record. */
static void commands_take_presets(void **state)
{
    (void)state;
    const char *kernels[] = {BUILD_DIR "/patchmark",
                             "kernels",
                             "rms_norm/c_01_*",
                             "--shape=rms_norm:S=9,C=64",
                             "--threads=1",
                             "--budget=0.5",
                             "--repetitions=6",
                             "--results=none",
                             "--counters=software",
                             "--format=json",
                             NULL};
    struct spawned s = spawn_program((char *const *)kernels, NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    expect(&s, "\"perf::CPU-MIGRATIONS\"");
    const char *run[] = {BUILD_DIR "/patchmark",
                         "run",
                         "--size=32x32",
                         "--frames=1",
                         "--steps=1",
                         "--threads=1",
                         "--repetitions=2",
                         "--budget=0.05",
                         "--results=none",
                         "--counters=software",
                         NULL};
    s = spawn_program((char *const *)run, NULL);
    assert_int_equal(s.code, 0);
    expect(&s, "perf::TASK-CLOCK");
}

/* The file that the program was linked with, for the fake to take its name. */
static int library_name(struct dl_phdr_info *info, size_t bytes, void *user)
{
    const char *slash = strrchr(info->dlpi_name, '/');
    (void)bytes;
    if (slash && !strncmp(slash + 1, "libpapi.so", 10))
        snprintf(user, 64, "%s", slash + 1);
    return 0;
}

static int link_the_fake(void **state)
{
    char name[64] = "";
    folder_make(state);
    dl_iterate_phdr(library_name, name);
    char *fake = realpath(BUILD_DIR "/tests/plugin/fake_papi.so", NULL);
    int failed = !fake || (name[0] && symlink(fake, at("%s/%s", folder, name)) != 0);
    free(fake);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "count"))
        return count(argv[2], argv[3]);
    program = argv[0];
    const struct CMUnitTest tests[] = {
#ifdef HAVE_PAPI
        cmocka_unit_test(a_crowd_in_passes),
        cmocka_unit_test(a_crowd_in_turns),
        cmocka_unit_test(no_crowd_no_turns),
        cmocka_unit_test(passes_where_turns_are_refused),
        cmocka_unit_test(a_pass_that_did_not_come),
        cmocka_unit_test(presets_take_the_first_way_there_is),
        cmocka_unit_test(sums_are_whole),
        cmocka_unit_test(figures_follow),
        cmocka_unit_test(the_calling_thread_alone),
        cmocka_unit_test(sets_that_do_not_start),
        cmocka_unit_test(all_fits_in_the_list),
#endif
        cmocka_unit_test(lines_that_are_none_are_refused),
        cmocka_unit_test(the_tables_agree),
        cmocka_unit_test(the_list_tells_what_is_here),
        cmocka_unit_test(commands_take_presets),
    };
    return cmocka_run_group_tests_name("counters", tests, link_the_fake, folder_drop);
}
