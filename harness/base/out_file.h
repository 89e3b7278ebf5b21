// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* out_file.h   A file that appears whole or not at all: written under a temporary name (ending
 * .part) beside its target, synced, renamed, and the folder synced. */
#ifndef PATCHMARK_OUT_FILE_H
#define PATCHMARK_OUT_FILE_H

#include "op.h"

struct out_file {
    char *path, *temporary; /* owned; NULL while closed */
    int fd;
};

/* ST_OK where the target can be written: its folder exists and lets us, and the target is absent or
 * a regular file. Creates nothing. */
enum status out_file_check(const char *path, struct fault *fault);

/* Replaces an existing target when committed. A link is followed, so what it points at is replaced.
 */
enum status out_file_open(struct out_file *f, const char *path, struct fault *fault);
/* Never replaces: ST_REFUSED, without a sentence, where the target exists or another process is
 * writing it. */
enum status out_file_reserve(struct out_file *f, const char *path, struct fault *fault);
/* Goes on with what an earlier process left under the temporary name, from `bytes` on; the rest is
 * cut off. ST_BAD_INPUT where it is not there or shorter. */
enum status out_file_resume(struct out_file *f, const char *path, int64_t bytes,
                            struct fault *fault);
enum status out_file_write(struct out_file *f, const void *data, size_t bytes, struct fault *fault);
/* What was written so far is on disk, and how much that is. */
enum status out_file_sync(struct out_file *f, int64_t *bytes, struct fault *fault);
/* Closes f and leaves the temporary file for out_file_resume. */
void out_file_leave(struct out_file *f);
/* Closes f on every path; where it fails the temporary file is removed. */
enum status out_file_commit(struct out_file *f, struct fault *fault);
/* Closes and removes; harmless on a closed f. */
void out_file_discard(struct out_file *f);

/* Creates a folder and those above it. */
enum status folder_create(const char *path, struct fault *fault);

#endif
