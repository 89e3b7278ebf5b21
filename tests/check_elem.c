// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_elem.c   Rounding of element types and the random numbers, value by value. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "elem.h"
#include "random.h"

static void assert_rounds(enum elem elem, double value, double expected)
{
    double got = elem_round(elem, value), stored;
    uint64_t memory[2] = {0, 0};
    elem_put(memory, elem, 1, value);
    stored = elem_get(memory, elem, 1);
    if (!(got == expected && stored == expected))
        fail_msg("%s of %a: rounded %a, stored %a, expected %a", elem_name(elem), value, got,
                 stored, expected);
}

static void names_and_sizes(void **state)
{
    (void)state;
    for (int e = ELEM_NONE + 1; e < ELEM_COUNT; e++)
        assert_int_equal(elem_find(elem_name((enum elem)e)), e);
    assert_int_equal(elem_find("f31"), ELEM_NONE);
    assert_int_equal(elem_bytes(ELEM_BF16), 2);
    assert_int_equal(elem_bytes(ELEM_MXFP4), 0);
    assert_true(elem_eps(ELEM_F16) == 0x1p-10 && elem_eps(ELEM_U8) == 1);
}

static void every_16_bit_value_survives(void **state)
{
    (void)state;
    const enum elem types[] = {ELEM_BF16, ELEM_F16};
    for (int t = 0; t < 2; t++) {
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t in = (uint16_t)bits, out = 1, through = 1;
            float wide;
            double value = elem_get(&in, types[t], 0);
            elem_put(&out, types[t], 0, value);
            elem_convert(&wide, ELEM_F32, &in, types[t], 1);
            elem_convert(&through, types[t], &wide, ELEM_F32, 1);
            if (isnan(value)) {
                assert_true(isnan(elem_get(&out, types[t], 0)) && isnan(wide));
                assert_true(isnan(elem_get(&through, types[t], 0)));
                continue;
            }
            assert_true(wide == value);
            assert_int_equal(out, in);
            assert_int_equal(through, in);
        }
    }
}

static void ties_go_to_even(void **state)
{
    (void)state;
    assert_rounds(ELEM_BF16, 1 + 0x1p-8, 1);
    assert_rounds(ELEM_BF16, 1 + 3 * 0x1p-8, 1 + 0x1p-6);
    assert_rounds(ELEM_F16, 1 + 0x1p-11, 1);
    assert_rounds(ELEM_F16, -1 - 3 * 0x1p-11, -1 - 0x1p-9);
    assert_rounds(ELEM_F32, 1 + 0x1p-24, 1);
    assert_rounds(ELEM_U8, 2.5, 2);
    assert_rounds(ELEM_U8, 3.5, 4);
}

/* By way of f32 these would be rounded onto the tie first and then down. */
static void rounding_happens_once(void **state)
{
    (void)state;
    assert_rounds(ELEM_BF16, 1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7);
    assert_rounds(ELEM_F16, 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-10);
    assert_rounds(ELEM_F16, 0x1p-25 + 0x1p-60, 0x1p-24);
}

static void edges_of_the_range(void **state)
{
    (void)state;
    assert_rounds(ELEM_F16, 65519.99, 65504);
    assert_rounds(ELEM_F16, 65520, INFINITY);
    assert_rounds(ELEM_BF16, 0x1.fep127, 0x1.fep127);
    assert_rounds(ELEM_BF16, -0x1.ffp127, -INFINITY);
    assert_rounds(ELEM_F32, 0x1.ffffffp127, INFINITY);
    assert_rounds(ELEM_F32, 1e300, INFINITY);
    assert_rounds(ELEM_F16, 0x1p-24, 0x1p-24);
    assert_rounds(ELEM_F16, 0x1p-25, 0);
    assert_rounds(ELEM_F16, 1.5 * 0x1p-24, 0x1p-23);
    assert_rounds(ELEM_F16, 0x1p-14 - 0x1p-26, 0x1p-14);
    assert_rounds(ELEM_BF16, 0x1p-133, 0x1p-133);
    assert_rounds(ELEM_BF16, 0x1p-134, 0);
    assert_rounds(ELEM_F32, 0x1p-149, 0x1p-149);
    assert_rounds(ELEM_F32, 1e-320, 0);
}

