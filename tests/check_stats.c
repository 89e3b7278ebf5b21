// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_stats.c   Intervals, fits and tests against values worked out elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/stats.h"
#include "random.h"

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))
#define LARGEST 2000

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("got %.17g, wanted %.17g within %g", got, want, within);
}

/* 1, 2, ..., n in an order that is not sorted: the value at a rank is the rank. */
static void ranks(double *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)(i % 2 ? n - i / 2 : i / 2 + 1);
}

static void interval_has_the_published_ranks(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        double lo, hi, level;
    } rows[] = {{1, 1, 1, 0},
                {2, 1, 2, 0.5},
                {5, 1, 5, 0.9375},
                {6, 1, 6, 0.96875},
                {10, 2, 9, 0.978516},
                {30, 10, 21, 0.957226},
                {2000, 956, 1045, 0.953447}};
    static double sample[LARGEST];
    for (int64_t i = 0; i < COUNT(rows); i++) {
        ranks(sample, rows[i].n);
        struct summary s = stats_summary(sample, rows[i].n);
        assert_int_equal(s.n, rows[i].n);
        near(s.lo, rows[i].lo, 0);
        near(s.hi, rows[i].hi, 0);
        near(s.level, rows[i].level, 1e-6);
        if (rows[i].n >= 6)
            assert_true(s.level >= 0.95);
    }
}

/* The promise itself: the interval encloses the true median as often as it says. */
static void interval_covers_the_median(void **state)
{
    (void)state;
    struct random_stream stream = random_stream_of(7, "coverage");
    int hits = 0, rounds = 4000;
    for (int r = 0; r < rounds; r++) {
        double sample[10];
        for (int i = 0; i < 10; i++)
            sample[i] = exp(random_normal(stream, (uint64_t)(10 * r + i)));
        struct summary s = stats_summary(sample, 10);
        hits += s.lo <= 1 && 1 <= s.hi;
    }
    near((double)hits / rounds, 0.978516, 0.01);
}

static void summary_of_known_samples(void **state)
{
    (void)state;
    const double sample[] = {4, 1, 3, 2};
    struct summary s = stats_summary(sample, 4);
    near(s.min, 1, 0);
    near(s.q1, 1.75, 1e-15);
    near(s.median, 2.5, 1e-15);
    near(s.q3, 3.25, 1e-15);
    near(s.max, 4, 0);
    near(s.mean, 2.5, 1e-15);
    near(s.cv, sqrt(5.0 / 3) / 2.5, 1e-15);
    near(s.p95, 3.85, 1e-12);
    near(stats_median(sample, 3), 3, 0);
    near(sample[0], 4, 0);
}

/* A large offset must not swallow the spread. */
static void spread_survives_an_offset(void **state)
{
    (void)state;
    const double sample[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
    struct summary s = stats_summary(sample, 4);
    near(s.cv * s.mean, sqrt(30.0), 1e-6);
}

static void mann_whitney_known_values(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, 4, 5}, b[] = {6, 7, 8, 9, 10};
    near(stats_mann_whitney(a, 5, b, 5), 0.0121857803553344, 1e-12);
    const double males[] = {19, 22, 16, 29, 24}, females[] = {20, 11, 17, 12};
    near(stats_mann_whitney(males, 5, females, 4), 0.11134688653314041, 1e-12);
    near(stats_mann_whitney(females, 4, males, 5), 0.11134688653314041, 1e-12);
    /* ranks 1, 3, 3, 6 of {1, 2, 2, 3}: U = 3, tied groups of three and three */
    const double c[] = {1, 2, 2, 3}, d[] = {2, 3, 3, 4};
    double variance = 16.0 / 12 * (9 - 48.0 / 56);
    near(stats_mann_whitney(c, 4, d, 4), erfc((8 - 3 - 0.5) / sqrt(variance) / sqrt(2)), 1e-12);
    const double same[] = {5, 5, 5};
    near(stats_mann_whitney(same, 3, same, 3), 1, 0);
}

/* By scipy.stats.t. */
static void student_known_values(void **state)
{
    (void)state;
    near(stats_student_p(1, 1), 0.5, 1e-12);
    near(stats_student_p(-2.5, 2), 0.12961172022151082, 1e-12);
    near(stats_student_p(3, 3), 0.0576688856224373, 1e-12);
    near(stats_student_p(4.3, 4), 0.012645618935102639, 1e-12);
    near(stats_student_p(2, 7), 0.08561932856297605, 1e-12);
    near(stats_student_p(6, 10), 0.00013210886035478557, 1e-12);
    near(stats_student_p(0, 5), 1, 0);
    assert_true(stats_student_p(1e9, 9) >= 0);
    near(stats_student_t(0.05, 1), 12.706204736174705, 1e-9);
    near(stats_student_t(0.05, 2), 4.302652729749464, 1e-9);
    near(stats_student_t(0.05, 6), 2.4469118511449794, 1e-9);
    near(stats_student_t(0.01, 5), 4.032142983555229, 1e-9);
    near(stats_student_t(1, 5), 0, 1e-9);
}

static void slope_of_a_power_law(void **state)
{
    (void)state;
    double x[] = {1, 2, 4, 8, 100}, y[5], flat[] = {3, 3, 3};
    for (int i = 0; i < 5; i++)
        y[i] = 0.3 * pow(x[i], 1.75);
    near(stats_loglog_slope(x, y, 5), 1.75, 1e-12);
    assert_true(isnan(stats_loglog_slope(flat, y, 3)));
    assert_true(isnan(stats_loglog_slope(x, y, 1)));
}

static void ratio_interval_encloses_the_truth(void **state)
{
    (void)state;
    struct random_stream stream = random_stream_of(3, "ratio");
    double slow[40], fast[30], ratio, lo, hi, again_lo, again_hi;
    for (int i = 0; i < 40; i++)
        slow[i] = 2 + 0.02 * random_normal(stream, (uint64_t)i);
    for (int i = 0; i < 30; i++)
        fast[i] = 1 + 0.01 * random_normal(stream, (uint64_t)(100 + i));
    stats_ratio(slow, 40, fast, 30, 1, &ratio, &lo, &hi);
    near(ratio, stats_median(slow, 40) / stats_median(fast, 30), 0);
    assert_true(lo < ratio && ratio < hi);
    assert_true(lo < 2 && 2 < hi);
    assert_true(hi - lo < 0.05 && hi - lo > 0.002);
    stats_ratio(slow, 40, fast, 30, 1, &ratio, &again_lo, &again_hi);
    near(again_lo, lo, 0);
    near(again_hi, hi, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_has_the_published_ranks),
        cmocka_unit_test(interval_covers_the_median),
        cmocka_unit_test(summary_of_known_samples),
        cmocka_unit_test(spread_survives_an_offset),
        cmocka_unit_test(mann_whitney_known_values),
        cmocka_unit_test(student_known_values),
        cmocka_unit_test(slope_of_a_power_law),
        cmocka_unit_test(ratio_interval_encloses_the_truth),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
