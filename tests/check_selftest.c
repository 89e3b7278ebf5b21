// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_selftest.c   The long self-test with journals made here, so that nothing is measured: bounds
 * met and missed, going on, journals of others and torn ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/out_file.h"
#include "machine/host.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define PROGRAM BUILD_DIR "/patchmark"
#define SUITES 3
#define PAIRS 5

static const char *place(const char *name)
{
    return at("%s/results/%s/%s", folder, host_machine_slug(), name);
}

/* Verdicts of whole suites: those of arms against themselves, then of both slowdowns. */
static void journal_put(const char *head, const char *same, const char *slow2, const char *slow5,
                        int lines)
{
    static const char form[] = "%d %d %d rms_norm/c_01_plain 1 1.001 0.99 1.01 0.5 1 0.01 12 %s\n";
    static const int suites[] = {SUITES, SUITES / 3, SUITES / 3};
    const char *const verdicts[] = {same, slow2, slow5};
    char text[8192];
    int used = snprintf(text, sizeof text, "%s", head);
    for (int phase = 0; phase < 3; phase++)
        for (int suite = 0; suite < suites[phase]; suite++)
            for (int i = 0; i < PAIRS && lines-- > 0; i++)
                used += snprintf(text + used, sizeof text - (size_t)used, form, phase, suite, i,
                                 verdicts[phase]);
    file_write(place("selftest.journal"), text, false);
}

static const char *own_head(void)
{
    return at("selftest 2 %.40s budget 12 seed 1 suites %d\n", build_commit(), SUITES);
}

static struct spawned selftest(void)
{
    return spawn_program((char *const[]){PROGRAM, "selftest", "--suites=3", "--results",
                                         (char *)at("%s/results", folder), NULL},
                         NULL);
}

static void expect(const struct spawned *s, int code, const char *in_out, const char *in_err)
{
    bool said = (!in_out || strstr(s->out, in_out)) && (!in_err || strstr(s->err, in_err));
    if (s->code != code || !said)
        fail_msg("exit code %d where %d was due, or '%s' or '%s' is missing\n%s\n%s", s->code, code,
                 in_out ? in_out : "", in_err ? in_err : "", s->out, s->err);
}

static int prepare(void **state)
{
    struct fault fault = {""};
    folder_make(state);
    assert_int_equal(folder_create(at("%s/results/%s", folder, host_machine_slug()), &fault),
                     ST_OK);
    file_write(place("20260101T000000Z-a.jsonl"),
               "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"calibration\","
               "\"created_utc\":\"2026-01-01T00:00:00Z\",\"floor\":0.011,\"threads\":1,"
               "\"comparisons\":20,\"alarms\":1,\"pair_seconds\":3,\"seconds\":60}\n",
               false);
    return 0;
}

static void bounds_met_are_recorded(void **state)
{
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    journal_put(own_head(), "same", "slower", "slower", 25);
    struct spawned s = selftest();
    expect(&s, 0, "going on after 5 suites", NULL);
    expect(&s, 0, "15 comparisons: 0 faster, 0 slower, 15 same", NULL);
    expect(&s, 0, "at least 99 % must be found, met", NULL);
    assert_false(file_exists(place("selftest.journal")));
    const char *path = strstr(s.out, "record: ");
    assert_non_null(path);
    char *name = strndup(path + 8, strcspn(path + 8, "\n"));
    char *text = file_read(name, NULL), *second = text ? strchr(text, '\n') : NULL;
    assert_non_null(second);
    assert_non_null(strstr(second, "\"kind\":\"selftest\""));
    assert_non_null(strstr(second, "\"least_found\":0.99,\"met\":true"));
    assert_true(json_valid(second));
    free(text);
    free(name);
}

static void bounds_missed_fail(void **state)
{
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    journal_put(own_head(), "faster", "slower", "slower", 25);
    struct spawned s = selftest();
    expect(&s, 1, "at most 1 % may be told apart, MISSED", NULL);
    journal_put(own_head(), "same", "ambiguous", "slower", 25);
    s = selftest();
    expect(&s, 1, "at least 80 % must be found, MISSED", NULL);
    journal_put(own_head(), "same", "slower", "faster", 25);
    s = selftest();
    expect(&s, 1, "at least 99 % must be found, MISSED", NULL);
    journal_put(own_head(), "none", "slower", "slower", 25); /* not measured is not met */
    s = selftest();
    expect(&s, 1, "15 without times: at most 1 % may be told apart, MISSED", NULL);
}

static void journals_of_others_are_kept(void **state)
{
    (void)state;
    journal_put("selftest 1 other budget 12 seed 1 suites 3\n", "same", "slower", "slower", 25);
    struct spawned s = selftest();
    expect(&s, 2, NULL, "is the journal of a self-test of another build or other options");
    assert_true(file_exists(place("selftest.journal")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_met_are_recorded),
        cmocka_unit_test(bounds_missed_fail),
        cmocka_unit_test(journals_of_others_are_kept),
    };
    return cmocka_run_group_tests(tests, prepare, folder_drop);
}
