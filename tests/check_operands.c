// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_operands.c   Guard bands, gaps, poison and data patterns of the operands that checks run
 * on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elem.h"
#include "variant/operands.h"

static struct operands make(const char *line, bool in_place, bool spread)
{
    struct problem shape;
    struct operands o = {0};
    struct fault fault = {""};
    if (shape_parse(line, &shape, &fault) != ST_OK ||
        operands_new(&shape, in_place, spread, &o, &fault) != ST_OK)
        fail_msg("%s: %s", line, fault.text);
    return o;
}

static void expect_damage(const struct operands *o, const char *want)
{
    char where[256] = "";
    assert_false(operands_intact(o, where, sizeof where));
    if (!strstr(where, want))
        fail_msg("'%s' does not say '%s'", where, want);
}

static bool intact(const struct operands *o)
{
    char where[256] = "";
    return operands_intact(o, where, sizeof where);
}

/* One byte written anywhere it may not be is seen, and seen as what it is; put back, all is
 * well. */
static void tamper(struct operands *o, unsigned char *at, const char *want)
{
    unsigned char before = *at;
    *at ^= 0x10;
    expect_damage(o, want);
    *at = before;
    assert_true(intact(o));
}

static void damage_is_seen(void **state)
{
    (void)state;
    struct operands o = make("elementwise:S=5,C=7,kind=add,type=f32", false, true);
    const struct elementwise_problem *p = &o.problem.elementwise;
    assert_true(p->a.stride > 7 && p->y.stride > 7 && p->a.stride != p->y.stride);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        operands_fill(&o, seed, PATTERN_RANDOM);
        assert_true(intact(&o));
        unsigned char *a = p->a.data, *y = p->y.data;
        size_t y_bytes = (size_t)(4 * p->y.stride + 7) * 4;
        tamper(&o, y + y_bytes, "past the end of y");
        if (seed == 1)
            tamper(&o, y - 1, "in front of y");
        tamper(&o, y + 7 * 4, "gap behind row 0 of y");
        tamper(&o, y + (size_t)(2 * p->y.stride + 9) * 4, "gap behind row 2 of y");
        tamper(&o, a + 3, "changed its input a at row 0, element 0");
        tamper(&o, a + (size_t)(p->a.stride + 2) * 4, "changed its input a at row 1, element 2");
        y[0] ^= 1;
        assert_true(intact(&o));
    }
    operands_free(&o);
}

