// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_json.c   The JSON writer: what it writes is JSON, and says what it was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "support/json_check.h"

static void all_members_in_one_line(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_text(&j, "text", "a \"b\"\\\n\x01");
    json_text(&j, "none", NULL);
    json_int(&j, "int", INT64_MIN);
    json_number(&j, "real", 0.1);
    json_bool(&j, "yes", true);
    json_open_array(&j, "list");
    json_int(&j, NULL, 1);
    json_open_object(&j, NULL);
    json_end(&j);
    json_open_array(&j, NULL);
    json_end(&j);
    json_none(&j, NULL);
    json_end(&j);
    json_unavailable(&j, "watts", "no meter");
    json_end(&j);
    assert_false(j.failed);
    assert_string_equal(j.text,
                        "{\"text\":\"a \\\"b\\\"\\\\\\n\\u0001\",\"none\":null,"
                        "\"int\":-9223372036854775808,\"real\":0.1,\"yes\":true,"
                        "\"list\":[1,{},[],null],\"watts\":{\"value\":null,\"why\":\"no meter\"}}");
    assert_true(json_valid(j.text));
    json_free(&j);
}

static void indented(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_int(&j, "a", 1);
    json_open_array(&j, "b");
    json_int(&j, NULL, 2);
    json_end(&j);
    json_open_object(&j, "c");
    json_end(&j);
    json_end(&j);
    assert_string_equal(j.text, "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ],\n  \"c\": {}\n}");
    json_free(&j);
}

static void numbers_read_back(void **state)
{
    (void)state;
    static const double values[] = {0,
                                    1,
                                    -1.5,
                                    0.1,
                                    1.0 / 3,
                                    1e300,
                                    DBL_MIN,
                                    DBL_TRUE_MIN,
                                    DBL_MAX,
                                    123456789012345678.0,
                                    16.0,
                                    5e-324,
                                    2.2250738585072011e-308};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct json j;
        json_init(&j, false);
        json_number(&j, NULL, values[i]);
        assert_true(json_valid(j.text));
        assert_true(strtod(j.text, NULL) == values[i]);
        json_free(&j);
    }
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, false);
    json_open_array(&j, NULL);
    json_number(&j, NULL, NAN);
    json_number(&j, NULL, INFINITY);
    json_number(&j, NULL, -INFINITY);
    json_end(&j);
    assert_string_equal(j.text, "[null,null,null]");
    json_free(&j);
}

static void bytes_become_text(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t bytes;
        const char *out;
    } rows[] = {
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xC3\xA9", 2, "\"\xC3\xA9\""},
        {"\xFF", 1, "\"\xEF\xBF\xBD\""},
        {"x\xC3", 2, "\"x\xEF\xBF\xBD\""},
        {"\x7F", 1, "\"\\u007f\""},
        {NULL, 0, "\"\""},
        {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json j;
        json_init(&j, false);
        json_bytes(&j, NULL, rows[i].in, rows[i].bytes);
        assert_string_equal(j.text, rows[i].out);
        json_free(&j);
    }
}

static void misuse_sets_failed(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_int(&j, NULL, 1); /* a member needs a key */
    assert_true(j.failed);
    json_free(&j);
    json_init(&j, false);
    json_open_array(&j, NULL);
    json_int(&j, "a", 1); /* an item has none */
    assert_true(j.failed);
    json_free(&j);
    json_init(&j, false);
    json_end(&j);
    assert_true(j.failed);
    json_free(&j);
    json_init(&j, false);
    for (int i = 0; i < 65; i++)
        json_open_array(&j, NULL);
    assert_true(j.failed);
    json_free(&j);
}

static void deepest_nesting(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, false);
    for (int i = 0; i < 64; i++)
        i % 2 ? json_open_array(&j, "k") : json_open_object(&j, NULL);
    while (j.depth > 0)
        json_end(&j);
    assert_false(j.failed);
    assert_true(json_valid(j.text));
    json_free(&j);
}

static void utf8_by_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes, want;
    } rows[] = {
        {"a", 1, 1},
        {"\xC2\x80", 2, 2},
        {"\xC1\xBF", 2, 0},
        {"\xE0\x9F\xBF", 3, 0},
        {"\xE0\xA0\x80", 3, 3},
        {"\xED\x9F\xBF", 3, 3},
        {"\xED\xA0\x80", 3, 0},
        {"\xF0\x8F\xBF\xBF", 4, 0},
        {"\xF0\x90\x80\x80", 4, 4},
        {"\xF4\x8F\xBF\xBF", 4, 4},
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xF5\x80\x80\x80", 4, 0},
        {"\x80", 1, 0},
        {"\xE2\x82", 2, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(text_utf8_bytes(rows[i].text, rows[i].bytes), rows[i].want);
}

static void names_are_fit_for_terminals(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(text_printable("a\x1B[31m", 6, out, sizeof out), "a?[31m");
    assert_string_equal(text_printable("\xC2\x9B\xFF", 3, out, sizeof out), "??");
    assert_string_equal(text_printable("0123456789abcdefgh", 18, out, sizeof out),
                        "0123456789ab...");
}

/* The checker that other tests rely on must be able to say no. */
static void the_checker_refuses(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",         "{",       "[1,]",     "{\"a\":1,}", "{a:1}",
                                        "01",       "1.",      "nul",      "NaN",        "[1] 2",
                                        "\"\x01\"", "\"\\x\"", "\"\xFF\"", "{\"a\" 1}",  "-"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(json_valid(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_members_in_one_line),
        cmocka_unit_test(indented),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(what_is_not_finite_is_null),
        cmocka_unit_test(bytes_become_text),
        cmocka_unit_test(misuse_sets_failed),
        cmocka_unit_test(deepest_nesting),
        cmocka_unit_test(utf8_by_the_table),
        cmocka_unit_test(names_are_fit_for_terminals),
        cmocka_unit_test(the_checker_refuses),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
