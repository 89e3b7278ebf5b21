// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* files.h   Binary files and folders that tests make and look at, beside what spawn.h has. */
#ifndef PATCHMARK_TESTS_FILES_H
#define PATCHMARK_TESTS_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* A temporary folder for a group of tests: its set-up and tear-down. */
extern char *folder;
int folder_make(void **state);
int folder_drop(void **state);

int folder_count(const char *path); /* entries, hidden ones too */

/* A path in a ring of a few static buffers: at("%s/a.mp4", folder). */
__attribute__((format(printf, 1, 2))) const char *at(const char *format, ...);

void file_put(const char *path, const void *data, size_t bytes);
bool file_exists(const char *path);

#endif