/* Even seeds stand against the page in front, odd ones against the page behind. */
static void touch(const char *line, uint64_t seed, int64_t offset_bytes, bool dies)
{
    struct operands o = make(line, false, false);
    operands_fill(&o, seed, PATTERN_RANDOM);
    pid_t child = fork();
    if (child == 0) { /* cmocka would catch the fault and go on in the child */
        signal(SIGSEGV, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        volatile const unsigned char *at = o.problem.elementwise.y.data;
        (void)at[offset_bytes];
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
    if (died != dies)
        fail_msg("seed %d, byte %d: died %d", (int)seed, (int)offset_bytes, died);
    operands_free(&o);
}

static void guard_pages_stand_close(void **state)
{
    const char *line = "elementwise:S=4,C=16,kind=silu,type=f32"; /* 256 bytes: no slack behind */
    (void)state;
    touch(line, 1, 255, false);
    touch(line, 1, 256, true);
    touch(line, 1, -1, false);
    touch(line, 2, -1, true);
    touch(line, 2, 256, false);
}

static void in_place_shares_memory(void **state)
{
    (void)state;
    struct operands o = make("elementwise:S=3,C=4,kind=silu,type=f32", true, false);
    struct elementwise_problem *p = &o.problem.elementwise;
    operands_fill(&o, 1, PATTERN_RANDOM);
    assert_ptr_equal(p->a.data, p->y.data);
    struct problem pristine = operands_pristine(&o);
    float before = ((float *)p->a.data)[5];
    assert_ptr_not_equal(pristine.elementwise.a.data, p->a.data);
    ((float *)p->y.data)[5] = 77;
    assert_true(intact(&o));
    assert_true(((float *)pristine.elementwise.a.data)[5] == before);
    operands_poison(&o);
    assert_true(((float *)p->y.data)[5] == before);
    operands_free(&o);
}

static void forms_exist_where_contracts_say(void **state)
{
    static const struct {
        const char *line;
        bool alias, spread;
    } rows[] = {
        {"elementwise:S=3,C=4,kind=silu,type=f32", true, true},
        {"elementwise:S=1,C=4,kind=silu,type=f32", true, false},
        {"modulate:S=3,C=4,type=f32", true, true},
        {"modulate:S=3,C=4,type=bf16", false, true},
        {"linear:S=3,K=4,O=5,type=f32", false, true},
        {"linear:S=3,K=4,O=5,epilogue=add,type=f32", true, true},
        {"norm_silu:S=3,C=4,type=f32", true, false},
        {"upsample:T=1,H=2,W=2,C=3,type=f32", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct problem shape;
        struct fault fault = {""};
        if (shape_parse(rows[i].line, &shape, &fault) != ST_OK)
            fail_msg("%s: %s", rows[i].line, fault.text);
        if (operands_may_alias(&shape) != rows[i].alias ||
            operands_may_spread(&shape) != rows[i].spread)
            fail_msg("%s", rows[i].line);
    }
}

static void outputs_are_poisoned(void **state)
{
    (void)state;
    struct operands o = make("elementwise:S=3,C=5,kind=silu,type=bf16", false, true);
    operands_fill(&o, 3, PATTERN_RANDOM);
    const struct tensor *y = &o.problem.elementwise.y;
    for (int64_t i = 0; i < 2 * y->stride + 5; i++)
        assert_true(isnan(elem_get(y->data, ELEM_BF16, i)));
    operands_free(&o);
}

/* Integers know no NaN: two poisons in turn, so that what stays unwritten differs between two
 * runs. */
static void integer_poison_alternates(void **state)
{
    (void)state;
    struct operands o = make("to_rgb:T=1,H=2,W=2,Ho=2,Wo=2,type=f32", false, false);
    operands_fill(&o, 1, PATTERN_RANDOM);
    const unsigned char *y = o.problem.to_rgb.y.data;
    unsigned char first = y[0];
    operands_poison(&o);
    assert_int_not_equal(first, y[0]);
    assert_true(intact(&o));
    operands_free(&o);
}

static void same_seed_same_data(void **state)
{
    (void)state;
    struct operands o = make("linear:S=3,K=40,O=5,type=f16", false, false);
    uint16_t first[120];
    operands_fill(&o, 7, PATTERN_RANDOM);
    memcpy(first, o.problem.linear.x.data, sizeof first);
    operands_fill(&o, 9, PATTERN_RANDOM);
    assert_int_not_equal(memcmp(first, o.problem.linear.x.data, sizeof first), 0);
    operands_fill(&o, 7, PATTERN_RANDOM);
    assert_memory_equal(first, o.problem.linear.x.data, sizeof first);
    operands_free(&o);
}

/* What each pattern puts into x [S][K] of a linear, by counting. */
static void patterns(void **state)
{
    (void)state;
    struct operands o = make("linear:S=40,K=64,O=3,type=f32", false, false);
    const struct linear_problem *p = &o.problem.linear;
    for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        operands_fill(&o, 11, (enum pattern)pattern);
        const float *x = p->x.data, *w = p->w.data;
        int nan = 0, infinite = 0, denormal = 0, whole = 0, large = 0, middle = 0;
        for (int i = 0; i < 40 * 64; i++) {
            nan += isnan(x[i]);
            infinite += isinf(x[i]) != 0;
            denormal += fpclassify(x[i]) == FP_SUBNORMAL;
            whole += x[i] == rintf(x[i]);
            large += fabsf(x[i]) > 100;
            middle += fabsf(x[i]) > 1 && fabsf(x[i]) <= 32;
        }
        for (int i = 0; i < 3 * 64; i++)
            assert_true(isfinite(w[i]));
        assert_true(pattern == PATTERN_INFINITE ? nan + infinite > 0 && nan + infinite <= 3
                                                : nan + infinite == 0);
        assert_true((denormal > 100) == (pattern == PATTERN_TINY));
        assert_true((whole == 40 * 64) == (pattern == PATTERN_INTEGER));
        assert_true((large > 1000) == (pattern == PATTERN_LARGE));
        if (pattern == PATTERN_OUTLIER)
            assert_in_range(middle, 20, 600);
        assert_string_not_equal(pattern_name((enum pattern)pattern), "");
    }
    operands_free(&o);
}

static void indices_stay_valid(void **state)
{
    (void)state;
    struct operands o = make("embedding:S=50,V=7,C=4,type=f32", false, false);
    for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        operands_fill(&o, 5, (enum pattern)pattern);
        const int32_t *ids = o.problem.embedding.ids.data;
        for (int i = 0; i < 50; i++)
            assert_in_range(ids[i], 0, 6);
    }
    operands_free(&o);
}

static void rotations_stay_rotations(void **state)
{
    (void)state;
    struct operands o = make("qk_norm_rope:S=9,N=2,D=8,type=f32", false, false);
    const struct qk_norm_rope_problem *p = &o.problem.qk_norm_rope;
    for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        operands_fill(&o, 5, (enum pattern)pattern);
        const float *c = p->cos.data, *s = p->sin.data;
        for (int i = 0; i < 9 * 4; i++)
            assert_true(fabs((double)c[i] * c[i] + (double)s[i] * s[i] - 1) < 1e-6);
    }
    operands_free(&o);
}

