// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_sample.c   Sampled cases: tiles keep the reduction and their weights multiply out to the
 * whole, sums and intervals are what the passes say, and the program labels what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/case.h"
#include "run/sample.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* ---- tiles ----------------------------------------------------------------------------------- */

static const struct op_info *info_of(const struct problem *p) { return op_table[p->op]; }

static double elems_of(const struct problem *p, int index)
{
    int64_t rows, row_elems;
    bool there = tensor_given(problem_tensor_const(p, index)) &&
                 info_of(p)->extent(&p->attention, index, &rows, &row_elems);
    return there ? (double)rows * (double)row_elems : 0;
}

static double outputs_of(const struct problem *p)
{
    double sum = 0;
    for (int i = 0; i < OP_TENSORS_MAX && info_of(p)->tensor[i].name; i++)
        sum += info_of(p)->tensor[i].role == ROLE_OUT ? elems_of(p, i) : 0;
    return sum;
}

static void expect_same(double a, double b, const char *what, const char *shape)
{
    if (fabs(a - b) > 1e-12 * fabs(a))
        fail_msg("%s of %s: %.17g and %.17g", what, shape, a, b);
}

/* An output costs in a tile what it costs in the whole, and weights are all there. */
static void expect_full_reduction(const struct problem *whole, const struct problem *tile)
{
    char shape[256];
    shape_print(tile, shape, sizeof shape);
    expect_same(problem_flops(whole) / outputs_of(whole), problem_flops(tile) / outputs_of(tile),
                "flops per output", shape);
    assert_true(outputs_of(tile) <= outputs_of(whole));
    for (int i = 0; i < OP_TENSORS_MAX && info_of(whole)->tensor[i].name; i++)
        if (info_of(whole)->tensor[i].role == ROLE_WEIGHT && whole->op != OP_embedding)
            expect_same(elems_of(whole, i), elems_of(tile, i), "weights", shape);
    struct problem again;
    struct fault fault = {{0}};
    if (shape_parse(shape, &again, &fault) != ST_OK)
        fail_msg("%s: %s", shape, fault.text);
}

static void expect_multiplies_out(const struct problem *whole, const struct sample_cut *cut)
{
    char shape[256];
    shape_print(whole, shape, sizeof shape);
    const double base = cut->based ? sample_work(&cut->base) : 0;
    expect_same(sample_work(whole),
                cut->tile_weight * sample_work(&cut->tile) + cut->base_weight * base, "work",
                shape);
    assert_true(!cut->whole || (cut->tile_weight == 1 && !cut->based));
}

static void check_cut(const struct problem *whole, double work, double bytes, int64_t granule)
{
    const struct sample_limits limits = {work, bytes, granule};
    struct sample_cut cut;
    sample_cut(whole, &limits, &cut);
    expect_full_reduction(whole, &cut.tile);
    if (cut.based)
        expect_full_reduction(whole, &cut.base);
    expect_multiplies_out(whole, &cut);
}

static void tiles_keep_the_reduction(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++)
        for (const char *const *line = op_table[op]->verify_shapes; *line; line++) {
            struct problem p;
            struct fault fault = {{0}};
            assert_int_equal(shape_parse(*line, &p, &fault), ST_OK);
            const double work = sample_work(&p);
            for (double share = 1; share > 1e-4; share *= 0.37)
                check_cut(&p, share * work, share * problem_bytes(&p), 1);
            check_cut(&p, work / 10, 1e9, 8);
            check_cut(&p, 0, 0, 64);
        }
}

