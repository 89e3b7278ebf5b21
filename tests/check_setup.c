// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_setup.c   harness/scripts/deps.sh on machines that lack things: a folder of links stands in
 * for PATH, and scripts in it for id, apt-get and the compiler. Nothing is installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/spawn.h"

struct machine {
    char *folder;
};

static void add_script(struct machine *m, const char *name, const char *body)
{
    char path[512], text[1024];
    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
    unlink(path);
    file_write(path, text, true);
}

static void add_link(struct machine *m, const char *name)
{
    char text[4096], target[512], link[512];
    snprintf(text, sizeof text, "%s", getenv("PATH"));
    for (char *rest = text, *folder; (folder = strsep(&rest, ":"));) {
        snprintf(target, sizeof target, "%s/%s", folder, name);
        snprintf(link, sizeof link, "%s/%s", m->folder, name);
        if (access(target, X_OK) == 0 && symlink(target, link) == 0)
            return;
    }
}

/* A machine with a shell and, where asked for, a compiler, and nothing else. */
static struct machine machine_new(bool compiler, const char *user)
{
    static const char *const tools[] = {"sh",   "mktemp", "rm",    "sed",
                                        "tail", "cat",    "touch", "chmod"};
    static const char *const compilers[] = {"gcc", "as", "ld"};
    struct machine m = {temporary_folder()};
    char body[64];
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        add_link(&m, tools[i]);
    for (size_t i = 0; compiler && i < sizeof compilers / sizeof compilers[0]; i++)
        add_link(&m, compilers[i]);
    snprintf(body, sizeof body, "echo %s", user);
    add_script(&m, "id", body);
    snprintf(body, sizeof body, "touch %s/called; exit 1", m.folder);
    add_script(&m, "apt-get", body);
    return m;
}

static bool apt_was_called(const struct machine *m)
{
    char path[512];
    snprintf(path, sizeof path, "%s/called", m->folder);
    return access(path, F_OK) == 0;
}

static struct spawned set_up(const struct machine *m, const char *goal, const char *extra)
{
    char path[512], copy[128];
    snprintf(path, sizeof path, "PATH=%s", m->folder);
    snprintf(copy, sizeof copy, "%s", extra);
    char *argv[] = {"/bin/sh", "harness/scripts/deps.sh", (char *)goal, NULL};
    char *environment[] = {path, copy, NULL};
    return spawn_program(argv, environment);
}

static void says_the_command_to_others(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    struct spawned s = set_up(&m, "all", "WITHOUT=");
    assert_int_equal(s.code, 0);
    assert_string_equal(s.out, "");
    assert_non_null(strstr(s.err, "    sudo apt-get update && sudo apt-get install -y "
                                  "--no-install-recommends pkg-config libopenblas-dev "));
    assert_non_null(strstr(s.err, "gnuplot-nox"));
    assert_non_null(strstr(s.err, "set-up: gnuplot is switched off"));
    assert_non_null(strstr(s.err, "set-up: hwloc is switched off"));
    assert_null(strstr(s.err, "cmocka"));
    assert_false(apt_was_called(&m));
    temporary_remove(m.folder);
}

static void leaves_alone_what_without_names(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    struct spawned s = set_up(&m, "all", "WITHOUT=all");
    assert_int_equal(s.code, 0);
    assert_string_equal(s.err, "");
    s = set_up(&m, "all", "WITHOUT=ffmpeg gnuplot");
    assert_null(strstr(s.err, "libavformat-dev"));
    assert_null(strstr(s.err, "gnuplot"));
    assert_non_null(strstr(s.err, "libpapi-dev"));
    temporary_remove(m.folder);
}

static void refuses_unknown_names(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    struct spawned s = set_up(&m, "all", "WITHOUT=papy");
    assert_int_equal(s.code, 2);
    assert_non_null(strstr(s.err, "'papy'"));
    temporary_remove(m.folder);
}

static void stops_without_a_compiler(void **state)
{
    (void)state;
    struct machine m = machine_new(false, "1000");
    struct spawned s = set_up(&m, "all", "WITHOUT=");
    assert_int_equal(s.code, 2);
    assert_non_null(strstr(s.err, "--no-install-recommends gcc libc6-dev"));
    assert_non_null(strstr(s.err, "no C compiler"));
    temporary_remove(m.folder);
}

static void stops_without_openmp(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    add_script(&m, "cc-plain", "case \"$*\" in *-fopenmp*) exit 1 ;; esac; exec gcc \"$@\"");
    struct spawned s = set_up(&m, "all", "CC=cc-plain");
    assert_int_equal(s.code, 2);
    assert_non_null(strstr(s.err, "OpenMP"));
    temporary_remove(m.folder);
}

