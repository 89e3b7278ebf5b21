// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_ran_on.c   Only a record of a timed run or a passed check says that a variant ran on its
 * hardware. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "records/ran_on.h"
#include "support/files.h"
#include "support/spawn.h"

#define KERNEL(status, ran, op, variant)                                                           \
    "{\"kind\":\"case\",\"case_kind\":\"kernel\",\"status\":\"" status "\",\"ran_on\":" ran        \
    ",\"recipe\":{\"op\":\"" op "\"},\"impl\":{\"variant\":\"" variant "\"}}\n"
#define PIPELINE(status, plan)                                                                     \
    "{\"kind\":\"case\",\"case_kind\":\"pipeline\",\"status\":\"" status "\",\"ran_on\":\"cpu\","  \
    "\"recipe\":{\"plan\":\"" plan "\"}}\n"
#define VERIFY(status, ran, op, variant)                                                           \
    "{\"kind\":\"case\",\"case_kind\":\"verify\",\"status\":\"" status "\",\"ran_on\":" ran        \
    ",\"recipe\":{\"op\":\"" op "\"},\"impl\":{\"variant\":\"" variant "\"}}\n"
#define PARITY(status, ran, words, plan)                                                           \
    "{\"kind\":\"case\",\"case_kind\":\"parity\",\"status\":\"" status "\",\"ran_on\":" ran        \
    ",\"recipe\":{\"plan\":\"" words "\"},\"impl\":{\"requested\":\"" words "\",\"plan\":" plan    \
    "}}\n"

static void write_records(const char *machine, const char *name, const char *text)
{
    mkdir(at("%s/%s", folder, machine), 0777);
    file_write(at("%s/%s/%s", folder, machine, name), text, false);
}

static void expect_ran(enum ran want, const char *op, const char *variant, const char *place)
{
    char where[256] = "";
    enum ran ran = ran_on_find(folder, op, variant, where, sizeof where);
    if (ran != want || (place && strcmp(where, place) != 0))
        fail_msg("%s/%s: '%s' (%d), wanted '%s' (%d)", op, variant, where, (int)ran,
                 place ? place : "no record", (int)want);
}

static void expect(const char *op, const char *variant, const char *want)
{
    expect_ran(want ? RAN_HARDWARE : RAN_NOWHERE, op, variant, want);
}

static void records_decide(void **state)
{
    (void)state;
    expect("linear", "a_01_x", NULL);
    write_records("epyc-1", "20260101T000000Z-aaa.jsonl",
                  KERNEL("passed", "\"cpu\"", "linear", "a_01_x")
                      KERNEL("wrong", "\"cpu\"", "linear", "b_01_x")
                          KERNEL("passed", "null", "linear", "c_01_x")
                              VERIFY("wrong", "\"cuda\"", "linear", "d_01_x"));
    write_records("xeon-2", "20260202T000000Z-bbb-dirty.jsonl",
                  PIPELINE("unstable", "attention=e_01_y linear=f_01_x+g_01_x")
                      PIPELINE("crashed", "linear=h_01_x"));
    expect("linear", "a_01_x", "epyc-1 at aaa");
    expect("attention", "a_01_x", NULL);
    expect("linear", "a_01", NULL);
    expect("linear", "b_01_x", NULL);
    expect("linear", "c_01_x", NULL);
    expect("linear", "d_01_x", NULL);
    expect("attention", "e_01_y", "xeon-2 at bbb-dirty");
    expect("linear", "e_01_y", NULL);
    expect("linear", "g_01_x", "xeon-2 at bbb-dirty");
    expect("linear", "h_01_x", NULL);
}

static void the_newest_record_is_named(void **state)
{
    (void)state;
    write_records("a-later", "20260303T000000Z-ccc.jsonl",
                  KERNEL("passed", "\"cpu\"", "linear", "a_01_x"));
    expect("linear", "a_01_x", "a-later at ccc");
}

/* A check in emulation is told apart, and gives way to any run on a GPU. */
static void emulation_is_no_hardware(void **state)
{
    (void)state;
    write_records("cuda-emulation-3", "20260404T000000Z-ddd.jsonl",
                  VERIFY("passed", "\"emulated\"", "linear", "sm_01_x")
                      VERIFY("passed", "\"emulated\"", "linear", "sm_02_x")
                          VERIFY("crashed", "\"emulated\"", "linear", "sm_03_x"));
    write_records("h-4", "20260101T000000Z-eee.jsonl",
                  VERIFY("passed", "\"cuda\"", "linear", "sm_02_x"));
    expect_ran(RAN_EMULATED, "linear", "sm_01_x", "cuda-emulation-3 at ddd");
    expect_ran(RAN_HARDWARE, "linear", "sm_02_x", "h-4 at eee");
    expect_ran(RAN_NOWHERE, "linear", "sm_03_x", NULL);
}

/* What counts is the plan that came of the words, and only where its frames were right. */
static void plans_that_passed_count(void **state)
{
    (void)state;
    write_records("cuda-emulation-5", "20260505T000000Z-fff.jsonl",
                  PARITY("passed", "\"emulated\"", "auto", "\"qkv=p_01_x linear=p_02_x+p_03_x\"")
                      PARITY("wrong", "\"emulated\"", "linear=p_04_x", "\"linear=p_04_x\"")
                          PARITY("refused", "null", "linear=p_05_x", "null"));
    write_records("h-6", "20260101T000000Z-abc.jsonl",
                  PARITY("passed", "\"cuda\"", "linear=p_06_x", "\"linear=p_03_x\""));
    expect_ran(RAN_EMULATED, "qkv", "p_01_x", "cuda-emulation-5 at fff");
    expect_ran(RAN_EMULATED, "linear", "p_02_x", "cuda-emulation-5 at fff");
    expect_ran(RAN_HARDWARE, "linear", "p_03_x", "h-6 at abc");
    expect_ran(RAN_NOWHERE, "qkv", "p_02_x", NULL);
    for (int i = 4; i <= 6; i++)
        expect_ran(RAN_NOWHERE, "linear", at("p_%02d_x", i), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_decide),
        cmocka_unit_test(the_newest_record_is_named),
        cmocka_unit_test(emulation_is_no_hardware),
        cmocka_unit_test(plans_that_passed_count),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