/* Values depend on seed and index alone, not on who draws them. */
static void threads_draw_the_same_data(void **state)
{
    (void)state;
    struct operands one = make("linear:S=700,K=520,O=3,type=bf16", false, true);
    struct operands many = make("linear:S=700,K=520,O=3,type=bf16", false, true);
    const struct tensor *x = &one.problem.linear.x, *again = &many.problem.linear.x;
    many.threads = 3;
    for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
        operands_fill(&one, 11, (enum pattern)pattern);
        operands_fill(&many, 11, (enum pattern)pattern);
        assert_memory_equal(x->data, again->data, (size_t)(699 * x->stride + 520) * 2);
        assert_true(intact(&many));
    }
    ((uint16_t *)again->data)[400 * x->stride + 7] ^= 1;
    expect_damage(&many, "changed its input x at row 400, element 7");
    operands_free(&one);
    operands_free(&many);
}

/* The quick way to 16 bits rounds as the exact one does. */
static void half_types_are_rounded_once(void **state)
{
    (void)state;
    static const enum pattern patterns[] = {PATTERN_RANDOM, PATTERN_LARGE, PATTERN_TINY,
                                            PATTERN_OUTLIER};
    struct operands full = make("linear:S=40,K=600,O=3,type=f32", false, false);
    struct operands half = make("linear:S=40,K=600,O=3,type=bf16", false, false);
    for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
        operands_fill(&full, 3, patterns[k]);
        operands_fill(&half, 3, patterns[k]);
        for (int64_t i = 0; i < 40 * 600; i++) {
            double exact = elem_get(full.problem.linear.x.data, ELEM_F32, i);
            assert_true(elem_get(half.problem.linear.x.data, ELEM_BF16, i) ==
                        elem_round(ELEM_BF16, exact));
        }
    }
    operands_free(&full);
    operands_free(&half);
}

static void too_much_memory_is_refused_in_one_sentence(void **state)
{
    (void)state;
    struct problem shape;
    struct operands o;
    struct fault fault = {""};
    assert_int_equal(shape_parse("linear:S=1000000000,K=10000,O=1,type=f32", &shape, &fault),
                     ST_OK);
    assert_int_equal(operands_new(&shape, false, false, &o, &fault), ST_NO_MEMORY);
    assert_non_null(strstr(fault.text, "GiB of host memory to be checked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(guard_pages_stand_close),
        cmocka_unit_test(in_place_shares_memory),
        cmocka_unit_test(forms_exist_where_contracts_say),
        cmocka_unit_test(outputs_are_poisoned),
        cmocka_unit_test(integer_poison_alternates),
        cmocka_unit_test(same_seed_same_data),
        cmocka_unit_test(patterns),
        cmocka_unit_test(indices_stay_valid),
        cmocka_unit_test(rotations_stay_rotations),
        cmocka_unit_test(threads_draw_the_same_data),
        cmocka_unit_test(half_types_are_rounded_once),
        cmocka_unit_test(too_much_memory_is_refused_in_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
