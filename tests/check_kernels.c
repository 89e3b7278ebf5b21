// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_kernels.c   The kernels command from outside: its table, document and record, what a
 * variant that lies, hangs or crashes costs, and how it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "contest/kernels.h"
#include "support/json_check.h"
#include "support/spawn.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#endif

#define PROGRAM BUILD_DIR "/patchmark"
#define SMALL "--shape=rms_norm:S=33,C=100"
#define MOST_WORDS 16

extern char **environ;

/* Runs `patchmark kernels` with these words, NULL-terminated, on one thread and no record unless
 * asked otherwise. */
static struct spawned kernels(const char *const *words)
{
    char *argv[MOST_WORDS] = {PROGRAM, "kernels", "--threads=1", "--results=none"};
    for (int i = 0, n = 4; words[i] && n < MOST_WORDS - 1; i++)
        argv[n++] = (char *)words[i];
    return spawn_program(argv, NULL);
}
#define KERNELS(...) kernels((const char *const[]){__VA_ARGS__, NULL})

static void expect(const struct spawned *s, int code, const char *in_out, const char *in_err)
{
    bool said = (!in_out || strstr(s->out, in_out)) && (!in_err || strstr(s->err, in_err));
    if (s->code != code || !said)
        fail_msg("exit code %d where %d was due, or '%s' or '%s' is missing\n%s\n%s", s->code, code,
                 in_out ? in_out : "", in_err ? in_err : "", s->out, s->err);
}

