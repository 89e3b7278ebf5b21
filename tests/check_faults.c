// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_faults.c   Plants each fault of tests/broken before verify and expects it to be caught, by
 * name; the right plugin passes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/spawn.h"

static struct spawned verify(const char *plugin, const char *glob, const char *more)
{
    char path[256];
    snprintf(path, sizeof path, "%s/tests/%s.so", BUILD_DIR, plugin);
    const char *argv[] = {BUILD_DIR "/patchmark", "verify",   glob, "--level=op", "--threads=2",
                          "--timeout=1.5",        "--plugin", path, more,         NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void expect(const char *fault, const char *want)
{
    char glob[128], plugin[128];
    snprintf(glob, sizeof glob, "rms_norm/broken_90_%s", fault);
    snprintf(plugin, sizeof plugin, "broken/%s", fault);
    struct spawned s = verify(plugin, glob, NULL);
    if (s.code != 1 || !strstr(s.out, want) || !strstr(s.out, "replay: "))
        fail_msg("%s: exit %d, wanted 1 with '%s' and a replay line, got:\n%s%s", fault, s.code,
                 want, s.out, s.err);
}

static void off_by_one_tail(void **state)
{
    (void)state;
    expect("off_by_one_tail", "wrong: y row");
}

static void unwritten_row(void **state)
{
    (void)state;
    expect("unwritten_row", "wrong: unwritten: y row");
}

static void write_past_end(void **state)
{
    (void)state;
    expect("write_past_end", "past the end of y");
}

static void stale_output(void **state)
{
    (void)state;
    expect("stale_output", "two runs on the same data differ");
}

static void cached_by_address(void **state)
{
    (void)state;
    expect("cached_by_address", "it is that of the run before");
}

static void wrong_scale(void **state)
{
    (void)state;
    expect("wrong_scale", "wrong: y row");
}

static void nan_swallowed(void **state)
{
    (void)state;
    expect("nan_swallowed", "wrong: NaN or infinity swallowed: y row");
}

static void input_edited(void **state)
{
    (void)state;
    expect("input_edited", "changed its input x at row 0, element 0");
}

static void crash(void **state)
{
    (void)state;
    expect("crash", "crashed: the worker ");
}

static void read_past_end(void **state)
{
    (void)state;
    expect("read_past_end", "reached past the end of x");
}

static void hang(void **state)
{
    (void)state;
    expect("hang", "timeout: the worker gave no answer");
}

static void right_plugin_passes(void **state)
{
    (void)state;
    struct spawned s = verify("plugin/linear_rows", "linear/rows_90_double", NULL);
    if (s.code != 0 || !strstr(s.out, "1 variants: 1 passed, 0 failed"))
        fail_msg("exit %d:\n%s%s", s.code, s.out, s.err);
}

/* What a failure prints can be typed again and fails again. */
static void replay_fails_again(void **state)
{
    (void)state;
    struct spawned s = verify("broken/wrong_scale", "broken_90_*", NULL);
    assert_int_equal(s.code, 1);
    char *shape = strstr(s.out, "--shape '"), option[600];
    assert_non_null(shape);
    shape += strlen("--shape '");
    snprintf(option, sizeof option, "--shape=%.*s", (int)strcspn(shape, "'"), shape);
    struct spawned again = verify("broken/wrong_scale", "broken_90_*", option);
    assert_int_equal(again.code, 1);
    assert_non_null(strstr(again.out, option + strlen("--shape=")));
}

static void json_is_one_document(void **state)
{
    (void)state;
    struct spawned s = verify("broken/unwritten_row", "broken_90_*", "--format=json");
    assert_int_equal(s.code, 1);
    assert_int_equal(s.out[0], '{');
    assert_string_equal(s.out + strlen(s.out) - 2, "}\n");
    assert_non_null(strstr(s.out, "\"status\": \"wrong\""));
    assert_non_null(strstr(s.out, "\"failed\": 1"));
}

static void refuse(const char *plugin, const char *glob, const char *more, const char *want)
{
    struct spawned s = verify(plugin, glob, more);
    if (s.code != 2 || !strstr(s.err, want) || s.out[0])
        fail_msg("exit %d, wanted 2 and '%s':\n%s%s", s.code, want, s.out, s.err);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    refuse("plugin/linear_rows", "linaer", NULL, "did you mean linear");
    refuse("plugin/absent", "linear", NULL, "absent.so");
    refuse("plugin/linear_rows", "rows_90_double", "--shape=rms_norm:S=2,C=8", "names no variant");
    refuse("plugin/linear_rows", "rows_90_double", "--shape=linear:S=2", "K");
    refuse("plugin/linear_rows", "rows_90_double", "--level=ops", "op, pipeline, all");
    refuse("plugin/linear_rows", "rows_90_double", "--threads=0", "--threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_plugin_passes),
        cmocka_unit_test(off_by_one_tail),
        cmocka_unit_test(unwritten_row),
        cmocka_unit_test(write_past_end),
        cmocka_unit_test(read_past_end),
        cmocka_unit_test(stale_output),
        cmocka_unit_test(cached_by_address),
        cmocka_unit_test(wrong_scale),
        cmocka_unit_test(nan_swallowed),
        cmocka_unit_test(input_edited),
        cmocka_unit_test(crash),
        cmocka_unit_test(hang),
        cmocka_unit_test(replay_fails_again),
        cmocka_unit_test(json_is_one_document),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