/* Every problem of a large clip, and the sum of what its tiles stand for. */
static struct engine *traced(const char *model, struct size2 size, double seconds,
                             struct pipeline_case *c)
{
    struct case_spec spec = CASE_DEFAULTS;
    struct engine *engine;
    struct fault fault = {{0}};
    spec.model = model;
    spec.size = size;
    spec.seconds = seconds;
    spec.steps = 50;
    spec.threads = 2;
    spec.kernels = "c";
    spec.prompt = "x";
    assert_int_equal(case_resolve(&spec, c, &fault), ST_OK);
    assert_int_equal(engine_new(&c->config, &engine, &fault), ST_OK);
    if (engine_plan(engine, &c->request, false, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return engine;
}

static void counts_are_those_of_the_engine(void **state)
{
    (void)state;
    struct pipeline_case c;
    struct engine *engine = traced("wan2.1-t2v-1.3b", (struct size2){832, 480}, 5, &c);
    int64_t count;
    const struct traced_call *call = engine_trace(engine, &count);
    double sampled = 0, all = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        all += engine_stage(engine, (enum stage)i)->flops;
    for (int64_t i = 0; i < count; i++) {
        const struct sample_limits limits = {1e9, 64e6, 192};
        struct sample_cut cut;
        sample_cut(&call[i].problem, &limits, &cut);
        expect_full_reduction(&call[i].problem, &cut.tile);
        double flops = cut.tile_weight * problem_flops(&cut.tile);
        if (cut.based)
            flops += cut.base_weight * problem_flops(&cut.base);
        sampled += flops * (double)call[i].calls;
    }
    engine_free(engine);
    assert_true(all > 1e16);
    expect_same(all, sampled, "flops", "the clip");
}

/* A minute at 1920x1080 with 14 billion parameters: no tile needs more than one head's keys, one
 * matrix and what was allowed beside them. */
static void nothing_is_too_large(void **state)
{
    (void)state;
    struct pipeline_case c;
    struct engine *engine = traced("wan2.1-t2v-14b", (struct size2){1920, 1080}, 60, &c);
    int64_t count;
    const struct traced_call *call = engine_trace(engine, &count);
    double largest = 0;
    assert_true(engine_peak_bytes(engine) > (size_t)200 << 30);
    for (int64_t i = 0; i < count; i++) {
        const struct sample_limits limits = {1e9, 64e6, 192};
        struct sample_cut cut;
        sample_cut(&call[i].problem, &limits, &cut);
        largest = fmax(largest, problem_bytes(&cut.tile));
    }
    engine_free(engine);
    assert_true(largest < 2.5e9);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void take(struct sampled *s, bool (*how)(struct sampled *, const char *), const char *line)
{
    if (!how(s, line))
        fail_msg("not taken: %s", line);
}

static void sums_are_of_calls(void **state)
{
    (void)state;
    struct sampled s = {0};
    take(&s, sampled_take_part, "1 0 100 100 2 0 0 0 0 0 v a:S=1 a:S=1");
    take(&s, sampled_take_part, "12 -2 1000 90 0 0 0 3 1 5 v b:S=9 b:S=1");
    for (int i = 0; i < 9; i++)
        take(&s, sampled_take_times, i == 4 ? "1 0 9 0.5" : "1 0 2 0.5");
    assert_false(sampled_take_times(&s, "1 0 2"));
    assert_false(sampled_take_times(&s, "1 0 2 0.5 3"));
    assert_false(sampled_take_times(&s, "0 0 2 0.5"));
    sampled_sum_up(&s, 1);
    assert_int_equal(s.passes, 9);
    assert_int_equal(s.whole, 1);
    expect_same(s.stage_s[STAGE_TEXT], 2, "text", "");
    expect_same(s.stage_s[STAGE_DENOISE], 3 * 23.0, "denoise", "");
    expect_same(s.stage_s[STAGE_DECODE], 5 * 23.0, "decode", "");
    expect_same(s.total_s, 2 + 9 * 23.0, "total", "");
    expect_same(s.pass_s[4], 2 + 9 * 107.0, "a slow pass", "");
    expect_same(s.flops_share, 190.0 / (200 + 9000), "share", "");
    assert_true(s.lo_s <= s.total_s && s.total_s <= s.hi_s);
    sampled_free(&s);
}

static void small_operations_are_told_apart(void **state)
{
    (void)state;
    struct sampled s = {0};
    take(&s, sampled_take_part, "1 0 100 100 100 0 0 0 0 0 v a:S=1 a:S=1");
    take(&s, sampled_take_part, "1 0 100 100 0 0 0 1 0 0 v b:S=9 b:S=9");
    for (int i = 0; i < 9; i++)
        take(&s, sampled_take_times, "0.0005 0 0.2 0");
    sampled_sum_up(&s, 1);
    expect_same(s.micro_share, 0.05 / 0.25, "share of small operations", "");
    sampled_free(&s);
}

/* ---- the program ----------------------------------------------------------------------------- */

static struct spawned run(const char *const *more)
{
    const char *argv[24] = {
        BUILD_DIR "/patchmark", "run",       "--size=32x32", "--frames=5", "--steps=1",
        "--threads=1",          "--budget=1"};
    for (int n = 7; n < 23 && more[n - 7]; n++)
        argv[n] = more[n - 7];
    return spawn_program((char *const *)argv, NULL);
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static void figures_are_labelled(void **state)
{
    (void)state;
    struct spawned s = RUN("--sample", "--results=none");
    expect(&s, 0, "sampled: ");
    expect(&s, 0, "of the work ran");
    expect(&s, 0, "below a millisecond, where sampling errs");
    const char *words[] = {BUILD_DIR "/patchmark",
                           "run",
                           "--sample",
                           "--size=32x32",
                           "--frames=5",
                           "--steps=1",
                           "--threads=1",
                           "--budget=1",
                           "--results",
                           folder,
                           NULL};
    s = spawn_program((char *const *)words, NULL);
    assert_int_equal(s.code, 0);
    assert_int_equal(folder_count(folder), 1);
}

static void a_wrong_kernel_gets_no_time(void **state)
{
    (void)state;
    struct spawned s =
        RUN("--sample", "--results=none", "--plugin", BUILD_DIR "/tests/broken/wrong_scale.so",
            "--kernels=rms_norm=broken_90_wrong_scale");
    expect(&s, 1, "wrong");
    assert_null(strstr(s.out, " s +-"));
}

/* Right while it is verified, idle later. */
static void a_kernel_that_stops_working_is_wrong(void **state)
{
    (void)state;
    struct spawned s = RUN("--sample", "--results=none", "--repetitions=30", "--plugin",
                           BUILD_DIR "/tests/broken/lazy.so", "--kernels=rms_norm=broken_90_lazy");
    expect(&s, 1, "wrong");
    assert_null(strstr(s.out, " s +-"));
}

static void what_cannot_be_sampled_is_said(void **state)
{
    (void)state;
    struct spawned s = RUN("--sample", "--results=none", "--kernels=reference");
    expect(&s, 3, "is served by the reference");
    s = RUN("--sample", "--results=none", "--counters=perf::TASK-CLOCK");
    expect(&s, 2, "--counters counts whole clips");
    s = RUN("--against-full=6", "--results=none");
    expect(&s, 2, "add --sample");
    s = RUN("--sample", "--against-full=5", "--results=none");
    expect(&s, 2, "6 to ");
}

static void an_emulated_device_is_verified_not_timed(void **state)
{
    (void)state;
    const char *argv[] = {BUILD_DIR "/emu/opt/patchmark",
                          "run",
                          "--sample",
                          "--device=cuda:0",
                          "--size=32x32",
                          "--frames=1",
                          "--steps=1",
                          "--budget=1",
                          "--results=none",
                          NULL};
    if (!file_exists(argv[0]))
        skip();
    struct spawned s = spawn_program((char *const *)argv, NULL);
    expect(&s, 3, "an emulated device is never timed");
    assert_null(strstr(s.out, " s +-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_keep_the_reduction),
        cmocka_unit_test(counts_are_those_of_the_engine),
        cmocka_unit_test(nothing_is_too_large),
        cmocka_unit_test(sums_are_of_calls),
        cmocka_unit_test(small_operations_are_told_apart),
        cmocka_unit_test(figures_are_labelled),
        cmocka_unit_test(a_wrong_kernel_gets_no_time),
        cmocka_unit_test(a_kernel_that_stops_working_is_wrong),
        cmocka_unit_test(what_cannot_be_sampled_is_said),
        cmocka_unit_test(an_emulated_device_is_verified_not_timed),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
