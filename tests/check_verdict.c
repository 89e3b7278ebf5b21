// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_verdict.c   Verdicts on samples made here, with fixed seeds: figures against values worked
 * out elsewhere, false alarms and misses as often as promised, drift that is no difference. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "compare/verdict.h"
#include "random.h"

#define UNITS 50
#define SUITE 5

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("got %.17g, wanted %.17g within %g", got, want, within);
}

/* ---- figures --------------------------------------------------------------------------------- */

static void figures_of_a_small_sample(void **state)
{
    (void)state;
    const double a[] = {10, 11, 12, 13, 14, 15}, b[] = {20, 22, 24, 26, 28, 30};
    struct judgement j;
    assert_true(verdict_judge(a, 6, b, 6, 1, &j));
    near(j.median_a, 12.5, 0);
    near(j.median_b, 25, 0);
    near(j.ratio, 0.5, 1e-12); /* of 36 quotients, symmetric about it */
    near(j.p, 0.00507, 1e-4);  /* U = 0, normal approximation with continuity */
    assert_true(j.lo < 0.5 && j.hi > 0.5 && j.hi < 1);
    verdict_decide(&j, 0.02);
    assert_int_equal(j.verdict, VERDICT_SLOWER);
    assert_true(verdict_judge(b, 6, a, 6, 1, &j));
    verdict_decide(&j, 0.02);
    assert_int_equal(j.verdict, VERDICT_FASTER);
    near(j.ratio, 2, 1e-12);
}

static void too_few_have_no_verdict(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, 4, 5, 6};
    struct judgement j;
    assert_true(verdict_judge(a, 5, a, 6, 1, &j));
    assert_true(isnan(j.ratio) && isnan(j.p));
    near(j.median_b, 3.5, 0);
    verdict_decide(&j, 0.02);
    assert_int_equal(j.verdict, VERDICT_NONE);
    assert_true(verdict_judge(a, 0, a, 0, 1, &j));
    assert_true(isnan(j.median_a));
}

static struct judgement of(double ratio, double lo, double hi, double p)
{
    return (struct judgement){.na = 50,
                              .nb = 50,
                              .median_a = 1,
                              .median_b = 1 / ratio,
                              .ratio = ratio,
                              .lo = lo,
                              .hi = hi,
                              .independent = 1,
                              .p = p,
                              .adjusted = p};
}