static int lines_with(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

static void table_names_variants_and_a_verdict(void **state)
{
    (void)state;
    struct spawned s = KERNELS("linear", "--shape=linear:S=40,K=64,O=48", "--budget=1");
    expect(&s, 0, "linear:S=40,K=64,O=48,type=f32", NULL);
    expect(&s, 0, "c_01_plain", NULL);
    expect(&s, 0, "(baseline)", NULL);
    expect(&s, 0, " blocks", NULL);
    assert_string_equal(s.err, ""); /* no progress where stderr is no terminal */
}

static void glob_filters_variants(void **state)
{
    (void)state;
    struct spawned s =
        KERNELS("linear/c_*", "--shape=linear:S=9,K=16,O=8", "--repetitions=6", "--budget=1");
    expect(&s, 0, "c_01_plain is the only one timed: 6 blocks", NULL);
    assert_null(strstr(s.out, "_panel"));
}

/* What the caches hold is said, is had with few bytes where the cache is small, and is refused where
 * it cannot be had. */
static void cache_state_is_part_of_the_case(void **state)
{
    (void)state;
    struct spawned s = KERNELS("linear/c_*", "--shape=linear:S=4,K=64,O=64", "--repetitions=2",
                               "--budget=1", "--llc-bytes=100000");
    expect(&s, 0, "weights cold", NULL);
    s = KERNELS("linear/c_*", "--shape=linear:S=4,K=64,O=64", "--repetitions=2", "--budget=1",
                "--llc-bytes=100000", "--cache=cold-rotate", "--format=json");
    expect(&s, 0, "\"cache_state\": \"cold-rotate\"", NULL);
    s = KERNELS("linear/c_*", "--shape=linear:S=4,K=64,O=64", "--repetitions=2", "--budget=1",
                "--llc-bytes=100000000");
    expect(&s, 0, "weights are not cold: 16640 bytes a run are too few", NULL);
    s = KERNELS("elementwise/c_*", "--cache=cold-weights", "--budget=1");
    expect(&s, 3, "elementwise has no weights that could be cold", NULL);
    s = KERNELS("linear", "--cache=lukewarm");
    expect(&s, 2, NULL, "--cache is hot, cold-rotate or cold-weights, not 'lukewarm'");
    s = KERNELS("linear", "--repetitions=0");
    expect(&s, 2, NULL, "--repetitions wants 1 to ");
}

static void both_back_ends_are_named(void **state)
{
    (void)state;
    struct spawned s =
        KERNELS("rms_norm", SMALL, "--repetitions=3", "--budget=1", "--backend=loop");
    expect(&s, 0, "back end loop", NULL);
    s = KERNELS("rms_norm", SMALL, "--repetitions=3", "--budget=1", "--backend=gbench");
#ifdef HAVE_BENCHMARK
    expect(&s, 0, "back end gbench", NULL);
#else
    expect(&s, 3, NULL, "--backend loop");
#endif
}

#ifdef HAVE_JANSSON
static double number(const json_t *of, const char *first, const char *second)
{
    const json_t *value = json_object_get(json_object_get(of, first), second);
    if (!json_is_number(value))
        fail_msg("%s.%s is no number", first, second);
    return json_number_value(value);
}

static void check_case(const json_t *one)
{
    double median = number(one, "timing", "median"), flops = number(one, "work", "flops_effective");
    assert_string_equal(json_string_value(json_object_get(one, "case_kind")), "kernel");
    assert_string_equal(json_string_value(json_object_get(one, "claim")), "measured");
    assert_int_equal(strlen(json_string_value(json_object_get(one, "recipe_sha256"))), 64);
    assert_true(number(one, "timing", "lo") <= median && median <= number(one, "timing", "hi"));
    assert_true(number(one, "timing", "n") == 8);
    const json_t *timing = json_object_get(one, "timing");
    assert_int_equal(json_array_size(json_object_get(timing, "samples")), 8);
    assert_string_equal(json_string_value(json_object_get(timing, "stop_reason")), "count");
    assert_true(number(one, "correctness", "worst") <= 1);
    assert_true(number(one, "correctness", "checked_ratio") == 1);
    double rate = number(one, "derived", "flops_per_s_effective");
    assert_true(fabs(rate / (flops / median * 1e9) - 1) < 1e-9);
    assert_true(number(one, "memory", "planned_bytes") > 0);
    assert_true(number(one, "memory", "host_peak_bytes") > 0);
}

static void check_document(const char *text)
{
    json_error_t error;
    json_t *document = json_loads(text, 0, &error);
    if (!document)
        fail_msg("%s", error.text);
    const json_t *shape = json_array_get(json_object_get(document, "shapes"), 0);
    const json_t *variants = json_object_get(shape, "variants");
    assert_true(json_array_size(variants) >= 1);
    check_case(json_array_get(variants, 0));
    json_decref(document);
}
#else
static void check_document(const char *text) { assert_non_null(strstr(text, "\"case_kind\"")); }
#endif

static void document_is_json_and_nothing_else(void **state)
{
    (void)state;
    struct spawned s =
        KERNELS("linear/c_*", "--shape=linear:S=17,K=33,O=20", "--repetitions=8", "--budget=1",
                "--format=json", "--counters=perf::TASK-CLOCK,no::such");
    expect(&s, 0, "\"no::such\"", NULL);
    assert_true(json_valid(s.out));
    check_document(s.out);
}

/* The one .jsonl under folder/<machine>; NULL where there is none or more than one. */
static char *record_in(const char *folder)
{
    char path[512], *found = NULL;
    DIR *machines = opendir(folder);
    for (struct dirent *m; machines && (m = readdir(machines));) {
        if (m->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, m->d_name);
        DIR *files = opendir(path);
        for (struct dirent *f; files && (f = readdir(files));) {
            const char *end = strrchr(f->d_name, '.');
            if (!end || strcmp(end, ".jsonl") != 0)
                continue;
            if (found)
                return NULL;
            found = malloc(strlen(path) + strlen(f->d_name) + 2);
            sprintf(found, "%s/%s", path, f->d_name);
        }
        if (files)
            closedir(files);
    }
    if (machines)
        closedir(machines);
    return found;
}

static void record_appears_and_is_named(void **state)
{
    (void)state;
    char *folder = temporary_folder(), option[512];
    snprintf(option, sizeof option, "--results=%s", folder);
    struct spawned s = KERNELS("rms_norm", SMALL, "--repetitions=6", "--budget=1", option);
    char *path = record_in(folder);
    assert_non_null(path);
    expect(&s, 0, path, NULL);
    size_t bytes;
    char *text = file_read(path, &bytes), *next;
    int cases = 0, runs = 0;
    assert_non_null(text);
    for (char *line = text; *line; line = next) {
        next = strchr(line, '\n');
        assert_non_null(next); /* the last line is whole too */
        *next++ = '\0';
        assert_true(json_valid(line));
        cases += strstr(line, "\"kind\":\"case\"") != NULL;
        runs += strstr(line, "\"kind\":\"run\"") != NULL;
    }
    assert_int_equal(runs, 1);
    assert_true(cases >= 1);
    free(text);
    free(path);
    temporary_remove(folder);
}

/* One broken row, the others timed, exit code 1. */
static void planted(const char *plugin, const char *status)
{
    char option[256];
    snprintf(option, sizeof option, "--plugin=" BUILD_DIR "/tests/broken/%s.so", plugin);
    struct spawned s = KERNELS("rms_norm", SMALL, "--budget=0.3", option);
    expect(&s, 1, status, NULL);
    expect(&s, 1, "c_01_plain", NULL);
    expect(&s, 1, "is the only one timed", NULL);
    expect(&s, 1, "again: build/patchmark kernels 'rms_norm/broken_90_", NULL);
}

static void crash_costs_one_row(void **state)
{
    (void)state;
    planted("crash", "crashed");
}

static void hang_costs_one_row(void **state)
{
    (void)state;
    planted("hang", "timeout");
}

static void wrong_variant_is_not_timed(void **state)
{
    (void)state;
    planted("wrong_scale", "wrong");
    planted("stale_output", "wrong");
}

static void time_below_the_floor_is_not_believed(void **state)
{
    (void)state;
    planted("overstated_work", "mistrusted");
}

/* A machine of 1 GFLOP/s that copies 1 GB/s, with caches of 1 MB. */
static const struct roof slow = {
    .flops = 1e9, .isa = "test", .copy_bytes = 1e9, .cache_bytes = 1e6};

struct judged {
    const char *shape;
    enum numerics numerics;
    double claimed, seconds; /* claimed 0: the op's own figure */
    const char *says;        /* NULL: believed */
};

static void judge_one(const struct roof *roof, const struct judged *j)
{
    struct problem p;
    struct fault fault = {""};
    char reason[256] = "";
    if (shape_parse(j->shape, &p, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    struct arm a = {.numerics = j->numerics, .n = 9};
    a.flops = j->claimed > 0 ? j->claimed : problem_flops(&p);
    a.summary.median = j->seconds;
    bool beaten = roof_beaten(roof, &p, &a, reason, sizeof reason);
    if (beaten != (j->says != NULL) || (beaten && !strstr(reason, j->says)))
        fail_msg("%s at %g s: '%s' where '%s' was due", j->shape, j->seconds, reason,
                 j->says ? j->says : "");
}

/* 2 MFLOP take 2 ms, 1.82 with the slack; the understater says that it did one thousandth. */
static void arithmetic_has_a_roof(void **state)
{
    (void)state;
    static const struct judged rows[] = {
        {"linear:S=10,K=100,O=1000", NUM_F32, 0, 1.83e-3, NULL},
        {"linear:S=10,K=100,O=1000", NUM_F32, 0, 1.81e-3, "2 MFLOP need at a peak of 1.0 GFLOP/s"},
        {"linear:S=10,K=100,O=1000", NUM_F32, 2e3, 1.81e-3, "2 MFLOP"},
        {"linear:S=10,K=100,O=1000", NUM_F32, 4e6, 3e-3, "4 MFLOP"},
        {"linear:S=10,K=100,O=1000", NUM_BF16, 0, 1e-6, NULL},
        {"conv3d:T=1,H=10,W=10,C=10,O=10,kt=1,lead=0", NUM_WINOGRAD, 0, 1e-6, NULL},
        {"conv3d:T=1,H=10,W=10,C=10,O=10,kt=1,lead=0", NUM_WINOGRAD, 1e5, 80e-6, "0.1 MFLOP"},
        /* Of 3 x 3 x 3 taps at one frame two thirds are zero frames, of the rest 28 x 28 of 30 x 30
         * lie inside: 156.8 of 540 kFLOP. */
        {"conv3d:T=1,H=10,W=10,C=10,O=10", NUM_F32, 0, 143e-6, NULL},
        {"conv3d:T=1,H=10,W=10,C=10,O=10", NUM_F32, 0, 142e-6, "0.157 MFLOP"},
        {"norm_conv3d:T=1,H=10,W=10,C=10,O=10", NUM_F32, 0, 143e-6, NULL},
        {"norm_conv3d:T=1,H=10,W=10,C=10,O=10", NUM_F32, 0, 142e-6, "0.157 MFLOP"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        judge_one(&slow, &rows[i]);
}

/* 8 MB, of which the caches may hold one: 7 MB at 1.65 GB/s take 4.24 ms. */
static void memory_has_a_roof(void **state)
{
    (void)state;
    static const struct judged rows[] = {
        {"elementwise:S=1000,C=1000,kind=copy", NUM_F32, 0, 4.25e-3, NULL},
        {"elementwise:S=1000,C=1000,kind=copy", NUM_F32, 0, 4.23e-3, "7 MB beyond the caches"},
        {"elementwise:S=200,C=1000,kind=copy", NUM_F32, 0, 1e-6, NULL},
        /* a class says how wide packed weights may be, not what is read and written */
        {"elementwise:S=1000,C=1000,kind=copy", NUM_INT8, 0, 1e-6, "7 MB beyond the caches"},
        {"elementwise:S=1000,C=1000,kind=copy", NUM_SPARSE, 0, 1e-6, NULL},
        {"linear:S=1,K=2000,O=1000,type=f32", NUM_INT8, 0, 1e-6, "1.01 MB beyond the caches"},
        {"linear:S=1,K=2000,O=1000,type=f32", NUM_F32, 0, 4e-3, "beyond the caches"},
        {"embedding:S=1,V=100000,C=100", NUM_F32, 0, 1e-6, NULL}}; /* one row of a table */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        judge_one(&slow, &rows[i]);
    struct roof unknown = slow;
    unknown.cache_bytes = 0;
    judge_one(&unknown, &(struct judged){rows[1].shape, NUM_F32, 0, 1e-6, NULL});
}

/* Where copies take turns, small data comes from memory all the same: 1 MB in 5 turns, of which the
 * caches keep 3 MB at most, so 0.4 MB a run at 1.65 GB/s. */
static void cold_data_has_a_roof(void **state)
{
    (void)state;
    struct problem p;
    char reason[256];
    struct arm a = {.numerics = NUM_F32,
                    .n = 9,
                    .copies = 5,
                    .cache = CACHE_COLD_WEIGHTS,
                    .cache_bytes = 2000000,
                    .summary.median = 0.23e-3};
    assert_int_equal(shape_parse("linear:S=1,K=500,O=500,bias=0", &p, NULL), ST_OK);
    a.flops = problem_flops(&p);
    struct roof roof = slow;
    roof.flops = 1e12;
    assert_true(roof_beaten(&roof, &p, &a, reason, sizeof reason));
    assert_non_null(strstr(reason, "0.4 MB beyond the caches"));
    a.summary.median = 0.25e-3;
    assert_false(roof_beaten(&roof, &p, &a, reason, sizeof reason));
    a.summary.median = 1e-6;
    a.numerics = NUM_INT8; /* packed weights a quarter as wide: the caches may keep them all */
    assert_false(roof_beaten(&roof, &p, &a, reason, sizeof reason));
    a.numerics = NUM_F32;
    a.copies = 1;
    a.cache = CACHE_HOT;
    assert_false(roof_beaten(&roof, &p, &a, reason, sizeof reason));
}

/* Units for narrow types have roofs of their own. */
static void every_class_has_a_roof(void **state)
{
    (void)state;
    struct roof two = slow;
    two.class_flops[NUM_BF16] = 16e9;
    static const struct judged rows[] = {
        {"linear:S=10,K=100,O=1000,type=bf16", NUM_BF16, 0, 0.115e-3, NULL},
        {"linear:S=10,K=100,O=1000,type=bf16", NUM_BF16, 0, 0.113e-3, "peak of 16.0 GFLOP/s"},
        {"linear:S=10,K=100,O=1000,type=f32", NUM_INT8, 0, 1e-6, NULL}}; /* not measured */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        judge_one(&two, &rows[i]);
    struct problem p;
    struct arm a = {.numerics = NUM_BF16, .n = 9, .summary = {.n = 9, .median = 1}};
    two.class_flops[NUM_BF16] = 0;
    assert_int_equal(shape_parse(rows[0].shape, &p, NULL), ST_OK);
    roof_measure_classes(&two, 1, &p, &a, 1);
    assert_true(two.class_flops[NUM_BF16] > 1e8);
}

/* A device of 1 TFLOP/s in f32 and 10 in bf16 whose bus carries 1 GB/s, with a cache of 1 MB. */
static void a_device_has_a_roof_for_every_class(void **state)
{
    (void)state;
    static const struct roof gpu = {.device = true,
                                    .isa = "test",
                                    .class_flops = {[NUM_F32] = 1e12, [NUM_BF16] = 1e13},
                                    .bus_bytes = 1e9,
                                    .copy_bytes = 5e8,
                                    .cache_bytes = 1e6};
    static const struct judged rows[] = {
        {"linear:S=100,K=100,O=1000", NUM_F32, 0, 18.3e-6, NULL},
        {"linear:S=100,K=100,O=1000", NUM_F32, 0, 18.1e-6, "20 MFLOP need at a peak of 1000.0"},
        {"linear:S=100,K=100,O=1000,type=bf16", NUM_BF16, 0, 1.83e-6, NULL},
        {"linear:S=100,K=100,O=1000,type=bf16", NUM_BF16, 0, 1.81e-6, "peak of 10000.0 GFLOP/s"},
        {"linear:S=100,K=100,O=1000", NUM_FP8, 0, 1e-9, NULL}, /* not in the table */
        {"elementwise:S=1000,C=1000,kind=copy", NUM_F32, 0, 6.37e-3, NULL},
        {"elementwise:S=1000,C=1000,kind=copy", NUM_F32, 0, 6.36e-3, "the bus reaches 1.0 GB/s"},
        {"elementwise:S=1000,C=1000,kind=copy,type=bf16", NUM_BF16, 0, 2.72e-3, "the bus"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        judge_one(&gpu, &rows[i]);
    struct problem large;
    struct arm a = {.numerics = NUM_F32, .n = 9, .summary.median = 1e-6};
    assert_int_equal(shape_parse("elementwise:S=1000,C=1000,kind=copy", &large, NULL), ST_OK);
    assert_false(roof_needs_copy(&gpu, &large, &a));
}

static void copies_are_measured_only_where_they_tell(void **state)
{
    (void)state;
    struct problem large, small;
    struct arm a = {.numerics = NUM_F32, .n = 9, .summary.median = 1e-6};
    struct roof fresh = slow;
    fresh.copy_bytes = 0;
    assert_int_equal(shape_parse("elementwise:S=1000,C=1000,kind=copy", &large, NULL), ST_OK);
    assert_int_equal(shape_parse("elementwise:S=10,C=1000,kind=copy", &small, NULL), ST_OK);
    assert_true(roof_needs_copy(&fresh, &large, &a));
    assert_false(roof_needs_copy(&fresh, &small, &a));
    assert_true(roof_needs_copy(&slow, &large, &a)); /* beaten: once more, to be sure */
    a.summary.median = 1;
    assert_false(roof_needs_copy(&slow, &large, &a));
}

/* A device is warm where neither clock nor power moves any more; what is not told does not hinder. */
static void a_device_settles(void **state)
{
    (void)state;
    struct nvml_sample cold[5], warm[5];
    for (int i = 0; i < 5; i++) {
        for (int f = 0; f < NVML_FIGURES; f++)
            cold[i].figure[f] = warm[i].figure[f] = NAN;
        cold[i].figure[NVML_SM_CLOCK] = 1.980e9;
        warm[i].figure[NVML_SM_CLOCK] = 1.965e9;
        cold[i].figure[NVML_POWER] = 600 + i;
        warm[i].figure[NVML_POWER] = 612 + i;
    }
    assert_true(settle_flat(cold, 5, warm, 5));
    assert_false(settle_flat(cold, 0, warm, 5)); /* the first stretch has none before it */
    warm[0].figure[NVML_SM_CLOCK] = 1e9;         /* one look is no level */
    assert_true(settle_flat(cold, 5, warm, 5));
    for (int i = 0; i < 5; i++)
        warm[i].figure[NVML_SM_CLOCK] = 1.9e9;
    assert_false(settle_flat(cold, 5, warm, 5));
    for (int i = 0; i < 5; i++) {
        warm[i].figure[NVML_SM_CLOCK] = NAN;
        warm[i].figure[NVML_POWER] = 650;
    }
    assert_false(settle_flat(cold, 5, warm, 5));
}

static void plugin_is_timed_like_ours(void **state)
{
    (void)state;
    struct spawned s = KERNELS("linear", "--shape=linear:S=40,K=64,O=48", "--repetitions=6",
                               "--budget=1", "--plugin=" BUILD_DIR "/tests/plugin/linear_rows.so");
    expect(&s, 0, "rows_90_double", NULL);
    assert_null(strstr(s.out, "refused"));
}

static void refusal_is_a_row_with_its_reason(void **state)
{
    (void)state;
    struct spawned s = KERNELS("linear/rows_90_double", "--shape=linear:S=4,K=8,O=8,epilogue=gelu",
                               "--plugin=" BUILD_DIR "/tests/plugin/linear_rows.so");
    expect(&s, 3, "takes the epilogues none and add", NULL);
    expect(&s, 3, "nothing was timed", NULL);
    assert_int_equal(lines_with(s.out, "refused"), 1);
}

/* Neither a machine without a GPU nor one with a few has the last of a thousand. */
static void a_device_that_is_not_here_is_one_sentence(void **state)
{
    (void)state;
    struct spawned s = KERNELS("linear", "--device=cuda:999");
    expect(&s, 3, "", "CUDA device");
    assert_int_equal(lines_with(s.err, "\n"), 1);
    assert_string_equal(s.out, "");
}

static void only_the_devices_own_variants_meet(void **state)
{
    (void)state;
    struct spawned s = KERNELS("rms_norm", SMALL, "--repetitions=6", "--budget=1");
    expect(&s, 0, "c_01_plain", NULL);
    assert_null(strstr(s.out, "cuda"));
}

static void bad_input_is_one_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *words[3], *says;
    } rows[] = {{{"lineer"}, "lineer"},
                {{"linear/c_01_plian"}, "did you mean linear/c_01_plain"},
                {{"linear", "--shape=linear:S=0,K=1,O=1"}, "S"},
                {{"linear", "--shape=rms_norm:S=3,C=4"}, "rms_norm"},
                {{"linear", "--budget=0"}, "--budget"},
                {{"linear", "--threads=0"}, "--threads"},
                {{"linear", "--repetitions=-1"}, "--repetitions"},
                {{"linear", "--backend=stopwatch"}, "--backend"},
                {{"linear", "--backend=events"}, "--backend"},
                {{"linear/cuda_*"}, "add --device cuda:0"},
                {{"linear", "--device=gpu"}, "cpu or cuda:N"},
                {{"linear", "--format=xml"}, "--format"},
                {{"linear", "--counters="}, "counter"},
                {{"linear", "--plugin=nothing.so"}, "nothing.so"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spawned s = kernels(rows[i].words);
        expect(&s, 2, NULL, rows[i].says);
        assert_string_equal(s.out, "");
        assert_int_equal(lines_with(s.err, "\n"), 1);
    }
}

/* Ctrl-C: workers are gone, nothing half-written stays, and the exit code says so. */
static void interrupt_leaves_nothing_behind(void **state)
{
    (void)state;
    char *folder = temporary_folder(), option[512];
    snprintf(option, sizeof option, "--results=%s", folder);
    char *argv[] = {PROGRAM, "kernels", "linear", "--budget=60", "--threads=1", option, NULL};
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", 1, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", 1, 0);
    assert_int_equal(posix_spawn(&pid, PROGRAM, &quiet, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&quiet);
    nanosleep(&(struct timespec){.tv_nsec = 800000000}, NULL);
    kill(pid, SIGINT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_null(record_in(folder));
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_names_variants_and_a_verdict),
        cmocka_unit_test(glob_filters_variants),
        cmocka_unit_test(cache_state_is_part_of_the_case),
        cmocka_unit_test(both_back_ends_are_named),
        cmocka_unit_test(document_is_json_and_nothing_else),
        cmocka_unit_test(record_appears_and_is_named),
        cmocka_unit_test(crash_costs_one_row),
        cmocka_unit_test(hang_costs_one_row),
        cmocka_unit_test(wrong_variant_is_not_timed),
        cmocka_unit_test(time_below_the_floor_is_not_believed),
        cmocka_unit_test(arithmetic_has_a_roof),
        cmocka_unit_test(memory_has_a_roof),
        cmocka_unit_test(cold_data_has_a_roof),
        cmocka_unit_test(every_class_has_a_roof),
        cmocka_unit_test(a_device_has_a_roof_for_every_class),
        cmocka_unit_test(copies_are_measured_only_where_they_tell),
        cmocka_unit_test(a_device_settles),
        cmocka_unit_test(plugin_is_timed_like_ours),
        cmocka_unit_test(refusal_is_a_row_with_its_reason),
        cmocka_unit_test(a_device_that_is_not_here_is_one_sentence),
        cmocka_unit_test(only_the_devices_own_variants_meet),
        cmocka_unit_test(bad_input_is_one_sentence),
        cmocka_unit_test(interrupt_leaves_nothing_behind),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
