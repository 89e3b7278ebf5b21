// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_arm_spec.c   Arms as people write them: what is understood, what is refused with which words,
 * and that knobs, threads, another build and a planted slowdown reach the worker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contest/arm_spec.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define PROGRAM BUILD_DIR "/patchmark"

static void same_again(const char *text, const char *want)
{
    struct arm_spec spec;
    struct fault fault = {""};
    char got[2048];
    if (arm_spec_parse(text, &spec, &fault) != ST_OK)
        fail_msg("%s: %s", text, fault.text);
    arm_spec_print(&spec, got, sizeof got);
    assert_string_equal(got, want);
}

static void specs_are_read_and_written(void **state)
{
    (void)state;
    same_again("linear/c_01_plain", "linear/c_01_plain");
    same_again("linear/avx2_01_panel:rows=96,cols=128", "linear/avx2_01_panel:rows=96,cols=128");
    same_again("linear/a@slow=2%@threads=2", "linear/a@threads=2@slow=2%");
    same_again("linear/a:x=1@bin=/old/b@2/patchmark@threads=3",
               "linear/a:x=1@threads=3@bin=/old/b@2/patchmark");
    same_again("linear/a@bin=patchmark", "linear/a@bin=./patchmark");
}

static void refused(const char *text, const char *because)
{
    struct arm_spec spec;
    struct fault fault = {""};
    const struct registry_entry *entry;
    enum status status = arm_spec_parse(text, &spec, &fault);
    if (status == ST_OK)
        status = arm_spec_find(&spec, &entry, &fault);
    if (status != ST_BAD_INPUT || !strstr(fault.text, because))
        fail_msg("'%s' gave %d: %s", text, (int)status, fault.text);
}

static void what_cannot_be_an_arm_is_refused(void **state)
{
    (void)state;
    refused("", "is no arm");
    refused("linear", "is no arm");
    refused("linear/", "is no arm");
    refused("/c_01_plain", "is no arm");
    refused("linear/c_01_plain/x", "is no arm");
    refused("linear/c_01_plain:", "names no knobs");
    refused("linear/c_01_plain@", "does not go on");
    refused("linear/c_01_plain@cores=2", "does not go on");
    refused("linear/c_01_plain@threads=0", "@threads wants 1 to 4096, not '0'");
    refused("linear/c_01_plain@threads=2x", "@threads wants");
    refused("linear/c_01_plain@threads=1@threads=2", "twice");
    refused("linear/c_01_plain@bin=", "@bin wants");
    refused("linear/c_01_plain@slow=0", "@slow wants");
    refused("linear/c_01_plain@slow=nan", "@slow wants");
    refused("liner/c_01_plain", "did you mean linear?");
    refused("linear/c_01_plane", "did you mean c_01_plain");
    refused("linear/c_01_plain:rows=1", "c_01_plain has no knob 'rows'; it has none at all");
}

/* Knobs are held against the variant, whether or not this machine can run it. */
static const struct variant fake = {.name = "fake_01_x",
                                    .knob = {{"rows", 3, {96, 48, 24}}, {"keys", 2, {7, -1}}}};

static void knobs_are_held_to_the_list(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"row=48", "fake_01_x has no knob 'row': it has rows, keys"},
        {"rows=47", "the knob rows of fake_01_x is one of 96, 48, 24, not '47'"},
        {"rows=48x", "not '48x'"},
        {"rows", "written name=number"},
        {"rows=", "written name=number"},
        {"=4", "written name=number"},
    };
    int64_t knob[KNOB_MAX];
    char text[256];
    struct fault fault = {""};
    assert_int_equal(knobs_parse(&fake, NULL, knob, &fault), ST_OK);
    knobs_print(&fake, knob, text, sizeof text);
    assert_string_equal(text, "rows=96,keys=7");
    assert_int_equal(knobs_parse(&fake, "keys=-1,rows=24", knob, &fault), ST_OK);
    knobs_print(&fake, knob, text, sizeof text);
    assert_string_equal(text, "rows=24,keys=-1");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fault.text[0] = '\0';
        assert_int_equal(knobs_parse(&fake, wrong[i][0], knob, &fault), ST_BAD_INPUT);
        if (!strstr(fault.text, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], fault.text);
    }
}

/* ---- through the program --------------------------------------------------------------------- */

static struct spawned kernels(const char *arm)
{
    return spawn_program((char *const[]){PROGRAM, "kernels", (char *)arm,
                                         "--shape=linear:S=32,K=64,O=64", "--repetitions=6",
                                         "--budget=1", "--results=none", "--format=json", NULL},
                         NULL);
}

static void expect(const struct spawned *s, int code, const char *in_out, const char *in_err)
{
    bool said = (!in_out || strstr(s->out, in_out)) && (!in_err || strstr(s->err, in_err));
    if (s->code != code || !said)
        fail_msg("exit code %d where %d was due, or '%s' or '%s' is missing\n%s\n%s", s->code, code,
                 in_out ? in_out : "", in_err ? in_err : "", s->out, s->err);
}

static void words_reach_the_worker(void **state)
{
    (void)state;
    struct spawned s = kernels("linear/c_01_plain@threads=1@slow=50%");
    expect(&s, 0, "\"threads\": 1", NULL);
    expect(&s, 0, "\"planted_slowdown\": 0.5", NULL);
    expect(&s, 0, "linear/c_01_plain@slow=50%", NULL); /* the command that repeats it */
    assert_true(json_valid(s.out));
    s = kernels("linear/c_01_plain:rows=3");
    expect(&s, 2, NULL, "has no knob 'rows'");
}

static void another_build_is_named_or_refused(void **state)
{
    (void)state;
    struct spawned s = kernels("linear/c_01_plain@bin=" PROGRAM);
    expect(&s, 0, "\"program_sha256\": \"", NULL);
    expect(&s, 0, "\"program_commit\": \"", NULL);
    s = kernels("linear/c_01_plain@bin=/nowhere/patchmark");
    expect(&s, 2, NULL, "'/nowhere/patchmark' is no program");
    s = kernels("linear/c_01_plain@bin=/bin/true");
    expect(&s, 2, NULL, "'/bin/true' is no patchmark, or one too old");
    file_write(at("%s/old", folder), "#!/bin/sh\necho hello 1 0123456789\n", true);
    s = kernels(at("linear/c_01_plain@bin=%s/old", folder));
    expect(&s, 2, NULL, "(commit 0123456789) speak protocol 1, ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_read_and_written),
        cmocka_unit_test(what_cannot_be_an_arm_is_refused),
        cmocka_unit_test(knobs_are_held_to_the_list),
        cmocka_unit_test(words_reach_the_worker),
        cmocka_unit_test(another_build_is_named_or_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
