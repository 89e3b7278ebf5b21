// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_check.c   The judgement of check_bound on variants of elementwise, linear and conv3d that
 * are right, or wrong in one way each. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "check/check.h"
#include "check/check_rows.h"
#include "elem.h"
#include "ref.h"

/* ---- variants -------------------------------------------------------------------------------- */

static bool yes(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob, (void)need;
    return true;
}

static bool no(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob;
    need->reason = "not today";
    return false;
}

static bool with_memory(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob;
    *need = (struct need){.scratch_bytes = 256, .packed_bytes = 64, .state_bytes = 8};
    return true;
}

/* The reference itself as a kernel. */
static enum status elementwise_right(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    double value[512];
    (void)exec;
    for (int64_t s = 0; s < p->S; s++) {
        ref_elementwise(p, 0, s, value, NULL);
        for (int64_t c = 0; c < p->C; c++)
            elem_put(p->y.data, p->y.elem, s * p->y.stride + c, value[c]);
    }
    return ST_OK;
}

/* Where a wrong variant departs: one value of the output is moved by some eps of its type. */
static double nudge_eps;
static int64_t nudge_row;

static enum status elementwise_nudged(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    elementwise_right(problem, exec);
    int64_t at = nudge_row * p->y.stride;
    double value = elem_get(p->y.data, p->y.elem, at);
    elem_put(p->y.data, p->y.elem, at, value * (1 + nudge_eps * elem_eps(p->y.elem)));
    return ST_OK;
}

static enum status elementwise_infinite(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    elementwise_right(problem, exec);
    elem_put(p->y.data, p->y.elem, nudge_row * p->y.stride, INFINITY);
    return ST_OK;
}

static enum status elementwise_fails(const void *problem, const struct exec *exec)
{
    (void)problem, (void)exec;
    return ST_DEVICE;
}

static enum status elementwise_random(const void *problem, const struct exec *exec)
{
    static unsigned turn;
    const struct elementwise_problem *p = problem;
    elementwise_right(problem, exec);
    ((float *)p->y.data)[0] += (float)(turn++ % 2) * 1e-7f;
    return ST_OK;
}

static enum status scratch_overrun(const void *problem, const struct exec *exec)
{
    ((unsigned char *)exec->scratch)[-1] = 1;
    return elementwise_right(problem, exec);
}

static enum status scratch_believed(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    elementwise_right(problem, exec);
    ((float *)p->y.data)[0] += ((const float *)exec->scratch)[3];
    return ST_OK;
}

/* Packed weights alone: the matrix itself must be gone at run(). */
static int64_t packed_runs;

static bool linear_plan(const void *problem, const int64_t *knob, struct need *need)
{
    const struct linear_problem *p = problem;
    (void)knob;
    need->packed_bytes = (size_t)(p->O * p->K) * sizeof(float);
    return true;
}

static enum status linear_prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct linear_problem *p = problem;
    (void)exec;
    memcpy(packed, p->w.data, (size_t)(p->O * p->K) * sizeof(float));
    return ST_OK;
}

static enum status linear_packed(const void *problem, const struct exec *exec)
{
    struct linear_problem p = *(const struct linear_problem *)problem;
    double value[512];
    packed_runs += p.w.data == NULL;
    p.w.data = (void *)exec->packed;
    for (int64_t s = 0; s < p.S; s++) {
        ref_linear(&p, 0, s, value, NULL);
        for (int64_t o = 0; o < p.O; o++)
            elem_put(p.y.data, p.y.elem, s * p.y.stride + o, value[o]);
    }
    return ST_OK;
}

/* Spreads a non-finite value over an aligned tile of 4 x 4 pixels, as Winograd may; further_out:
 * over the whole frame, as it may not. */
static bool further_out;

static enum status conv3d_spreading(const void *problem, const struct exec *exec)
{
    const struct conv3d_problem *p = problem;
    double value[64];
    (void)exec;
    for (int64_t row = 0; row < conv3d_To(p) * conv3d_Ho(p) * conv3d_Wo(p); row++) {
        ref_conv3d(p, 0, row, value, NULL);
        for (int64_t o = 0; o < p->O; o++)
            elem_put(p->y.data, p->y.elem, row * p->O + o, value[o]);
    }
    float *y = p->y.data;
    int64_t width = conv3d_Wo(p), height = conv3d_Ho(p), bad = -1;
    for (int64_t row = 0; row < height * width && bad < 0; row++)
        bad = isfinite(y[row * p->O]) ? -1 : row;
    for (int64_t row = 0; bad >= 0 && row < height * width; row++) {
        bool near = row / width / 4 == bad / width / 4 && row % width / 4 == bad % width / 4;
        if (near || further_out)
            y[row * p->O] = NAN;
    }
    return ST_OK;
}

/* ---- checking one ---------------------------------------------------------------------------- */

