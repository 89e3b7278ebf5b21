// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_verify.c   The whole of verify, as `make bench` runs it: every variant that can run here,
 * and every plan from block to frames. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support/spawn.h"

static void everything_here_agrees_with_the_reference(void **state)
{
    const char *argv[] = {BUILD_DIR "/patchmark", "verify", NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    (void)state;
    if (s.code != 0 || !strstr(s.out, " 0 failed") || !strstr(s.out, "outlier"))
        fail_msg("exit %d:\n%s%s", s.code, s.out, s.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_here_agrees_with_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
