// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_rotation.c   Copies of operands that take turns, what runs on them leave, and which cache
 * state a contest has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/check.h"
#include "contest/kernels_cache.h"
#include "elem.h"
#include "ref.h"

#define SHAPE "linear:S=5,K=16,O=24,type=f32"
#define WEIGHT_BYTES (16 * 24 * 4)
#define SEEN_MAX 64

/* ---- variants -------------------------------------------------------------------------------- */

static const void *weights_at[SEEN_MAX], *input_at[SEEN_MAX], *output_at[SEEN_MAX];
static int runs;

static bool unpacked(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob, (void)need;
    return true;
}

static bool packs(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob;
    need->packed_bytes = WEIGHT_BYTES;
    return true;
}

static enum status pack(const void *problem, const struct exec *exec, void *packed)
{
    (void)exec;
    memcpy(packed, ((const struct linear_problem *)problem)->w.data, WEIGHT_BYTES);
    return ST_OK;
}

static enum status right(const void *problem, const struct exec *exec)
{
    struct linear_problem p = *(const struct linear_problem *)problem;
    double value[64];
    if (exec->packed)
        p.w.data = (void *)exec->packed;
    weights_at[runs] = p.w.data;
    input_at[runs] = p.x.data;
    output_at[runs++] = p.y.data;
    for (int64_t s = 0; s < p.S; s++) {
        ref_linear(&p, 0, s, value, NULL);
        for (int64_t o = 0; o < p.O; o++)
            elem_put(p.y.data, p.y.elem, s * p.y.stride + o, value[o]);
    }
    return ST_OK;
}

/* From the third run on it does nothing at all. */
static enum status lazy(const void *problem, const struct exec *exec)
{
    return runs < 2 ? right(problem, exec) : ST_OK;
}

#define VARIANT_OF(PLAN, RUN, ...)                                                                 \
    &(const struct variant)                                                                        \
    {                                                                                              \
        .abi = PATCHMARK_ABI, .op = "linear", .name = "test", .plan = PLAN, .run = RUN,            \
        __VA_ARGS__                                                                                \
    }
#define PLAIN VARIANT_OF(unpacked, right, 0)
#define PACKED VARIANT_OF(packs, right, .prepare = pack)

/* ---- a bound variant ------------------------------------------------------------------------- */

static struct operands operands;
static struct bound bound;