static void asks_for_cmocka_only_to_test(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    add_script(&m, "cc-plain", "case \"$*\" in *-lcmocka*) exit 1 ;; esac; exec gcc \"$@\"");
    assert_int_equal(set_up(&m, "all", "CC=cc-plain").code, 0);
    struct spawned s = set_up(&m, "test", "CC=cc-plain");
    assert_int_equal(s.code, 2);
    assert_non_null(strstr(s.err, "libcmocka-dev"));
    temporary_remove(m.folder);
}

/* Another program's reading of our output is worth a test, not a stop. */
static void goes_on_without_readers_of_exports(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "1000");
    struct spawned s = set_up(&m, "test", "WITHOUT=all");
    assert_int_equal(s.code, 0);
    assert_non_null(
        strstr(s.err, "--no-install-recommends sqlite3 libbenchmark-tools python3-scipy\n"));
    assert_non_null(strstr(s.err, "set-up: sqlite3 is missing"));
    assert_non_null(strstr(s.err, "set-up: compare.py is missing"));
    assert_string_equal(set_up(&m, "all", "WITHOUT=all").err, "");
    add_script(&m, "sqlite3", "exit 0");
    add_script(&m, "dpkg-query", "[ \"$*\" = '-s libbenchmark-tools python3-scipy' ]");
    s = set_up(&m, "test", "WITHOUT=all");
    assert_int_equal(s.code, 0);
    assert_string_equal(s.err, "");
    temporary_remove(m.folder);
}

static void goes_on_where_installing_fails(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "0");
    add_script(&m, "apt-get", "echo 'E: no route to the mirror' >&2; exit 100");
    struct spawned s = set_up(&m, "all", "WITHOUT=");
    assert_int_equal(s.code, 0);
    assert_non_null(strstr(s.err, "E: no route to the mirror"));
    assert_non_null(strstr(s.err, "    apt-get update && apt-get install -y"));
    assert_non_null(strstr(s.err, "papi is switched off"));
    temporary_remove(m.folder);
}

static void installs_nothing_on_the_way_to_a_gpu(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "0");
    struct spawned s = set_up(&m, "gpu-check", "WITHOUT=");
    assert_int_equal(s.code, 0);
    assert_false(apt_was_called(&m));
    assert_non_null(strstr(s.err, "jansson is switched off"));
    assert_null(strstr(s.err, "cmocka"));
    assert_int_equal(set_up(&m, "gpu-bundle", "WITHOUT=").code, 0);
    assert_false(apt_was_called(&m));
    set_up(&m, "all", "WITHOUT=");
    assert_true(apt_was_called(&m));
    temporary_remove(m.folder);
}

static void installs_as_root_and_is_silent_afterwards(void **state)
{
    (void)state;
    struct machine m = machine_new(true, "0");
    char body[512];
    snprintf(body, sizeof body,
             "for tool in pkg-config gnuplot g++; do printf '#!/bin/sh\\n' "
             ">%s/$tool; chmod +x %s/$tool; done; echo \"$DEBIAN_FRONTEND $*\" >>%s/called",
             m.folder, m.folder, m.folder);
    add_script(&m, "apt-get", body);
    struct spawned s = set_up(&m, "all", "WITHOUT=");
    assert_int_equal(s.code, 0);
    assert_null(strstr(s.err, "switched off"));

    snprintf(body, sizeof body, "%s/called", m.folder);
    char *called = file_read(body, NULL);
    assert_non_null(called);
    const char *update = strstr(called, "update"), *install = strstr(called, "install -y");
    assert_true(update && install && update < install);
    assert_non_null(strstr(called, "noninteractive"));
    free(called);

    s = set_up(&m, "all", "WITHOUT=");
    assert_int_equal(s.code, 0);
    assert_string_equal(s.err, "");
    assert_string_equal(s.out, "");
    temporary_remove(m.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_the_command_to_others),
        cmocka_unit_test(leaves_alone_what_without_names),
        cmocka_unit_test(refuses_unknown_names),
        cmocka_unit_test(stops_without_a_compiler),
        cmocka_unit_test(stops_without_openmp),
        cmocka_unit_test(asks_for_cmocka_only_to_test),
        cmocka_unit_test(goes_on_without_readers_of_exports),
        cmocka_unit_test(goes_on_where_installing_fails),
        cmocka_unit_test(installs_nothing_on_the_way_to_a_gpu),
        cmocka_unit_test(installs_as_root_and_is_silent_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
