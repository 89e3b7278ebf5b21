// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_measure.c   Both timing back ends agree; ceilings and counters are plausible or say why. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/stats.h"
#include "machine/host.h"
#include "support/sanitizer.h"
#include "timing/gbench.h"
#include "timing/measure.h"

#define ROUNDS 8
#define PER_BLOCK 5

struct busy {
    uint64_t value;
    int64_t calls;
    int64_t fails_at; /* the call that fails, 1-based; 0: none */
};

static volatile uint64_t sink; /* keeps the work from being optimised away */

/* A chain of dependent multiplications: the same time every time, on any back end. */
static enum status busy_loop(void *user, int64_t iterations)
{
    struct busy *b = user;
    b->calls++;
    for (int64_t i = 0; i < 20000 * iterations; i++)
        b->value = b->value * UINT64_C(6364136223846793005) + 1;
    sink = b->value;
    return b->calls == b->fails_at ? ST_WRONG : ST_OK;
}

static void block(enum backend backend, struct busy *b, int64_t iterations, double *samples)
{
    struct fault fault = {{0}};
    if (measure_block(backend, "busy loop", busy_loop, b, iterations, PER_BLOCK, samples, &fault) !=
        ST_OK)
        fail_msg("%s", fault.text);
}

static double fastest(const double *samples, int64_t n) { return stats_summary(samples, n).min; }

/* Alternating blocks, and the fastest samples: a neighbour on the machine can only add time. */
static void back_ends_agree(void **state)
{
    (void)state;
    double samples[2][ROUNDS * PER_BLOCK];
    struct busy b = {1, 0, 0};
    if (!backend_built(BACKEND_GBENCH))
        skip();
    for (int r = 0; r < ROUNDS; r++)
        for (int backend = 0; backend < 2; backend++)
            block((enum backend)backend, &b, 40, samples[backend] + r * PER_BLOCK);
    double loop = fastest(samples[BACKEND_LOOP], ROUNDS * PER_BLOCK);
    double gbench = fastest(samples[BACKEND_GBENCH], ROUNDS * PER_BLOCK);
    assert_true(loop > 0);
    if (fabs(gbench / loop - 1) > 0.05)
        fail_msg("loop %.3g s, gbench %.3g s", loop, gbench);
}

/* A run of the work costs the same however many are timed together. */
static void time_is_per_run(void **state)
{
    (void)state;
    for (int backend = 0; backend < 2; backend++) {
        double few[PER_BLOCK], many[PER_BLOCK];
        struct busy b = {1, 0, 0};
        if (!backend_built((enum backend)backend))
            continue;
        block((enum backend)backend, &b, 20, few);
        assert_int_equal(b.calls, PER_BLOCK);
        block((enum backend)backend, &b, 100, many);
        assert_int_equal(b.calls, 2 * PER_BLOCK);
        double ratio = fastest(many, PER_BLOCK) / fastest(few, PER_BLOCK);
        assert_true(ratio > 0.7 && ratio < 1.4);
    }
}

static void failing_work_ends_the_block(void **state)
{
    (void)state;
    for (int backend = 0; backend < 2; backend++) {
        double samples[PER_BLOCK];
        struct busy b = {1, 0, 2};
        struct fault fault = {{0}};
        if (!backend_built((enum backend)backend))
            continue;
        assert_int_equal(measure_block((enum backend)backend, "broken", busy_loop, &b, 1, PER_BLOCK,
                                       samples, &fault),
                         ST_WRONG);
        assert_int_equal(b.calls, 2);
        assert_non_null(strstr(fault.text, "broken"));
    }
}

static void missing_back_end_is_refused(void **state)
{
    (void)state;
    double samples[PER_BLOCK];
    struct busy b = {1, 0, 0};
    struct fault fault = {{0}};
    assert_string_equal(backend_name(BACKEND_LOOP), "loop");
    assert_string_equal(backend_name(BACKEND_GBENCH), "gbench");
    assert_string_equal(backend_name(BACKEND_EVENTS), "events");
    assert_int_equal(measure_block(BACKEND_EVENTS, "x", busy_loop, &b, 1, 1, samples, &fault),
                     ST_NOT_BUILT); /* a device's alone: measure_events */
    if (backend_built(BACKEND_GBENCH))
        skip();
    assert_int_equal(measure_block(BACKEND_GBENCH, "x", busy_loop, &b, 1, 1, samples, &fault),
                     ST_NOT_BUILT);
    assert_true(fault.text[0] != 0);
    assert_int_equal(backend_default(), BACKEND_LOOP);
}

static void library_is_named(void **state)
{
    (void)state;
#ifdef HAVE_BENCHMARK
    assert_non_null(strstr(gbench_library(), "Google Benchmark, library build type "));
#else
    skip();
#endif
}

static void wider_vectors_are_not_slower(void **state)
{
    (void)state;
    const char *isa = NULL;
    double plain = measure_fma_peak_of(0, 1), best = measure_fma_peak(1, &isa);
    assert_true(plain > 1e8 && plain < 1e13);
    assert_non_null(isa);
    assert_true(best >= 0.9 * plain);
    double avx2 = measure_fma_peak_of(CPU_AVX2, 1);
    if (host_cpu_features() & CPU_AVX2)
        assert_true(avx2 >= plain);
    else
        assert_true(avx2 == 0);
    assert_true(measure_fma_peak_of(UINT64_C(1) << 63, 1) == 0);
}