static void integers_clamp(void **state)
{
    (void)state;
    assert_rounds(ELEM_U8, -3, 0);
    assert_rounds(ELEM_U8, 1e9, 255);
    assert_rounds(ELEM_U8, NAN, 0);
    assert_rounds(ELEM_I8, -200, -128);
    assert_rounds(ELEM_I32, INFINITY, INT32_MAX);
    assert_rounds(ELEM_I64, -1e30, (double)INT64_MIN);
}

/* The integer path of whole arrays and the double path of single values are written apart. */
static void arrays_convert_like_values(void **state)
{
    (void)state;
    struct random_stream stream = random_stream_of(3, "bits");
    const enum elem types[] = {ELEM_BF16, ELEM_F16};
    for (uint64_t i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)random_bits(stream, i);
        float value;
        memcpy(&value, &bits, sizeof value);
        for (int t = 0; t < 2; t++) {
            uint16_t one, many;
            elem_put(&one, types[t], 0, value);
            elem_convert(&many, types[t], &value, ELEM_F32, 1);
            if (isnan(value))
                assert_true(isnan(elem_get(&many, types[t], 0)));
            else
                assert_int_equal(one, many);
        }
    }
}

/* Worked out apart from this code, with Python's integers. */
static void random_values_are_frozen(void **state)
{
    (void)state;
    struct random_stream s = random_stream_of(7, "latents");
    assert_true(random_bits(s, 0) == UINT64_C(0x2269a230ecec35de));
    assert_true(random_bits(s, 3) == UINT64_C(0xeacdd3f43d3658e1));
    assert_true(random_bits(s, UINT64_C(1) << 40) == UINT64_C(0xdebe8f96bbe87f0a));
    assert_true(random_uniform(s, 0) == -0.7311513423919678f);
    assert_true(random_uniform(s, 1) == 0.6557888984680176f);
    assert_true(fabs(random_normal(s, 0) - 0.9418237049998692) < 1e-15);
}

static void random_streams_differ(void **state)
{
    (void)state;
    struct random_stream a = random_stream_of(7, "a"), b = random_stream_of(7, "b");
    struct random_stream c = random_stream_of(8, "a");
    assert_true(random_bits(a, 5) != random_bits(b, 5));
    assert_true(random_bits(a, 5) != random_bits(c, 5));
}

static void random_moments(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct random_stream s = random_stream_of(1, "moments");
    double sum = 0, squares = 0, normal = 0, normal_squares = 0, neighbours = 0, before = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double u = random_uniform(s, i), z = random_normal(s, i);
        assert_true(u >= -1 && u < 1 && u * 0x1p23 == floor(u * 0x1p23));
        sum += u, squares += u * u, neighbours += u * before, before = u;
        normal += z, normal_squares += z * z;
    }
    /* Five standard deviations of each estimate. */
    assert_true(fabs(sum / COUNT) < 5 * sqrt(1.0 / 3 / COUNT));
    assert_true(fabs(squares / COUNT - 1.0 / 3) < 5 * sqrt(4.0 / 45 / COUNT));
    assert_true(fabs(neighbours / COUNT) < 5 * sqrt(1.0 / 9 / COUNT));
    assert_true(fabs(normal / COUNT) < 5 * sqrt(1.0 / COUNT));
    assert_true(fabs(normal_squares / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes),
        cmocka_unit_test(every_16_bit_value_survives),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(rounding_happens_once),
        cmocka_unit_test(edges_of_the_range),
        cmocka_unit_test(integers_clamp),
        cmocka_unit_test(arrays_convert_like_values),
        cmocka_unit_test(random_values_are_frozen),
        cmocka_unit_test(random_streams_differ),
        cmocka_unit_test(random_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