struct setting {
    const char *line;
    enum pattern pattern;
    double seconds;
    bool in_place, spread;
};

static void count_call(void *user) { ++*(int *)user; }

static int alive_calls; /* of the last check */

static struct check_result check(const struct variant *v, const struct setting *s)
{
    struct problem shape;
    struct operands o;
    struct bound b;
    struct fault fault = {""};
    struct check_result result = {.status = ST_OK};
    if (shape_parse(s->line, &shape, &fault) != ST_OK ||
        operands_new(&shape, s->in_place, s->spread, &o, &fault) != ST_OK)
        fail_msg("%s: %s", s->line, fault.text);
    result.status = bound_new(v, NULL, &o, 2, &b, &fault);
    if (result.status == ST_OK) {
        operands_fill(&o, 5, s->pattern);
        alive_calls = 0;
        b.alive = count_call;
        b.alive_user = &alive_calls;
        check_bound(&b, 5, s->seconds, &result);
        bound_free(&b);
    } else {
        snprintf(result.text, sizeof result.text, "%.500s", fault.text);
    }
    operands_free(&o);
    return result;
}

#define ELEMENTWISE(RUN, ...)                                                                      \
    (const struct variant)                                                                         \
    {                                                                                              \
        .abi = PATCHMARK_ABI, .op = "elementwise", .name = "test", .plan = yes, .run = RUN,        \
        __VA_ARGS__                                                                                \
    }

static const struct setting silu = {.line = "elementwise:S=40,C=30,kind=silu,type=f32",
                                    .seconds = 9};

static void expect(const struct variant *v, const struct setting *s, enum status status,
                   const char *text)
{
    struct check_result r = check(v, s);
    if (r.status != status || !strstr(r.text, text))
        fail_msg("status %d '%s', wanted %d '%s'", (int)r.status, r.text, (int)status, text);
}

static void right_passes_everywhere(void **state)
{
    static const char *const lines[] = {
        "elementwise:S=40,C=30,kind=silu,type=f32", "elementwise:S=9,C=33,kind=add,type=bf16",
        "elementwise:S=12,C=5,kind=affine,type=f16", "elementwise:S=3,C=5,kind=copy,type=f16"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        for (int k = 0; k < PATTERN_COUNT * 4; k++) {
            struct setting s = {lines[i], (enum pattern)(k / 4), 9, k % 2 == 1, k % 4 > 1};
            struct check_result r = check(&ELEMENTWISE(elementwise_right), &s);
            if (r.status != ST_OK)
                fail_msg("%s %s: %s", lines[i], pattern_name(s.pattern), r.text);
            assert_true(r.worst == 0 && r.checked_ratio == 1 && r.nonfinite == 0);
        }
    }
}

static void tolerance_is_a_border(void **state)
{
    struct check_result r;
    (void)state;
    nudge_row = 17;
    nudge_eps = 2;
    r = check(&ELEMENTWISE(elementwise_nudged), &silu);
    assert_int_equal(r.status, ST_OK);
    assert_true(r.worst > 0 && r.worst < 1 && r.max_abs > 0 && r.l2 > 0);
    nudge_eps = 100;
    expect(&ELEMENTWISE(elementwise_nudged), &silu, ST_WRONG, "y row 17 of 40, element 0 of 30");
}

static void refusals_and_errors_are_told(void **state)
{
    (void)state;
    struct variant refusing = ELEMENTWISE(elementwise_right);
    refusing.plan = no;
    expect(&refusing, &silu, ST_REFUSED, "not today");
    expect(&ELEMENTWISE(elementwise_fails), &silu, ST_DEVICE, "run() reported an error");
    expect(&ELEMENTWISE(elementwise_right, .numerics = NUM_FP4), &silu, ST_WRONG, "no tolerance");
}

static void extra_infinity_is_nonfinite(void **state)
{
    (void)state;
    nudge_row = 3;
    expect(&ELEMENTWISE(elementwise_infinite), &silu, ST_NONFINITE, "y row 3 of 40");
    assert_true(check(&ELEMENTWISE(elementwise_infinite), &silu).nonfinite == 1);
}

static void runs_must_agree(void **state)
{
    (void)state;
    expect(&ELEMENTWISE(elementwise_random), &silu, ST_WRONG, "two runs on the same data differ");
}

static void scratch_is_guarded_and_poisoned(void **state)
{
    (void)state;
    struct variant v = ELEMENTWISE(scratch_overrun);
    v.plan = with_memory;
    expect(&v, &silu, ST_WRONG, "outside of its scratch");
    v.run = scratch_believed;
    expect(&v, &silu, ST_NONFINITE, "y row 0");
}