/* A class may use f32 whatever else it has, so that no class's roof lies below that of f32, and a
 * unit's absence is said and not measured. The slack is for neighbours. */
static void roofs_of_classes_stand_on_that_of_f32(void **state)
{
    (void)state;
    const char *isa = NULL;
    double f32 = measure_peak_of_class(NUM_F32, 1, &isa);
    for (int n = 0; n < NUM_COUNT; n++) {
        isa = NULL;
        assert_true(measure_peak_of_class((enum numerics)n, 1, &isa) >= 0.25 * f32);
        assert_non_null(isa);
    }
    if (!UNDER_TSAN && (host_cpu_features() & CPU_AMX_BF16))
        assert_true(measure_peak_of_class(NUM_BF16, 1, &isa) > 2 * f32);
}

static void units_run_or_say_why_not(void **state)
{
    (void)state;
    int here = 0;
    for (int i = 0; i < peak_units(); i++) {
        struct peak_unit unit = peak_unit_at(i);
        bool has = (host_cpu_features() & unit.needs) == unit.needs;
        assert_true(has || unit.why);
        if (unit.why)
            continue;
        double rate = peak_sample(i, 1, 0.002);
        if (!(rate > 1e8 && rate < 1e14))
            fail_msg("%s: %g operations per second", unit.isa, rate);
        here++;
    }
    assert_true(here >= 2); /* plain C, in f32 and f64 */
}

static void copying_takes_time(void **state)
{
    (void)state;
    double rate = measure_copy_bandwidth(1);
    assert_true(rate > 1e8 && rate < 1e13);
}

static void counters_count_or_say_why(void **state)
{
    (void)state;
    struct counters *c = NULL;
    struct fault fault = {{0}};
    struct busy b = {1, 0, 0};
    assert_int_equal(
        counters_open("perf::TASK-CLOCK,PAPI_TOT_CYC,no::such", COUNTERS_IN_PASSES, &c, &fault),
        ST_OK);
    assert_int_equal(counters_count(c), 3);
    counters_start(c, 0);
    busy_loop(&b, 500);
    counters_stop(c);
    for (int i = 0; i < 3; i++) {
        const struct counter *counter = counters_at(c, i);
        assert_true(counter->available ? counter->value > 0 : counter->why[0] != 0);
    }
    assert_string_equal(counters_at(c, 1)->name, "PAPI_TOT_CYC");
    assert_false(counters_at(c, 2)->available);
#ifdef HAVE_PAPI
    const struct counter *task = counters_at(c, 0);
    if (!task->available)
        print_message("software events cannot be had: %s\n", task->why);
    else
        assert_true(task->value > 1000000);
#else
    assert_non_null(strstr(counters_at(c, 0)->why, "PAPI"));
#endif
    counters_free(c);
}

static void counters_run_again(void **state)
{
    (void)state;
    struct counters *c = NULL;
    struct fault fault = {{0}};
    struct busy b = {1, 0, 0};
    int64_t first = 0;
    assert_int_equal(counters_open("perf::TASK-CLOCK", COUNTERS_IN_PASSES, &c, &fault), ST_OK);
    for (int round = 0; round < 2 && counters_at(c, 0)->available; round++) {
        counters_start(c, 0);
        busy_loop(&b, round ? 1000 : 100);
        counters_stop(c);
        if (round == 0)
            first = counters_at(c, 0)->value;
        else
            assert_true(counters_at(c, 0)->value > 4 * first);
    }
    counters_free(c);
}

static void bad_counter_lists_are_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "", "a,,b",
        "A0,A1,A2,A3,A4,A5,A6,A7,A8,A9,AA,AB,AC,AD,AE,AF,AG,AH,AI,AJ,AK,AL,"
        "AM,AN,AO,AP,AQ,AR,AS,AT,AU,AV,AW,AX,AY,AZ,B0,B1,B2,B3,B4,B5,B6,B7,"
        "B8,B9,BA,BB,BC"};
    for (int i = 0; i < 3; i++) {
        struct counters *c = NULL;
        struct fault fault = {{0}};
        assert_int_equal(counters_open(wrong[i], COUNTERS_IN_PASSES, &c, &fault), ST_BAD_INPUT);
        assert_true(fault.text[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_ends_agree),
        cmocka_unit_test(time_is_per_run),
        cmocka_unit_test(failing_work_ends_the_block),
        cmocka_unit_test(missing_back_end_is_refused),
        cmocka_unit_test(library_is_named),
        cmocka_unit_test(wider_vectors_are_not_slower),
        cmocka_unit_test(roofs_of_classes_stand_on_that_of_f32),
        cmocka_unit_test(units_run_or_say_why_not),
        cmocka_unit_test(copying_takes_time),
        cmocka_unit_test(counters_count_or_say_why),
        cmocka_unit_test(counters_run_again),
        cmocka_unit_test(bad_counter_lists_are_refused),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