static void open_bound(const struct variant *v)
{
    struct problem shape;
    struct fault fault = {""};
    runs = 0;
    if (shape_parse(SHAPE, &shape, &fault) != ST_OK ||
        operands_new(&shape, false, false, &operands, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    operands_fill(&operands, 7, PATTERN_RANDOM);
    if (bound_new(v, NULL, &operands, 2, &bound, &fault) != ST_OK ||
        bound_prepare(&bound, &fault) != ST_OK)
        fail_msg("%s", fault.text);
}

static void close_bound(struct rotation *r)
{
    rotation_free(r);
    bound_free(&bound);
    operands_free(&operands);
}

static struct rotation rotate(enum cache_state state, size_t cache_bytes, int times)
{
    struct rotation r;
    struct fault fault = {""};
    if (rotation_new(state, cache_bytes, &bound, &r, &fault) != ST_OK ||
        rotation_renew(&r, 8, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    for (int i = 0; i < times; i++)
        assert_int_equal(rotation_run(&r), ST_OK);
    return r;
}

static int different(const void *const *at, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        bool known = false;
        for (int k = 0; k < i; k++)
            known = known || at[k] == at[i];
        found += !known;
    }
    return found;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void copies_fill_twice_the_cache(void **state)
{
    (void)state;
    assert_int_equal(rotation_copies(100, 0), 2);
    assert_int_equal(rotation_copies(1000, 100), 2);
    assert_true(rotation_copies(100, 1000) * 100 > 2 * 1000);
    assert_int_equal(rotation_copies(0, 1000), 0);
    assert_int_equal(rotation_copies(1, (size_t)1 << 30), 0);
}

static void hot_stays_where_it_is(void **state)
{
    (void)state;
    open_bound(PLAIN);
    struct rotation r = rotate(CACHE_HOT, 1 << 20, 4);
    assert_int_equal(r.copies, 1);
    assert_int_equal(different(weights_at, 4), 1);
    close_bound(&r);
}

/* Weights go round, packed or not; activations stay. */
static void cold_weights_take_turns(void **state)
{
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        open_bound(packed ? PACKED : PLAIN);
        struct rotation r = rotate(CACHE_COLD_WEIGHTS, 3 * WEIGHT_BYTES, 12);
        assert_true(r.copies >= 6 && r.copies <= 7);
        assert_true(r.turn_bytes >= WEIGHT_BYTES);
        assert_int_equal(different(weights_at, 12), r.copies);
        assert_ptr_equal(weights_at[0], weights_at[r.copies]);
        assert_int_equal(different(input_at, 12), 1);
        assert_int_equal(different(output_at, 12), 1);
        close_bound(&r);
    }
}

static void everything_takes_turns(void **state)
{
    (void)state;
    open_bound(PLAIN);
    struct rotation r = rotate(CACHE_COLD_ROTATE, 3 * WEIGHT_BYTES, 8);
    assert_true(r.copies >= 3);
    assert_int_equal(different(weights_at, 8), r.copies);
    assert_int_equal(different(input_at, 8), r.copies);
    assert_int_equal(different(output_at, 8), r.copies);
    close_bound(&r);
}

/* Inputs are drawn anew, weights stay, and what all copies leave is what a check finds right. */
static void what_is_left_is_checked(void **state)
{
    (void)state;
    static const enum cache_state states[] = {CACHE_HOT, CACHE_COLD_ROTATE, CACHE_COLD_WEIGHTS};
    struct fault fault = {""};
    struct check_result result;
    uint64_t first = 0, second = 0;
    for (int i = 0; i < 3; i++)
        for (int packed = 0; packed < 2; packed++) {
            open_bound(packed ? PACKED : PLAIN);
            struct rotation r = rotate(states[i], 3 * WEIGHT_BYTES, 9);
            assert_int_equal(rotation_left(&r, &first, &fault), ST_OK);
            assert_int_equal(rotation_renew(&r, 9, &fault), ST_OK);
            for (int k = 0; k < 9; k++)
                assert_int_equal(rotation_run(&r), ST_OK);
            assert_int_equal(rotation_left(&r, &second, &fault), ST_OK);
            assert_true(first != second);
            check_bound(&bound, 9, 9, &result);
            if (result.status != ST_OK)
                fail_msg("%s: %s", cache_state_name(states[i]), result.text);
            assert_true(check_outputs_hash(&operands) == second);
            rotation_rehome(&r);
            assert_int_equal(rotation_run(&r), ST_OK);
            close_bound(&r);
        }
}

static void a_copy_that_was_not_worked_on_is_seen(void **state)
{
    (void)state;
    struct fault fault = {""};
    uint64_t hash;
    open_bound(VARIANT_OF(unpacked, lazy, 0));
    struct rotation r = rotate(CACHE_COLD_ROTATE, 3 * WEIGHT_BYTES, 4);
    assert_int_equal(rotation_left(&r, &hash, &fault), ST_WRONG);
    assert_non_null(strstr(fault.text, "different outputs"));
    close_bound(&r);
}

static int spared; /* runs that leave their input alone */

static enum status edits(const void *problem, const struct exec *exec)
{
    enum status s = right(problem, exec);
    if (runs > spared)
        ((float *)((const struct linear_problem *)problem)->x.data)[3] = 0;
    return s;
}

static void inputs_edited_while_timed_are_seen(void **state)
{
    (void)state;
    static const enum cache_state states[] = {CACHE_HOT, CACHE_COLD_ROTATE, CACHE_COLD_WEIGHTS};
    for (int i = 0; i < 3; i++)
        for (spared = 0; spared < 3; spared += 2) {
            struct fault fault = {""};
            uint64_t hash;
            open_bound(VARIANT_OF(unpacked, edits, 0));
            struct rotation r = rotate(states[i], 3 * WEIGHT_BYTES, 4);
            assert_int_equal(rotation_left(&r, &hash, &fault), ST_WRONG);
            assert_non_null(strstr(fault.text, "changed its input x"));
            close_bound(&r);
        }
}

/* One store serves small and large copies in turn, whatever the one before has left in it. */
static void copies_may_lie_in_a_store(void **state)
{
    (void)state;
    static const enum cache_state states[] = {CACHE_COLD_WEIGHTS, CACHE_COLD_ROTATE,
                                              CACHE_COLD_WEIGHTS, CACHE_HOT};
    struct fault fault = {""};
    struct rotation r;
    struct stat before, after;
    uint64_t hash, wanted;
    char path[64];
    int file = memfd_create("copies", MFD_CLOEXEC);
    assert_true(file > 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    for (int i = 0; i < 4; i++) {
        open_bound(PLAIN);
        r = rotate(states[i], 3 * WEIGHT_BYTES, 9);
        assert_int_equal(rotation_left(&r, &wanted, &fault), ST_OK);
        close_bound(&r);
        open_bound(PLAIN);
        assert_int_equal(fstat(file, &before), 0);
        if (rotation_new_in(path, states[i], 3 * WEIGHT_BYTES, &bound, &r, &fault) != ST_OK ||
            rotation_renew(&r, 8, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        assert_int_equal(fstat(file, &after), 0);
        assert_true(after.st_size >= before.st_size && (size_t)after.st_size >= r.memory_bytes);
        for (int k = 0; k < 9; k++)
            assert_int_equal(rotation_run(&r), ST_OK);
        assert_int_equal(different(weights_at, 9), r.copies);
        if (rotation_left(&r, &hash, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        assert_true(hash == wanted);
        close_bound(&r);
    }
    close(file);
    open_bound(PLAIN);
    assert_int_equal(
        rotation_new_in("/nowhere/store", CACHE_COLD_WEIGHTS, 3 * WEIGHT_BYTES, &bound, &r, &fault),
        ST_IO);
    assert_non_null(strstr(fault.text, "/nowhere/store"));
    close_bound(&r);
}

static void too_many_copies_are_refused(void **state)
{
    (void)state;
    struct rotation r;
    struct fault fault = {""};
    open_bound(PLAIN);
    assert_int_equal(rotation_new(CACHE_COLD_WEIGHTS, (size_t)1 << 40, &bound, &r, &fault),
                     ST_REFUSED);
    assert_non_null(strstr(fault.text, "too few"));
    close_bound(&r);
}

/* ---- which state ----------------------------------------------------------------------------- */

#define MIB ((size_t)1 << 20)
#define LAYER "linear:S=64,K=1024,O=1024"

static enum status choose(const char *line, const char *asked, size_t cache, size_t room,
                          struct cache_choice *out, struct fault *fault)
{
    struct problem p;
    *fault = (struct fault){""};
    assert_int_equal(shape_parse(line, &p, fault), ST_OK);
    return cache_choose(&p, asked, 3, cache, room, out, fault);
}

static void transformer_weights_are_cold_by_default(void **state)
{
    (void)state;
    struct cache_choice c;
    struct fault f;
    assert_int_equal(choose(LAYER, NULL, 32 * MIB, 4096 * MIB, &c, &f), ST_OK);
    assert_int_equal(c.state, CACHE_COLD_WEIGHTS);
    assert_int_equal(c.cache_bytes, 32 * MIB);
    assert_int_equal(choose("rms_norm:S=9,C=64", NULL, 32 * MIB, 4096 * MIB, &c, &f), ST_OK);
    assert_int_equal(c.state, CACHE_HOT);
    assert_string_equal(c.why, "");
    assert_int_equal(choose("conv3d:T=3,H=9,W=9,C=64,O=64", NULL, MIB, 4096 * MIB, &c, &f), ST_OK);
    assert_int_equal(c.state, CACHE_HOT);
    assert_int_equal(choose(LAYER, "hot", 32 * MIB, 4096 * MIB, &c, &f), ST_OK);
    assert_int_equal(c.state, CACHE_HOT);
    assert_int_equal(choose("rms_norm:S=9,C=64", "cold-rotate", MIB, 4096 * MIB, &c, &f), ST_OK);
    assert_int_equal(c.state, CACHE_COLD_ROTATE);
}

/* By default the reason is kept; what was asked for is refused. */
static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t cache, room;
        enum status status;
        const char *text;
    } rows[] = {{LAYER, 512 * MIB, 4096 * MIB, ST_NO_MEMORY, "half of the free memory is 2.0"},
                {LAYER, 0, 4096 * MIB, ST_REFUSED, "cache is not known"},
                {"linear:S=3,K=5,O=7", 32 * MIB, 4096 * MIB, ST_REFUSED, "too few to fill"}};
    struct cache_choice c;
    struct fault f;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(choose(rows[i].line, NULL, rows[i].cache, rows[i].room, &c, &f), ST_OK);
        assert_int_equal(c.state, CACHE_HOT);
        assert_non_null(strstr(c.why, rows[i].text));
        assert_int_equal(choose(rows[i].line, "cold-weights", rows[i].cache, rows[i].room, &c, &f),
                         rows[i].status);
        assert_non_null(strstr(f.text, rows[i].text));
    }
    assert_int_equal(
        choose("elementwise:S=9,C=9,kind=silu", "cold-weights", MIB, 4096 * MIB, &c, &f),
        ST_REFUSED);
    assert_non_null(strstr(f.text, "elementwise has no weights"));
    assert_int_equal(choose(LAYER, "warm", MIB, 4096 * MIB, &c, &f), ST_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_fill_twice_the_cache),
        cmocka_unit_test(hot_stays_where_it_is),
        cmocka_unit_test(cold_weights_take_turns),
        cmocka_unit_test(everything_takes_turns),
        cmocka_unit_test(what_is_left_is_checked),
        cmocka_unit_test(a_copy_that_was_not_worked_on_is_seen),
        cmocka_unit_test(inputs_edited_while_timed_are_seen),
        cmocka_unit_test(copies_may_lie_in_a_store),
        cmocka_unit_test(too_many_copies_are_refused),
        cmocka_unit_test(transformer_weights_are_cold_by_default),
        cmocka_unit_test(what_does_not_fit_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
