// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_power_file.c   Files of power meters: how they may be written, what is refused and how, and
 * the joules between two moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "energy/power_file.h"
#include "support/files.h"
#include "support/spawn.h"

#define NOON 1769947200.0 /* 2026-02-01T12:00:00Z */

static enum status read_text(const char *text, struct power_file *f, struct fault *fault)
{
    *fault = (struct fault){{0}};
    file_write(at("%s/meter.csv", folder), text, false);
    return power_file_read(at("%s/meter.csv", folder), f, fault);
}

static struct power_file good(const char *text)
{
    struct power_file f;
    struct fault fault;
    if (read_text(text, &f, &fault) != ST_OK)
        fail_msg("%s\n%s", text, fault.text);
    return f;
}

static void ways_to_write_a_time(void **state)
{
    (void)state;
    static const char *const noon[] = {
        "2026-02-01T12:00:00Z,100\n",
        "2026-02-01 12:00:00.000Z,100\n",
        "2026-02-01T13:30:00+01:30,100\n",
        "2026-02-01T05:00:00-0700,100\n",
        "1769947200,100\n",
        "1769947200.000,100.0\n",
        "  1769947200 ,  1e2 \r\n",
        "time,watts\n1769947200,100\n",
        "timestamp,power_w\r\n1769947200,100\r\n",
        "# a meter\n\n1769947200,100\n",
    };
    for (size_t i = 0; i < sizeof noon / sizeof *noon; i++) {
        struct power_file f = good(noon[i]);
        assert_int_equal(f.count, 1);
        assert_float_equal(f.sample[0].utc_s, NOON, 1e-6);
        assert_float_equal(f.sample[0].watts, 100, 1e-9);
        power_file_free(&f);
    }
    struct power_file f = good("2026-02-01T12:00:00.250Z,1\n");
    assert_float_equal(f.sample[0].utc_s, NOON + 0.25, 1e-6);
    power_file_free(&f);
}

static void remarks_name_the_meter(void **state)
{
    (void)state;
    struct power_file f =
        good("# Source: not this one\n#source:  A meter \n# scope: chassis\n# note: 5\n1,2\n");
    assert_string_equal(f.source, "A meter");
    assert_string_equal(f.scope, "chassis");
    power_file_free(&f);
    f = good("");
    assert_int_equal(f.count, 0);
    assert_string_equal(f.scope, "");
    power_file_free(&f);
}

static void what_is_being_written_is_passed_over(void **state)
{
    (void)state;
    struct power_file f = good("1,100\n2,100\n3,10");
    assert_int_equal(f.count, 2);
    power_file_free(&f);
}

static void malformed_files_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"1,100\n2\n", "line 2: a line is TIME,WATTS"},
        {"1,100,5\n", "line 1: a line is TIME,WATTS"},
        {"time,watts\ntime,watts\n", "line 2: the time is neither like"},
        {"1,100\ntime,watts\n", "line 2: the time is neither like"},
        {"# a\n\n1,100\n2,lots\n", "line 4: the second field is no number of watts"},
        {"1,nan\n", "line 1: the second field is no number of watts"},
        {"1,-5\n", "line 1: so many watts cannot be"},
        {"1,1e12\n", "line 1: so many watts cannot be"},
        {"2026-02-01T12:00:00,100\n", "line 1: the time names no zone; UTC ends in Z"},
        {"2026-13-01T12:00:00Z,100\n", "line 1: there is no such time"},
        {"2026-02-01T12:00:75Z,100\n", "line 1: there is no such time"},
        {"2026-02-01T12:00:00CET,100\n", "line 1: the time's zone"},
        {"1769947200000,100\n", "line 1: the time is in milliseconds"},
        {"-1,100\n", "line 1: the time is no number of seconds"},
        {"5,100\n4,100\n", "line 2: the time is before the one above"},
        {"1,100\n2,100\n1.5,100\n", "line 3: the time is before the one above"},
        {"# scope: everything\n", "line 1: the scope of a power meter is system, chassis"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct power_file f;
        struct fault fault;
        assert_int_equal(read_text(rows[i].text, &f, &fault), ST_BAD_INPUT);
        if (!strstr(fault.text, rows[i].says) || !strstr(fault.text, "meter.csv"))
            fail_msg("'%s' gave '%s'", rows[i].text, fault.text);
        assert_null(f.sample);
    }
    struct power_file f;
    struct fault fault = {{0}};
    file_put(at("%s/binary", folder), "1,2\n\0\0\0\n", 8);
    assert_int_equal(power_file_read(at("%s/binary", folder), &f, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "line 2: this is no line of text"));
    fault = (struct fault){{0}};
    assert_int_equal(power_file_read(at("%s/nowhere", folder), &f, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "cannot be read: No such file"));
}

