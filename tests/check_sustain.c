// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_sustain.c   Long runs: when a rate has settled, and what a run that is cut short keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "run/run_sustain.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

enum { MOST = 4000 };

/* Clips of first_s each until from_s, then of then_s, until end_s. */
static int64_t make_clips(double first_s, double from_s, double then_s, double end_s, double *end)
{
    int64_t clips = 0;
    for (double now = 0; now < end_s && clips < MOST;)
        end[clips++] = now += now < from_s ? first_s : then_s;
    return clips;
}

static void windows_count_shares_of_clips(void **state)
{
    const double end_s[] = {4, 8, 12, 22};
    double rate[SUSTAIN_WINDOWS_MAX];
    (void)state;
    assert_int_equal(sustain_windows(end_s, 4, 6, rate), 3);
    assert_float_equal(6 * rate[0], 1.5, 1e-12);
    assert_float_equal(6 * rate[1], 1.5, 1e-12);
    assert_float_equal(6 * rate[2], 0.6, 1e-12);
    assert_int_equal(sustain_windows(end_s, 0, 6, rate), 0);
    assert_int_equal(sustain_windows(end_s, 1, 6, rate), 0);
}

/* A machine that slows by a fifth after three minutes. */
static void a_rate_settles_after_it_falls(void **state)
{
    double end[MOST], rate[SUSTAIN_WINDOWS_MAX];
    const int64_t clips = make_clips(0.8, 180, 1.0, 601, end);
    const int windows = sustain_windows(end, clips, 60, rate);
    (void)state;
    assert_int_equal(windows, 10);
    assert_int_equal(sustain_settled(rate, windows), 3);
    assert_float_equal(rate[0], 1.25, 0.01);
    assert_float_equal(rate[9], 1.0, 0.01);
    assert_int_equal(sustain_settled(rate, 2), -1);
    assert_int_equal(sustain_settled(rate, 3), 0);
    assert_int_equal(sustain_settled(rate, 5), -1);
}

static void a_falling_rate_never_settles(void **state)
{
    double rate[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        rate[i] = 100 - 3 * i;
    assert_int_equal(sustain_settled(rate, 20), -1);
    for (int i = 0; i < 20; i++)
        rate[i] = 100 - 0.01 * i;
    assert_int_equal(sustain_settled(rate, 20), 0);
}

static struct spawned run_for(const char *seconds, const char *signal_after_s)
{
    const char *argv[] = {"timeout",
                          "--foreground",
                          "--preserve-status",
                          "-s",
                          "INT",
                          signal_after_s,
                          BUILD_DIR "/patchmark",
                          "run",
                          "--size=32x32",
                          "--frames=1",
                          "--steps=1",
                          "--threads=1",
                          "--format=json",
                          "--sustain",
                          seconds,
                          "--results",
                          folder,
                          NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    if (!json_valid(s.out))
        fail_msg("exit %d:\n%s%s", s.code, s.out, s.err);
    return s;
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || !strstr(s->out, says))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static void a_short_run_is_a_burst(void **state)
{
    (void)state;
    struct spawned s = run_for("1", "60");
    expect(&s, 0, "\"load\": \"burst\"");
    expect(&s, 0, "\"stop_reason\": \"duration\"");
    expect(&s, 0, "\"window_s\": 0.2");
    assert_null(strstr(s.out, "\"opening_clips_per_h\": null"));
}

static void an_interrupted_run_keeps_its_clips(void **state)
{
    (void)state;
    struct spawned s = run_for("900", "5");
    expect(&s, 130, "\"status\": \"unstable\"");
    expect(&s, 130, "interrupted after");
    expect(&s, 130, "\"stop_reason\": \"interrupted\"");
    expect(&s, 130, "\"records\": \"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_count_shares_of_clips),
        cmocka_unit_test(a_rate_settles_after_it_falls),
        cmocka_unit_test(a_falling_rate_never_settles),
        cmocka_unit_test(a_short_run_is_a_burst),
        cmocka_unit_test(an_interrupted_run_keeps_its_clips),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
