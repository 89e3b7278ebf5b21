// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_registry.c   Order of the registry, globs, and what plugins are refused for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ops/op_info.h"
#include "variant/registry.h"

static void globs(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"", "", true},           {"*", "", true},          {"", "a", false},
        {"a?c", "abc", true},     {"a?c", "ac", false},     {"*/c_*", "linear/c_01_plain", true},
        {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}, {"*ab", "aab", true},
        {"**", "any", true},      {"lin", "linear", false}, {"*a*a*a*b", "aaaaaaaaaaaaaaaa", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (glob_match(rows[i].pattern, rows[i].text) != rows[i].match)
            fail_msg("'%s' against '%s'", rows[i].pattern, rows[i].text);
    }
}

static void numbers_of_names(void **state)
{
    (void)state;
    assert_int_equal(variant_number("avx2_01_flash"), 1);
    assert_int_equal(variant_number("c_17_a_02_b"), 17);
    assert_int_equal(variant_number("plain"), -1);
    assert_int_equal(variant_number("c_1_plain"), -1);
}

static void sorted_by_op_then_number(void **state)
{
    (void)state;
    int count = 0;
    const struct registry_entry *e = registry(&count);
    assert_true(count > 0);
    for (int i = 1; i < count; i++) {
        enum op_id a, b;
        assert_int_equal(op_find(e[i - 1].op, &a, NULL), ST_OK);
        assert_int_equal(op_find(e[i].op, &b, NULL), ST_OK);
        assert_true(a <= b);
        if (a == b)
            assert_true(variant_number(e[i - 1].name) <= variant_number(e[i].name));
    }
}

static void built_in_variants_are_named_as_their_files(void **state)
{
    (void)state;
    int count = 0;
    const struct registry_entry *e = registry(&count);
    for (int i = 0; i < count; i++) {
        assert_true((e[i].variant != NULL) == (e[i].not_built == NULL));
        if (!e[i].variant)
            continue;
        assert_string_equal(e[i].variant->name, e[i].name);
        assert_string_equal(e[i].variant->op, e[i].op);
        assert_true(e[i].plugin_hash == 0);
    }
}

static void plugins(void **state)
{
    const char *path = BUILD_DIR "/tests/plugin/linear_rows.so";
    struct fault fault = {""};
    (void)state;
    assert_null(registry_find(OP_linear, "rows_90_double"));
    assert_int_equal(registry_load_plugin(path, &fault), ST_OK);
    const struct registry_entry *e = registry_find(OP_linear, "rows_90_double");
    assert_non_null(e);
    assert_string_equal(e->origin, path);
    assert_string_equal(e->target, "rows");
    assert_true(e->plugin_hash != 0);
    struct fault why = {""};
    assert_int_equal(registry_usable(e, &why), ST_OK);
    assert_int_equal(registry_load_plugin(path, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "rows_90_double"));
}

static void no_plugins(void **state)
{
    struct fault absent = {""}, text = {""};
    (void)state;
    assert_int_equal(registry_load_plugin("no/such/file.so", &absent), ST_BAD_INPUT);
    assert_non_null(strstr(absent.text, "no/such/file.so"));
    assert_int_equal(registry_load_plugin("Makefile", &text), ST_BAD_INPUT);
    assert_non_null(strstr(text.text, "Makefile"));
}

static void needs_are_checked(void **state)
{
    const struct variant v = {.abi = PATCHMARK_ABI, .needs = GPU_SM90A | GPU_SM100A}; /* no chip */
    const struct registry_entry cuda = {.variant = &v};
    const struct registry_entry absent = {.not_built = "no compiler for it"};
    struct fault why_cuda = {""}, why_absent = {""};
    (void)state;
    assert_int_not_equal(registry_usable(&cuda, &why_cuda), ST_OK);
    assert_true(why_cuda.text[0]);
    assert_int_equal(registry_usable(&absent, &why_absent), ST_NOT_BUILT);
    assert_string_equal(why_absent.text, "no compiler for it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs),
        cmocka_unit_test(numbers_of_names),
        cmocka_unit_test(sorted_by_op_then_number),
        cmocka_unit_test(built_in_variants_are_named_as_their_files),
        cmocka_unit_test(plugins),
        cmocka_unit_test(no_plugins),
        cmocka_unit_test(needs_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