/* ---- windows --------------------------------------------------------------------------------- */

static struct power_figure between(const char *text, double begin, double end)
{
    struct power_figure figure;
    struct power_file f = good(text);
    power_file_between(&f, begin, end, &figure);
    power_file_free(&f);
    return figure;
}

static void joules_by_straight_lines(void **state)
{
    (void)state;
    const char *steps = "10,100\n11,100\n12,300\n13,300\n";
    struct power_figure p = between(steps, 10, 13);
    assert_string_equal(p.why, "");
    assert_float_equal(p.joules, 100 + 200 + 300, 1e-9);
    assert_float_equal(p.peak_w, 300, 1e-9);
    assert_float_equal(p.step_s, 1, 1e-9);
    assert_int_equal(p.samples, 4);
    p = between(steps, 11.5, 12.5);
    assert_float_equal(p.joules, 0.5 * 250 + 0.5 * 300, 1e-9);
    assert_int_equal(p.samples, 1);
    p = between(steps, 11.25, 11.75);
    assert_float_equal(p.joules, 0.5 * 200, 1e-9);
    assert_float_equal(p.peak_w, 250, 1e-9);
    assert_int_equal(p.samples, 0);
    p = between("10,100\n10,200\n11,200\n", 10, 11);
    assert_true(p.joules > 199 && p.joules <= 200);
}

static void windows_that_miss_the_file(void **state)
{
    (void)state;
    const char *steps = "10,100\n11,100\n12,300\n13,300\n";
    static const struct {
        double begin, end;
        const char *why;
    } rows[] = {
        {20, 30, "ends 7.0 s before the window begins; are both clocks in UTC?"},
        {1, 5, "begins 5.0 s after the window ends; are both clocks in UTC?"},
        {9, 12, "begins 1.0 s after the window does"},
        {12, 15, "ends 2.0 s before the window does"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct power_figure p = between(steps, rows[i].begin, rows[i].end);
        if (!strstr(p.why, rows[i].why))
            fail_msg("%g to %g gave '%s'", rows[i].begin, rows[i].end, p.why);
        assert_true(p.joules == 0);
    }
    assert_non_null(strstr(between("# empty\n", 1, 2).why, "holds no sample"));
}

/* Five distances are a hole, four are not; outside of the window it does no harm. */
static void holes(void **state)
{
    (void)state;
    assert_string_equal(between("1,5\n2,5\n3,5\n7,5\n8,5\n9,5\n", 1, 9).why, "");
    struct power_figure p = between("1,5\n2,5\n3,5\n9,5\n10,5\n11,5\n", 1, 11);
    assert_non_null(strstr(p.why, "a hole of 6.0 s, 2.0 s into the window"));
    assert_string_equal(between("1,5\n2,5\n3,5\n9,5\n10,5\n11,5\n", 9.5, 11).why, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_to_write_a_time),
        cmocka_unit_test(remarks_name_the_meter),
        cmocka_unit_test(what_is_being_written_is_passed_over),
        cmocka_unit_test(malformed_files_name_the_line),
        cmocka_unit_test(joules_by_straight_lines),
        cmocka_unit_test(windows_that_miss_the_file),
        cmocka_unit_test(holes),
    };
    return cmocka_run_group_tests_name("power_file", tests, folder_make, folder_drop);
}