static void verdicts_need_all_three(void **state)
{
    (void)state;
    static const struct {
        double ratio, lo, hi, p, threshold;
        enum verdict want;
    } rows[] = {
        {1.05, 1.04, 1.06, 1e-6, 0.02, VERDICT_FASTER},
        {0.95, 0.94, 0.96, 1e-6, 0.02, VERDICT_SLOWER},
        {1.015, 1.01, 1.02, 1e-6, 0.02, VERDICT_SAME},      /* real, but small */
        {1.018, 1.01, 1.03, 1e-6, 0.02, VERDICT_AMBIGUOUS}, /* may be more than the threshold */
        {1.05, 1.04, 1.06, 0.06, 0.02, VERDICT_AMBIGUOUS},  /* not proved */
        {1.05, 0.999, 1.1, 0.04, 0.02, VERDICT_AMBIGUOUS},  /* interval has 1 */
        {1.0, 0.985, 1.015, 0.9, 0.02, VERDICT_SAME},
        {1.0, 0.975, 1.015, 0.9, 0.02, VERDICT_AMBIGUOUS},
        {1 / 1.021, 0.97, 0.99, 1e-6, 0.02, VERDICT_SLOWER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct judgement j = of(rows[i].ratio, rows[i].lo, rows[i].hi, rows[i].p);
        verdict_decide(&j, rows[i].threshold);
        if (j.verdict != rows[i].want)
            fail_msg("row %zu: %s", i, verdict_name(j.verdict));
    }
}

/* Holm's own procedure, by hand: sorted p times 5, 4, ..., never falling, at most 1. */
static void holm_raises_in_order(void **state)
{
    (void)state;
    const double p[] = {0.04, 0.001, 0.03, 0.02, 0.5}, want[] = {0.09, 0.005, 0.09, 0.08, 0.5};
    struct judgement all[6], *each[6];
    for (int i = 0; i < 5; i++)
        all[i] = of(1, 1, 1, p[i]);
    all[5] = of(1, 1, 1, NAN); /* has no times and counts for nothing */
    for (int i = 0; i < 6; i++)
        each[i] = &all[i];
    verdict_holm(each, 6);
    for (int i = 0; i < 5; i++)
        near(all[i].adjusted, want[i], 1e-12);
    assert_true(isnan(all[5].adjusted));
    for (int i = 0; i < 3; i++)
        all[i] = of(1, 1, 1, 0.4); /* ties, and no more than 1 */
    verdict_holm(each, 3);
    for (int i = 0; i < 3; i++)
        near(all[i].adjusted, 1, 0);
}

/* ---- how often ------------------------------------------------------------------------------- */

/* Noise as times have it: a little skewed, with an interruption now and then. */
static double noisy(struct random_stream s, uint64_t at, double sd)
{
    double n = random_normal(s, 2 * at);
    bool interrupted = random_bits(s, 2 * at + 1) % 20 == 0;
    return exp(sd * n + (interrupted ? 0.05 : 0));
}

/* Drift that both arms meet: a walk, a slope and a step. */
static void make_rounds(uint64_t seed, double sd, double drift, double slower, double *a, double *b)
{
    struct random_stream s = random_stream_of(seed, "rounds"), w = random_stream_of(seed, "walk");
    double level = 1;
    for (uint64_t i = 0; i < UNITS; i++) {
        level *= exp(drift * (random_normal(w, i) / 5 + 1.0 / UNITS));
        double here = level * (i > UNITS / 2 ? 1 + drift : 1);
        a[i] = here * noisy(s, 2 * i, sd);
        b[i] = here * noisy(s, 2 * i + 1, sd) * (1 + slower);
    }
}

/* Suites of five; returns the share of pairs that said something, *slower of them SLOWER. */
static double share_said(int suites, double sd, double drift, double planted, double *slower)
{
    int said = 0, found = 0;
    for (int suite = 0; suite < suites; suite++) {
        struct judgement all[SUITE], *each[SUITE];
        for (int i = 0; i < SUITE; i++) {
            double a[UNITS], b[UNITS];
            make_rounds((uint64_t)(suite * SUITE + i), sd, drift, planted, a, b);
            verdict_level(a, b, UNITS);
            assert_true(
                verdict_judge(a, UNITS, b, UNITS, verdict_independent(a, b, NULL, UNITS), &all[i]));
            each[i] = &all[i];
        }
        verdict_holm(each, SUITE);
        for (int i = 0; i < SUITE; i++) {
            verdict_decide(&all[i], 0.01);
            said += all[i].verdict == VERDICT_FASTER || all[i].verdict == VERDICT_SLOWER;
            found += all[i].verdict == VERDICT_SLOWER;
        }
    }
    *slower = (double)found / (suites * SUITE);
    return (double)said / (suites * SUITE);
}

static void equal_arms_raise_no_alarm(void **state)
{
    (void)state;
    double slower;
    assert_true(share_said(60, 0.01, 0, 0, &slower) <= 0.01);
    assert_true(share_said(60, 0.03, 0, 0, &slower) <= 0.02);
    assert_true(share_said(60, 0.01, 0.05, 0, &slower) <= 0.01); /* drift is nobody's fault */
}

static void slow_arms_are_found(void **state)
{
    (void)state;
    double slower;
    share_said(20, 0.01, 0, 0.02, &slower);
    assert_true(slower >= 0.80);
    share_said(20, 0.01, 0, 0.05, &slower);
    assert_true(slower >= 0.99);
    share_said(20, 0.01, 0.05, 0.05, &slower); /* under drift five times as large */
    assert_true(slower >= 0.99);
}

/* One arm's rounds come in runs of good and bad luck, as on a crowded machine: twelve stretches of
 * luck are no fifty rounds. */
static void luck_that_lasts_is_no_proof(void **state)
{
    (void)state;
    int counted = 0, said = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random_stream s = random_stream_of(seed, "luck");
        double a[UNITS], b[UNITS];
        struct judgement j;
        for (uint64_t i = 0; i < UNITS; i++) {
            a[i] = exp(0.03 * random_normal(s, i / 4) + 0.01 * random_normal(s, 100 + i));
            b[i] = exp(0.03 * random_normal(s, 200 + i / 4) + 0.01 * random_normal(s, 300 + i));
        }
        double share = verdict_independent(a, b, NULL, UNITS);
        assert_true(share > 0 && share < 1);
        assert_true(verdict_judge(a, UNITS, b, UNITS, 1, &j));
        counted += j.p < VERDICT_ALPHA;
        assert_true(verdict_judge(a, UNITS, b, UNITS, share, &j));
        said += j.p < VERDICT_ALPHA;
    }
    assert_true(counted > 40); /* rounds taken as independent: the error this is about */
    assert_true(said < 20);
}

/* What sets processes apart is no bond between their rounds: a large difference stays proved. */
static void processes_are_told_from_bonds(void **state)
{
    (void)state;
    struct random_stream s = random_stream_of(1, "bonds");
    double a[UNITS], b[UNITS];
    int process[UNITS];
    struct judgement j;
    for (uint64_t i = 0; i < UNITS; i++) {
        process[i] = (int)(i / 25);
        a[i] = (process[i] ? 1.0 : 1.1) * exp(0.003 * random_normal(s, i));
        b[i] = 4 * exp(0.003 * random_normal(s, 100 + i));
    }
    assert_true(verdict_independent(a, b, NULL, UNITS) < 0.1);
    double share = verdict_independent(a, b, process, UNITS);
    assert_true(share > 0.5);
    assert_true(verdict_judge(a, UNITS, b, UNITS, share, &j));
    assert_true(verdict_processes(a, b, process, UNITS, 0.01, &j));
    verdict_decide(&j, 0.02);
    assert_int_equal(j.verdict, VERDICT_SLOWER);
}

