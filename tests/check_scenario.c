// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_scenario.c   Clips with prompts of their own: what is told of them, and a kernel that keeps
 * what it computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prompt/prompt_variant.h"
#include "run/run_scenario.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* ---- prompts --------------------------------------------------------------------------------- */

static void variants_differ_and_cost_the_same(void **state)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct prompt_variant v = {0};
    struct fault fault = {{0}};
    char seen[40][64];
    (void)state;
    spec.prompt = "waves";
    assert_int_equal(case_resolve(&spec, &c, &fault), ST_OK);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(prompt_variant_set(&v, &c, i, &fault), ST_OK);
        assert_int_equal(strlen(c.request.prompt), strlen("abcd: waves"));
        assert_non_null(strstr(c.request.prompt, ": waves"));
        snprintf(seen[i], sizeof seen[i], "%s", c.request.prompt);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(seen[k], seen[i]);
    }
    prompt_variant_free(&v);
}

/* Of text that is cut, what differs stands in front; of tokens that come in uneven numbers, others
 * are tried. */
static enum status uneven(void *user, const char *text, int64_t rows, int32_t *ids, int64_t *count,
                          struct fault *fault)
{
    (void)user;
    (void)rows;
    (void)fault;
    *count = 3 + (text[0] != 'a') + (text[1] == 'b');
    for (int64_t i = 0; i < *count; i++)
        ids[i] = text[i];
    return ST_OK;
}

static void openings_of_other_lengths_are_passed_over(void **state)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct prompt_variant v = {0};
    struct fault fault = {{0}};
    (void)state;
    spec.prompt = "waves";
    assert_int_equal(case_resolve(&spec, &c, &fault), ST_OK);
    c.request.tokenizer.tokenize = uneven;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(prompt_variant_set(&v, &c, i, &fault), ST_OK);
        assert_int_equal(c.request.prompt[0], 'a');
        assert_int_not_equal(c.request.prompt[1], 'b');
    }
    prompt_variant_free(&v);
}

/* ---- the audit's verdict --------------------------------------------------------------------- */

static struct outcome *outcome_of(double repeated, double fresh, double spread)
{
    struct outcome *o = calloc(1, sizeof *o);
    o->audit = calloc(1, sizeof *o->audit);
    o->audit->count = 12;
    for (int i = 0; i < 12; i++) {
        o->audit->repeated_ns[i] = 1e9 * repeated * (1 + spread * (i % 4 - 1.5));
        o->audit->fresh_ns[i] = 1e9 * fresh * (1 + spread * ((i + 1) % 4 - 1.5));
    }
    audit_judge(o);
    return o;
}

static void outcome_drop(struct outcome *o)
{
    free(o->audit);
    free(o);
}

static void only_a_clear_gain_fails(void **state)
{
    (void)state;
    struct outcome *o = outcome_of(0.5, 1, 0.01);
    assert_true(o->mistrusted);
    assert_non_null(strstr(o->reason, "something is kept"));
    outcome_drop(o);
    o = outcome_of(0.95, 1, 0.01);
    assert_false(o->mistrusted || o->unstable);
    outcome_drop(o);
    o = outcome_of(1.5, 1, 0.01);
    assert_false(o->mistrusted || o->unstable);
    outcome_drop(o);
    o = outcome_of(0.89, 1, 0.5);
    assert_true(o->unstable && !o->mistrusted);
    outcome_drop(o);
}

/* ---- the program ----------------------------------------------------------------------------- */

static struct spawned run(const char *first, ...)
{
    const char *argv[24] = {BUILD_DIR "/patchmark", "run",          "--size=32x32",
                            "--frames=1",           "--steps=2",    "--threads=1",
                            "--results=none",       "--budget=0.3", "--format=json"};
    int n = 9;
    va_list more;
    va_start(more, first);
    for (const char *word = first; word && n < 23; word = va_arg(more, const char *))
        argv[n++] = word;
    va_end(more);
    return spawn_program((char *const *)argv, NULL);
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

/* Two experts, and their two guidances. */
static void every_scenario_says_what_it_is(void **state)
{
    (void)state;
    struct spawned s =
        run("--model=tiny-a14b", "--guidance=4,3", "--scenario=single-stream,offline", NULL);
    assert_true(json_valid(s.out));
    expect(&s, 0, "\"scenario\":\"single-stream\"");
    expect(&s, 0, "\"name\": \"offline\"");
    expect(&s, 0, "not that benchmark");
    expect(&s, 0, "\"latent\": \"drawn once from the seed\"");
    expect(&s, 0, "\"p90_ns\": ");
    expect(&s, 0, "\"each_clips_per_h\": ");
    assert_null(strstr(s.out, "\"p90_ns\": null"));
    s = run("--sample", "--scenario=single-stream", NULL);
    expect(&s, 0, "\"claim\": \"sampled\"");
    expect(&s, 0, "\"p90_ns\": null");
}

static void an_honest_plan_passes_the_audit(void **state)
{
    (void)state;
    struct spawned s = run("--kernels=c", "--scenario=repeat-audit", NULL);
    assert_true(json_valid(s.out));
    expect(&s, 0, "\"repeated_median_ns\": ");
    expect(&s, 0, "\"passed\": ");
    assert_null(strstr(s.out, "\"passed\": false"));
}

static void a_kernel_that_remembers_fails_it(void **state)
{
    (void)state;
    struct spawned s =
        run("--plugin=" BUILD_DIR "/tests/broken/remembers.so",
            "--kernels=rms_norm=broken_90_remembers", "--steps=1", "--scenario=repeat-audit", NULL);
    assert_true(json_valid(s.out));
    expect(&s, 1, "\"status\": \"mistrusted\"");
    expect(&s, 1, "something is kept from one clip to the next");
    expect(&s, 1, "\"passed\": false");
}

static void what_does_not_go_together_is_said(void **state)
{
    (void)state;
    struct spawned s = run("--scenario=singel-stream", NULL);
    expect(&s, 2, "did you mean single-stream");
    s = run("--scenario=repeat-audit,offline", "--sample", NULL);
    expect(&s, 3, "\"status\": \"refused\"");
    expect(&s, 3, "single-stream alone");
    s = run("--scenario=single-stream", "--replicas=1", NULL);
    expect(&s, 2, "goes with offline");
    s = run("--scenario=single-stream", "--model=tiny-dit", NULL);
    expect(&s, 2, "reads none");
    s = run("--noise=/nowhere.safetensors", NULL);
    expect(&s, 2, "/nowhere.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_differ_and_cost_the_same),
        cmocka_unit_test(openings_of_other_lengths_are_passed_over),
        cmocka_unit_test(only_a_clear_gain_fails),
        cmocka_unit_test(every_scenario_says_what_it_is),
        cmocka_unit_test(an_honest_plan_passes_the_audit),
        cmocka_unit_test(a_kernel_that_remembers_fails_it),
        cmocka_unit_test(what_does_not_go_together_is_said),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
