// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_gpu_scripts.c   harness/scripts/nvcc.sh, cuda_report.sh and gpu_check.sh where there is
 * neither a GPU nor the CUDA Toolkit: scripts in a temporary folder stand in for nvcc and for the
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/files.h"
#include "support/spawn.h"

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

static const char *script(const char *name, const char *body)
{
    const char *path = at("%s/%s", folder, name), *text = at("#!/bin/bash\n%s\n", body);
    file_write(path, text, true);
    return path;
}

/* ---- nvcc.sh --------------------------------------------------------------------------------- */

#define CLEAN                                                                                      \
    "ptxas info    : Compiling entry function '_Z4goodILi64EEvPf' for 'sm_90a'\n"                  \
    "ptxas info    : Function properties for _Z4goodILi64EEvPf\n"                                  \
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"                         \
    "ptxas info    : Used 40 registers, used 2 barriers, 4096 bytes smem\n"
#define SPILLS                                                                                     \
    "ptxas info    : Compiling entry function '_Z5tightPf' for 'sm_80'\n"                          \
    "ptxas info    : Function properties for _Z5tightPf\n"                                         \
    "    440 bytes stack frame, 812 bytes spill stores, 880 bytes spill loads\n"                   \
    "ptxas info    : Used 64 registers, used 0 barriers, 440 bytes cumulative stack size\n"