/* Three pairs of processes with ratios 1.04, 1.05 and 1.06, by scipy: variance (2 x 0.01^2 + squares)
 * over 4. One pair alone has the expected luck for its deviation. */
static void figures_among_processes(void **state)
{
    (void)state;
    double a[9], b[9];
    int process[9];
    struct judgement j;
    for (int i = 0; i < 9; i++) {
        process[i] = i / 3;
        b[i] = 1 + 0.001 * (i % 3);
        a[i] = (1.04 + 0.01 * process[i]) * b[i];
    }
    assert_true(verdict_judge(a, 9, b, 9, 1, &j));
    double p = j.p;
    near(j.p_units, p, 0);
    assert_true(verdict_processes(a, b, process, 9, 0.01, &j));
    assert_int_equal(j.processes, 3);
    near(j.p_processes, 0.0009830850141775355, 1e-9);
    near(j.p, fmax(p, j.p_processes), 0);
    near(j.adjusted, j.p, 0);
    assert_true(j.lo <= 1.033661001151708 && j.hi >= 1.066532771476471);
    assert_true(verdict_processes(a, b, (int[9]){0}, 9, 0.01, &j));
    assert_int_equal(j.processes, 1);
    near(j.p_processes, 0.0395339447553893, 1e-3); /* 5 %, five times the luck of one process */
    assert_true(verdict_judge(a, 5, b, 5, 1, &j)); /* too few for a verdict stay so */
    assert_true(verdict_processes(a, b, process, 5, 0.01, &j));
    assert_true(isnan(j.p) && isnan(j.lo));
}

/* Each process has its own speed for life. Its blocks agree, and U believes them. */
static void luck_of_processes_is_no_proof(void **state)
{
    (void)state;
    enum { PROCESSES = 5, EACH = 6, ROUNDS = PROCESSES * EACH, TRIES = 400 };
    const double luck_of_pair = 0.01 * sqrt(2);
    int by_blocks = 0, said = 0, found = 0;
    for (uint64_t seed = 0; seed < TRIES; seed++) {
        struct random_stream s = random_stream_of(seed, "luck");
        double a[ROUNDS], b[ROUNDS], slow[ROUNDS];
        int process[ROUNDS];
        struct judgement j;
        for (uint64_t i = 0; i < ROUNDS; i++) {
            double luck_a = 0.01 * random_normal(s, 1000 + i / EACH);
            double luck_b = 0.01 * random_normal(s, 2000 + i / EACH);
            process[i] = (int)(i / EACH);
            a[i] = exp(luck_a + 0.003 * random_normal(s, i));
            b[i] = exp(luck_b + 0.003 * random_normal(s, 500 + i));
            slow[i] = b[i] * 1.1;
        }
        assert_true(verdict_judge(a, ROUNDS, b, ROUNDS, 1, &j));
        verdict_decide(&j, 0.01);
        by_blocks += j.verdict == VERDICT_FASTER || j.verdict == VERDICT_SLOWER;
        assert_true(verdict_processes(a, b, process, ROUNDS, luck_of_pair, &j));
        verdict_decide(&j, 0.01);
        said += j.verdict == VERDICT_FASTER || j.verdict == VERDICT_SLOWER;
        assert_true(verdict_judge(a, ROUNDS, slow, ROUNDS, 1, &j));
        assert_true(verdict_processes(a, slow, process, ROUNDS, luck_of_pair, &j));
        verdict_decide(&j, 0.01);
        found += j.verdict == VERDICT_SLOWER;
    }
    assert_true(by_blocks > 2 * VERDICT_ALPHA * TRIES); /* the error this is about */
    assert_true(said <= VERDICT_ALPHA * TRIES);
    assert_true(found >= 99 * TRIES / 100);
}

/* What both have in common goes, what tells them apart stays. */
static void drift_is_taken_out(void **state)
{
    (void)state;
    double a[UNITS], b[UNITS];
    for (int i = 0; i < UNITS; i++) {
        a[i] = 1 + 0.01 * i;
        b[i] = 1.1 * a[i];
    }
    verdict_level(a, b, UNITS);
    for (int i = 4; i < UNITS - 4; i++) {
        near(a[i] / a[UNITS / 2], 1, 1e-3);
        near(b[i] / a[i], 1.1, 1e-12);
    }
    double few[] = {1, 2, 3}, same[] = {1, 2, 3};
    verdict_level(few, same, 3); /* too few to know a drift by */
    near(few[2], 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_small_sample),
        cmocka_unit_test(too_few_have_no_verdict),
        cmocka_unit_test(verdicts_need_all_three),
        cmocka_unit_test(holm_raises_in_order),
        cmocka_unit_test(equal_arms_raise_no_alarm),
        cmocka_unit_test(slow_arms_are_found),
        cmocka_unit_test(luck_that_lasts_is_no_proof),
        cmocka_unit_test(figures_among_processes),
        cmocka_unit_test(processes_are_told_from_bonds),
        cmocka_unit_test(luck_of_processes_is_no_proof),
        cmocka_unit_test(drift_is_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
