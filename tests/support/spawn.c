// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* spawn.c   Output goes through unnamed files, so no pipe can fill and block the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/spawn.h"

extern char **environ;

static void slurp(FILE *in, char *out, size_t bytes)
{
    rewind(in);
    out[fread(out, 1, bytes - 1, in)] = '\0';
    fclose(in);
}

struct spawned spawn_program(char *const *argv, char *const *environment)
{
    struct spawned s = {.code = -1};
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&files, fileno(out), 1);
    posix_spawn_file_actions_adddup2(&files, fileno(err), 2);
    pid_t pid;
    int status;
    if (!posix_spawnp(&pid, argv[0], &files, NULL, argv, environment ? environment : environ)) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        s.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    posix_spawn_file_actions_destroy(&files);
    slurp(out, s.out, sizeof s.out);
    slurp(err, s.err, sizeof s.err);
    return s;
}

char *temporary_folder(void)
{
    const char *root = getenv("TMPDIR");
    char *folder = NULL;
    assert_true(asprintf(&folder, "%s/patchmark-test-XXXXXX", root && *root ? root : "/tmp") > 0);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

void temporary_remove(char *folder)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

void file_write(const char *path, const char *text, bool executable)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    if (executable)
        assert_int_equal(chmod(path, 0755), 0);
}

char *file_read(const char *path, size_t *bytes)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return NULL;
    char *text = malloc(1 << 22);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 22) - 1, in);
    text[n] = '\0';
    fclose(in);
    if (bytes)
        *bytes = n;
    return text;
}