/* A compiler with this report and exit code. */
static struct spawned compile(const char *report, int code)
{
    char body[2048], nvcc[512];
    snprintf(body, sizeof body,
             "cat <<'END'\n%sEND\nwhile [ $# -gt 1 ]; do [ \"$1\" = -o ] && touch \"$2\"; shift; "
             "done\nexit %d",
             report, code);
    snprintf(nvcc, sizeof nvcc, "NVCC=%s", script("nvcc", body));
    const char *argv[] = {
        "env", nvcc, "harness/scripts/nvcc.sh", "kernels/a.cu", at("%s/obj/a.cu.o", folder),
        "-O3", NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void clean_kernels_compile_in_silence(void **state)
{
    (void)state;
    struct spawned s = compile(CLEAN, 0);
    assert_int_equal(s.code, 0);
    assert_string_equal(s.err, "");
    assert_string_equal(s.out, "");
    assert_true(file_exists(at("%s/obj/a.cu.o", folder)));
}

static void findings_fail_the_build(void **state)
{
    (void)state;
    static const struct {
        const char *report, *sentence;
    } rows[] = {
        {SPILLS CLEAN, "spills registers for sm_80: 812 bytes stored, 880 loaded"},
        {"ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored; unable to "
         "determine register count at entry.\n" CLEAN,
         "kernels/a.cu: in one of its kernels 'setmaxnreg' ignored; unable to determine register "
         "count at entry (C7508)"},
        {"ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are "
         "serialized due to a call in the function '_Z5tightPf'\n" CLEAN,
         "wgmma.mma_async instructions are serialized due to a call (C7510)"},
        {"ptxas info    : (C7515) Potential Performance Loss: wgmma is serialized in function "
         "'_Z5tightPf'\n" CLEAN,
         "wgmma is serialized (C7515)"},
        {"ptxas info    : (C7517) warpgroup.wait is injected in around line 62 by compiler to "
         "allow use of registers defined by GMMA in function '_Z5tightPf'\n" CLEAN,
         "warpgroup.wait is injected by compiler to allow use of registers defined by GMMA "
         "(C7517)"},
        {"ptxas info    : (C7519) warpgroup.arrive is injected in around line 5 by compiler to "
         "allow use of registers in GMMA in function '_Z5tightPf'\n" CLEAN,
         "warpgroup.arrive is injected by compiler to allow use of registers in GMMA (C7519)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spawned s = compile(rows[i].report, 0);
        assert_int_equal(s.code, 1);
        if (!has(s.err, rows[i].sentence) || !has(s.err, i == 1 ? "" : "tight"))
            fail_msg("'%s' is not in '%s'", rows[i].sentence, s.err);
        assert_ptr_equal(strchr(s.err, '\n'), s.err + strlen(s.err) - 1);
        assert_false(file_exists(at("%s/obj/a.cu.o", folder)));
    }
}

static void errors_and_warnings_are_shown(void **state)
{
    (void)state;
    struct spawned s = compile("a.cu(3): error: identifier \"x\" is undefined\n" CLEAN, 2);
    assert_int_equal(s.code, 1);
    assert_string_equal(s.err, "a.cu(3): error: identifier \"x\" is undefined\n");
    s = compile("a.cu(3): warning: variable \"y\" was declared but never used\n" CLEAN, 0);
    assert_int_equal(s.code, 0);
    assert_true(has(s.err, "never used"));
    assert_false(has(s.err, "ptxas"));
}

static void the_report_has_every_kernel(void **state)
{
    (void)state;
    assert_int_equal(compile(CLEAN SPILLS, 0).code, 1);
    const char *argv[] = {"harness/scripts/cuda_report.sh", folder, NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    assert_int_equal(s.code, 0);
    assert_true(has(s.out, "good") && has(s.out, "tight"));
    assert_true(has(s.out, "sm_90a          40    4096      0       0      0        2"));
    assert_true(has(s.out, "sm_80           64       0    440     812    880        0"));
    const char *none[] = {"harness/scripts/cuda_report.sh", "/nonexistent", NULL};
    assert_int_equal(spawn_program((char *const *)none, NULL).code, 3);
}

/* ---- gpu_check.sh ---------------------------------------------------------------------------- */

/* The program answers its first questions with `facts`, and verify with `verify`. */
static struct spawned check(const char *parts, const char *facts, const char *verify)
{
    char body[1024], program[512], out[512], which[256];
    snprintf(body, sizeof body,
             "case \"$*\" in\n  *--facts*) %s ;;\n  verify*) %s ;;\n"
             "  *) echo \"$1 ran\" ;;\nesac",
             facts, verify);
    snprintf(program, sizeof program, "PATCHMARK=%s", script("program", body));
    snprintf(out, sizeof out, "GPU_CHECK_OUT=%s/out", folder);
    snprintf(which, sizeof which, "GPU_CHECK=%s", parts);
    const char *argv[] = {
        "env", program, out, which, "GPU_CHECK_SECONDS=60", "harness/scripts/gpu_check.sh", NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void no_gpu_is_one_sentence(void **state)
{
    (void)state;
    struct spawned s = check("", "echo 'patchmark: there is no GPU' >&2; exit 3", "exit 1");
    assert_int_equal(s.code, 3);
    assert_string_equal(s.out, "gpu-check: there is no GPU\n");
    char *summary = file_read(at("%s/out/summary.tsv", folder), NULL);
    assert_true(has(summary, "parity\tparity\tunavailable\tthere is no GPU\n"));
    assert_true(has(summary, "sanitizer\tsanitizer\tunavailable\tthere is no GPU\n"));
    free(summary);
}

static void parts_are_chosen_and_summed_up(void **state)
{
    (void)state;
    struct spawned s = check("parity,pipeline", "echo 'a GPU'", "echo '3 variants: 3 passed'");
    assert_int_equal(s.code, 0);
    assert_true(has(s.out, "3 variants: 3 passed"));
    assert_false(has(s.out, "== attention"));
    char *summary = file_read(at("%s/out/summary.tsv", folder), NULL);
    assert_true(has(summary, "parity\tevery variant against the reference\tpassed\t3 variants"));
    assert_true(has(summary, "pipeline\ta clip of the model tiny\tpassed\tgenerate ran"));
    free(summary);
    char *log = file_read(at("%s/out/log.txt", folder), NULL);
    assert_true(has(log, "== summary"));
    free(log);
}

static void a_failed_parity_fails_it_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct spawned s =
        check("parity,pipeline", "echo 'a GPU'", "echo '3 variants: 1 failed'; exit 1");
    assert_int_equal(s.code, 1);
    assert_true(has(s.out, "exit code 1: 3 variants: 1 failed"));
    assert_true(has(s.out, "generate ran"));
}

static void what_cannot_run_is_no_failure(void **state)
{
    (void)state;
    struct spawned s = check("parity", "echo 'a GPU'", "echo 'nothing was built'; exit 3");
    assert_int_equal(s.code, 0);
    assert_true(has(s.out, "unavailable  every variant against the reference: nothing was built"));
}

static void unknown_parts_are_refused(void **state)
{
    (void)state;
    struct spawned s = check("parity,paritty", "exit 0", "exit 0");
    assert_int_equal(s.code, 2);
    assert_true(has(s.err, "'paritty'"));
}

static int make_folders(void **state)
{
    char *made[] = {"mkdir", NULL, NULL};
    folder_make(state);
    made[1] = (char *)at("%s/obj", folder);
    return spawn_program(made, NULL).code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_kernels_compile_in_silence),
        cmocka_unit_test(findings_fail_the_build),
        cmocka_unit_test(errors_and_warnings_are_shown),
        cmocka_unit_test(the_report_has_every_kernel),
        cmocka_unit_test(no_gpu_is_one_sentence),
        cmocka_unit_test(parts_are_chosen_and_summed_up),
        cmocka_unit_test(a_failed_parity_fails_it_and_the_rest_goes_on),
        cmocka_unit_test(what_cannot_run_is_no_failure),
        cmocka_unit_test(unknown_parts_are_refused),
    };
    return cmocka_run_group_tests_name("gpu scripts", tests, make_folders, folder_drop);
}
