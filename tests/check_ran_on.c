// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_ran_on.c   Only a record of a timed run says that a variant ran on its hardware. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ran_on.h"
#include "support/files.h"
#include "support/spawn.h"

#define KERNEL(status, ran, op, variant)                                                           \
    "{\"kind\":\"case\",\"case_kind\":\"kernel\",\"status\":\"" status "\",\"ran_on\":" ran        \
    ",\"recipe\":{\"op\":\"" op "\"},\"impl\":{\"variant\":\"" variant "\"}}\n"
#define PIPELINE(status, plan)                                                                     \
    "{\"kind\":\"case\",\"case_kind\":\"pipeline\",\"status\":\"" status "\",\"ran_on\":\"cpu\","  \
    "\"recipe\":{\"plan\":\"" plan "\"}}\n"

static void write_records(const char *machine, const char *name, const char *text)
{
    mkdir(at("%s/%s", folder, machine), 0777);
    file_write(at("%s/%s/%s", folder, machine, name), text, false);
}

static void expect(const char *op, const char *variant, const char *want)
{
    char where[256] = "";
    bool found = ran_on_find(folder, op, variant, where, sizeof where);
    if (found != (want != NULL) || (want && strcmp(where, want) != 0))
        fail_msg("%s/%s: '%s', wanted '%s'", op, variant, where, want ? want : "no record");
}

static void records_decide(void **state)
{
    (void)state;
    expect("linear", "a_01_x", NULL);
    write_records("epyc-1", "20260101T000000Z-aaa.jsonl",
                  KERNEL("passed", "\"cpu\"", "linear", "a_01_x")
                      KERNEL("wrong", "\"cpu\"", "linear", "b_01_x")
                          KERNEL("passed", "null", "linear", "c_01_x")
                              KERNEL("passed", "\"emulated\"", "linear", "d_01_x"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_decide),
        cmocka_unit_test(the_newest_record_is_named),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
