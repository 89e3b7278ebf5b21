// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sysfile.h   The small text files of /proc and /sys. Paths are printf formats. */
#ifndef PATCHMARK_SYSFILE_H
#define PATCHMARK_SYSFILE_H

#include "op.h"

/* First line without its newline; false where the file is absent, unreadable or empty. */
__attribute__((format(printf, 3, 4))) bool sysfile_line(char *out, size_t bytes, const char *path,
                                                        ...);
/* First line as a whole number. */
__attribute__((format(printf, 2, 3))) bool sysfile_int(int64_t *out, const char *path, ...);
/* What follows `key` and blanks or a colon on the first line that begins with it: "MemTotal" of
 * /proc/meminfo, "model name" of /proc/cpuinfo. */
bool sysfile_field(const char *path, const char *key, char *out, size_t bytes);
bool sysfile_field_int(const char *path, const char *key, int64_t *out);

#endif
