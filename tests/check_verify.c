// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_verify.c   The whole of verify, as `make bench` runs it: every variant that can run here,
 * and every plan from block to frames; what it says where there is no device; its records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "records/ran_on.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define EMULATED BUILD_DIR "/emu/opt/patchmark"

static struct spawned verify_by(const char *program, const char *const *words)
{
    const char *argv[12] = {program, "verify"};
    for (int i = 0; words[i] && i < 9; i++)
        argv[i + 2] = words[i];
    return spawn_program((char *const *)argv, NULL);
}

static struct spawned verify(const char *const *words)
{
    return verify_by(BUILD_DIR "/patchmark", words);
}
#define VERIFY(...) verify((const char *const[]){__VA_ARGS__, NULL})

static void expect(const struct spawned *s, int code, const char *in_out, const char *in_err)
{
    if (s->code != code || !strstr(s->out, in_out) || !strstr(s->err, in_err))
        fail_msg("exit code %d where %d was due, or '%s' or '%s' is missing\n%s\n%s", s->code, code,
                 in_out, in_err, s->out, s->err);
}

static int lines_with(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

/* A machine without a GPU says so once, not once for every variant; a document has every row. */
static void missing_devices_are_one_line(void **state)
{
    (void)state;
    struct spawned s = VERIFY("cuda_01_*", "--level", "op", "--device", "cuda:999");
    expect(&s, 3, "", "CUDA device");
    s = VERIFY("cuda_01_*", "--level", "op");
    if (s.code != 3)
        skip(); /* there is a device, and they ran */
    expect(&s, 3, " 0 passed, 0 failed, 0 refused, ", "");
    if (lines_with(s.out, "cuda: ") != 1 || lines_with(s.out, "/cuda_01") != 0)
        fail_msg("%s", s.out);
    int variants = atoi(strstr(s.out, "cuda: ") + strlen("cuda: "));
    assert_true(variants > 1);
    s = VERIFY("cuda_01_*", "--level", "op", "--format", "json");
    assert_int_equal(lines_with(s.out, "\"variant\": \"cuda_01"), variants);
    assert_int_equal(lines_with(s.out, "\"device\": \"cuda:0\""), variants);
    assert_int_equal(lines_with(s.out, "\"ran_on\": null"), variants);
}

static void devices_pick_their_own_variants(void **state)
{
    (void)state;
    struct spawned s = VERIFY("rms_norm", "--level", "op", "--device", "cpu");
    expect(&s, 0, "rms_norm/c_01_plain", "");
    assert_null(strstr(s.out, "cuda"));
    s = VERIFY("cuda_01_*", "--device", "cpu");
    expect(&s, 2, "", "add --device cuda:0");
    s = VERIFY("rms_norm", "--device", "tpu");
    expect(&s, 2, "", "cpu or cuda:N");
}

/* ---- records --------------------------------------------------------------------------------- */

#define SMALL "--level=op", "--threads=1", "--shape=rms_norm:S=3,C=8"

static int files_like(const char *pattern)
{
    glob_t files;
    int count = glob(pattern, 0, NULL, &files) == 0 ? (int)files.gl_pathc : 0;
    globfree(&files);
    return count;
}

static enum ran ran(const char *name, const char *op, const char *variant)
{
    char where[256];
    return ran_on_find(at("%s/%s", folder, name), op, variant, where, sizeof where);
}

/* What served linear in the plan of the only record of a folder. */
static const char *linear_in_plan(const char *name)
{
    static char variant[64];
    glob_t files;
    assert_int_equal(glob(at("%s/%s/*/*.jsonl", folder, name), 0, NULL, &files), 0);
    char *text = file_read(files.gl_pathv[0], NULL);
    const char *plan =
        text ? strstr(text, "\",\"plan\":\"") : NULL; /* the recipe's is its first member */
    const char *word = plan ? strstr(plan, " linear=") : NULL;
    if (!word || sscanf(word, " linear=%63[^+ \"]", variant) != 1)
        fail_msg("no linear in the plan of %s", files.gl_pathv[0]);
    free(text);
    globfree(&files);
    return variant;
}

/* What passed on this machine is known to have run on it; what failed is kept and is not. */
static void a_record_is_evidence(void **state)
{
    (void)state;
    const char *results = at("--results=%s/cpu", folder);
    struct spawned s = VERIFY("rms_norm", SMALL, "--device=cpu", results,
                              "--plugin=" BUILD_DIR "/tests/broken/wrong_scale.so");
    expect(&s, 1, "record: ", "");
    assert_int_equal(files_like(at("%s/cpu/*/*.jsonl", folder)), 1);
    assert_int_equal(ran("cpu", "rms_norm", "c_01_plain"), RAN_HARDWARE);
    assert_int_equal(ran("cpu", "rms_norm", "broken_90_wrong_scale"), RAN_NOWHERE);
    assert_int_equal(ran("cpu", "rms_norm", "cuda_01_plain"), RAN_NOWHERE);
}

/* Variants and plans share a record, and what served in a plan that passed has run too. */
static void a_plan_is_evidence_for_what_is_in_it(void **state)
{
    (void)state;
    struct spawned s = VERIFY("rms_norm/c_01_plain", SMALL, "--level=all", "--device=cpu",
                              "--format=json", at("--results=%s/plan", folder));
    expect(&s, 0, at("\"record\": \"%s/plan/", folder), "");
    assert_true(json_valid(s.out));
    assert_int_equal(files_like(at("%s/plan/*/*.jsonl", folder)), 1);
    assert_int_equal(ran("plan", "rms_norm", "c_01_plain"), RAN_HARDWARE);
    assert_int_equal(ran("plan", "linear", linear_in_plan("plan")), RAN_HARDWARE);
    assert_int_equal(ran("plan", "rms_norm", "cuda_01_plain"), RAN_NOWHERE);
}

/* A plan that ran to the end and is wrong is no evidence, and its row says what is off. */
static void a_wrong_plan_is_kept_and_is_no_evidence(void **state)
{
    (void)state;
    struct spawned s = VERIFY("rms_norm/broken_90_*", "--level=pipeline", "--threads=1",
                              "--plugin=" BUILD_DIR "/tests/broken/wrong_scale.so",
                              at("--results=%s/wrong", folder));
    expect(&s, 1, "one block is off by", "");
    expect(&s, 1, "record: ", "");
    assert_int_equal(files_like(at("%s/wrong/*/*.jsonl", folder)), 1);
    assert_int_equal(ran("wrong", "rms_norm", "broken_90_wrong_scale"), RAN_NOWHERE);
    assert_int_equal(ran("wrong", "linear", linear_in_plan("wrong")), RAN_NOWHERE);
}

static void a_document_names_its_record(void **state)
{
    (void)state;
    const char *results = at("--results=%s/json", folder);
    struct spawned s = VERIFY("rms_norm", SMALL, "--device=cpu", "--format=json", results);
    expect(&s, 0, at("\"record\": \"%s/json/", folder), "");
    assert_true(json_valid(s.out));
    s = VERIFY("rms_norm", SMALL, "--device=cpu", "--format=json");
    expect(&s, 0, "\"record\": null", "");
}

static void records_are_asked_for(void **state)
{
    (void)state;
    struct spawned s = VERIFY("rms_norm", SMALL, "--device=cpu");
    assert_null(strstr(s.out, "record: "));
}

/* Where no plan can run there is nothing to keep. */
static void no_plan_leaves_no_record(void **state)
{
    (void)state;
    const char *results = at("--results=%s/nothing", folder);
    struct spawned s = VERIFY("rms_norm/cuda_01_plain", "--level=pipeline", results);
    if (s.code != 3)
        skip(); /* there is a device, and it ran */
    assert_false(file_exists(at("%s/nothing", folder)));
}

/* In emulation the machine is no GPU, and a pass is told apart from one on hardware. */
static void emulation_has_records_of_its_own(void **state)
{
    (void)state;
    if (!file_exists(EMULATED))
        skip();
    const char *results = at("--results=%s/emulated", folder);
    struct spawned s = verify_by(EMULATED, (const char *const[]){"rms_norm", SMALL, results, NULL});
    expect(&s, 0, "2 passed", "");
    assert_int_equal(files_like(at("%s/emulated/cuda-emulation-*/*.jsonl", folder)), 1);
    assert_int_equal(ran("emulated", "rms_norm", "cuda_01_plain"), RAN_EMULATED);
    assert_int_equal(ran("emulated", "rms_norm", "c_01_plain"), RAN_HARDWARE);
    s = verify_by(EMULATED, (const char *const[]){"rms_norm/c_*", SMALL, results, NULL});
    expect(&s, 0, "1 passed", "");
    assert_int_equal(files_like(at("%s/emulated/cuda-emulation-*/*.jsonl", folder)), 1);
    assert_int_equal(files_like(at("%s/emulated/*/*.jsonl", folder)), 2);
}

static void everything_here_agrees_with_the_reference(void **state)
{
    struct spawned s = verify((const char *const[]){NULL});
    (void)state;
    if (s.code != 0 || !strstr(s.out, " 0 failed") || !strstr(s.out, "outlier"))
        fail_msg("exit %d:\n%s%s", s.code, s.out, s.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_devices_are_one_line),
        cmocka_unit_test(devices_pick_their_own_variants),
        cmocka_unit_test(a_record_is_evidence),
        cmocka_unit_test(a_plan_is_evidence_for_what_is_in_it),
        cmocka_unit_test(a_wrong_plan_is_kept_and_is_no_evidence),
        cmocka_unit_test(a_document_names_its_record),
        cmocka_unit_test(records_are_asked_for),
        cmocka_unit_test(no_plan_leaves_no_record),
        cmocka_unit_test(emulation_has_records_of_its_own),
        cmocka_unit_test(everything_here_agrees_with_the_reference),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