static void weights_are_gone_once_packed(void **state)
{
    (void)state;
    const struct variant v = {.op = "linear",
                              .name = "test",
                              .plan = linear_plan,
                              .prepare = linear_prepare,
                              .run = linear_packed};
    const struct setting s = {.line = "linear:S=5,K=20,O=7,type=f32", .seconds = 9};
    packed_runs = 0;
    expect(&v, &s, ST_OK, "");
    assert_int_equal(packed_runs, 3);
}

/* No time at all for the reference: rows are sampled, but the whole output is scanned. */
static void sampling_still_scans(void **state)
{
    (void)state;
    const struct setting s = {.line = "elementwise:S=5000,C=30,kind=silu,type=f32", .seconds = 0};
    struct check_result r = check(&ELEMENTWISE(elementwise_right), &s);
    assert_int_equal(r.status, ST_OK);
    assert_true(r.checked_ratio > 64.0 / 5000 && r.checked_ratio < 0.1);
    for (nudge_row = 0; nudge_row < 5000; nudge_row += 833)
        expect(&ELEMENTWISE(elementwise_infinite), &s, ST_NONFINITE, "element 0");
    nudge_eps = 100;
    nudge_row = 4999;
    expect(&ELEMENTWISE(elementwise_nudged), &s, ST_WRONG, "y row 4999 of 5000");
}

/* 8 first rows, 8 last, the middle one and 64 random ones, no row twice. */
static void sampled_rows_are_distinct(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double rows, sampled;
    } cases[] = {{"linear:S=60,K=20,O=7,type=f32", 60, 60},
                 {"linear:S=100,K=20,O=7,type=f32", 100, 81},
                 {"linear:S=200,K=20,O=7,type=f32", 200, 81},
                 {"elementwise:S=5000,C=3,kind=silu,type=f32", 5000, 81}};
    const struct variant linear = {.op = "linear",
                                   .name = "test",
                                   .plan = linear_plan,
                                   .prepare = linear_prepare,
                                   .run = linear_packed};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct setting s = {.line = cases[i].line, .seconds = 0};
        bool is_linear = cases[i].line[0] == 'l';
        struct check_result r = check(is_linear ? &linear : &ELEMENTWISE(elementwise_right), &s);
        assert_int_equal(r.status, ST_OK);
        if (fabs(r.checked_ratio * cases[i].rows - cases[i].sampled) > 1e-6)
            fail_msg("%s: %g rows checked, not %g", cases[i].line, r.checked_ratio * cases[i].rows,
                     cases[i].sampled);
    }
}

static void sample_follows_what_can_be_afforded(void **state)
{
    (void)state;
    assert_int_equal(check_sample_rows(5000, 17, 1e9), 81);
    assert_int_equal(check_sample_rows(5000, 17, 81), 81);
    assert_int_equal(check_sample_rows(5000, 17, 40.9), 40);
    assert_int_equal(check_sample_rows(5000, 17, 0.1), 8);
    assert_int_equal(check_sample_rows(30, 17, 1e9), 30);
    assert_int_equal(check_sample_rows(30, 17, 20), 20);
    assert_int_equal(check_sample_rows(5, 5, 0.1), 5);
}

/* Whoever waits hears of every run, and of rows of the reference between. */
static void check_shows_signs_of_life(void **state)
{
    (void)state;
    expect(&ELEMENTWISE(elementwise_right), &silu, ST_OK, "");
    assert_true(alive_calls > 3 * 2);
    expect(&ELEMENTWISE(elementwise_fails), &silu, ST_DEVICE, "run()");
    assert_true(alive_calls >= 1);
}

static void winograd_may_spread_within_its_tile(void **state)
{
    (void)state;
    struct variant v = {.op = "conv3d",
                        .name = "test",
                        .plan = yes,
                        .run = conv3d_spreading,
                        .numerics = NUM_WINOGRAD};
    const struct setting s = {.line = "conv3d:T=1,H=40,W=44,C=3,O=2,kt=1,lead=0,type=f32",
                              .pattern = PATTERN_INFINITE,
                              .seconds = 9};
    further_out = false;
    expect(&v, &s, ST_OK, "");
    further_out = true;
    expect(&v, &s, ST_NONFINITE, "y row");
    further_out = false;
    v.numerics = NUM_F32;
    expect(&v, &s, ST_NONFINITE, "y row");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_passes_everywhere),
        cmocka_unit_test(tolerance_is_a_border),
        cmocka_unit_test(refusals_and_errors_are_told),
        cmocka_unit_test(extra_infinity_is_nonfinite),
        cmocka_unit_test(runs_must_agree),
        cmocka_unit_test(scratch_is_guarded_and_poisoned),
        cmocka_unit_test(weights_are_gone_once_packed),
        cmocka_unit_test(sampling_still_scans),
        cmocka_unit_test(sampled_rows_are_distinct),
        cmocka_unit_test(sample_follows_what_can_be_afforded),
        cmocka_unit_test(check_shows_signs_of_life),
        cmocka_unit_test(winograd_may_spread_within_its_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
