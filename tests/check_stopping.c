// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_stopping.c   When measuring ends, on noise whose nature is known. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "random.h"
#include "timing/stopping.h"

#define VALUES 400

static const struct stop_rule kernels = {
    .narrow = STOP_NARROW_KERNEL, .least = STOP_LEAST_KERNEL, .most = VALUES, .budget_s = INFINITY};

/* What ends it, and after how many values; a second passes with each of them. */
static enum stop ends(const struct stop_rule *rule, const double *value, int64_t *n)
{
    struct stopping s = {0};
    enum stop stop = STOP_NOT;
    for (*n = 0; !stop;) {
        ++*n;
        struct summary summary = stats_summary(value, *n);
        stop_look(&s, &summary);
        stop = stop_decide(rule, &s, &summary, (double)*n, 1);
    }
    return stop;
}

/* Independent and nearly normal: the sum of twelve uniforms. */
static void draw(double *out, double deviation, uint64_t seed)
{
    struct random_stream stream = random_stream_of(seed, "noise");
    for (int i = 0; i < VALUES; i++) {
        out[i] = 1;
        for (uint64_t k = 0; k < 12; k++)
            out[i] += deviation * random_uniform(stream, (uint64_t)i * 12 + k) / 2;
    }
}

static void quiet_ends_at_the_interval(void **state)
{
    (void)state;
    double value[VALUES];
    int64_t n;
    draw(value, 0.003, 1);
    assert_int_equal(ends(&kernels, value, &n), STOP_INTERVAL);
    assert_int_equal(n, STOP_LEAST_KERNEL);
    draw(value, 0.03, 1);
    assert_int_equal(ends(&kernels, value, &n), STOP_INTERVAL);
    assert_true(n > STOP_LEAST_KERNEL && n < VALUES);
}

/* Noise that more values average away is no plateau, however strong: all that ends it is the count. */
static void independent_noise_is_no_plateau(void **state)
{
    (void)state;
    double value[VALUES];
    int64_t n;
    int plateaus = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        draw(value, 0.3, seed);
        enum stop stop = ends(&kernels, value, &n);
        assert_true(stop == STOP_COUNT || stop == STOP_PLATEAU);
        plateaus += stop == STOP_PLATEAU;
    }
    assert_in_range(plateaus, 0, 3);
}

/* Two levels that take turns: the median stays between them, as far from sure as before. */
static void two_levels_are_a_plateau(void **state)
{
    (void)state;
    double value[VALUES];
    int64_t n;
    draw(value, 0.003, 3);
    for (int i = 0; i < VALUES; i++)
        value[i] += i % 2 ? 0.1 : 0;
    assert_int_equal(ends(&kernels, value, &n), STOP_PLATEAU);
    assert_in_range(n, 40, 100);
}

static void budget_and_count(void **state)
{
    (void)state;
    double value[VALUES];
    int64_t n;
    struct stop_rule rule = kernels;
    draw(value, 0.3, 4);
    rule.budget_s = 30;
    assert_int_equal(ends(&rule, value, &n), STOP_BUDGET);
    assert_int_equal(n, 30); /* the next one would not fit */
    rule.fewest = 35;
    assert_int_equal(ends(&rule, value, &n), STOP_BUDGET);
    assert_int_equal(n, 35);
    rule.exact = 3;
    assert_int_equal(ends(&rule, value, &n), STOP_COUNT);
    assert_int_equal(n, 3);
    rule = (struct stop_rule){.narrow = 0.02, .most = VALUES, .budget_s = 4, .overrun = 0.5};
    assert_int_equal(ends(&rule, value, &n), STOP_BUDGET);
    assert_int_equal(n, 6); /* half more than the budget, for an interval */
}

/* Whatever ended it: only a narrow interval is stable. */
static void wide_is_unstable(void **state)
{
    (void)state;
    char reason[256];
    struct summary s = {.n = 10, .median = 1, .lo = 0.992, .hi = 1.01};
    assert_false(stop_unstable(&kernels, STOP_INTERVAL, &s, "blocks", reason, sizeof reason));
    assert_string_equal(reason, "");
    s.hi = 1.014;
    assert_true(stop_unstable(&kernels, STOP_BUDGET, &s, "blocks", reason, sizeof reason));
    assert_non_null(strstr(reason, "+-1.1 % of the median after 10 blocks"));
    assert_true(stop_unstable(&kernels, STOP_COUNT, &s, "blocks", reason, sizeof reason));
    assert_true(stop_unstable(&kernels, STOP_PLATEAU, &s, "blocks", reason, sizeof reason));
    assert_non_null(strstr(reason, "not quiet"));
    s = (struct summary){.n = 5, .median = 1, .lo = 1, .hi = 1};
    assert_true(stop_unstable(&kernels, STOP_COUNT, &s, "blocks", reason, sizeof reason));
    assert_non_null(strstr(reason, "5 of the least 6 blocks"));
    assert_string_equal(stop_name(STOP_PLATEAU), "plateau");
    assert_null(stop_name(STOP_NOT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_ends_at_the_interval),
        cmocka_unit_test(independent_noise_is_no_plateau),
        cmocka_unit_test(two_levels_are_a_plateau),
        cmocka_unit_test(budget_and_count),
        cmocka_unit_test(wide_is_unstable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
