// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* spawn.h   Programs run by tests, and the temporary folder they work in. */
#ifndef PATCHMARK_TESTS_SPAWN_H
#define PATCHMARK_TESTS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

struct spawned {
    int code;                    /* exit code; 128 + signal; -1 where it could not be started */
    char out[65536], err[16384]; /* what it wrote, as much as fits, NUL-terminated */
};

/* argv[0] is searched in PATH; environment NULL: this process's. Waits for the end. */
struct spawned spawn_program(char *const *argv, char *const *environment);

/* A fresh folder; temporary_remove deletes it with all that is in it. */
char *temporary_folder(void);
void temporary_remove(char *folder);

/* Writes a whole file, executable where asked for; fails the test where it cannot. */
void file_write(const char *path, const char *text, bool executable);
/* The whole file as text, NULL where there is none; free it. */
char *file_read(const char *path, size_t *bytes);

#endif
