// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify.h   Parity of single ops: what the two sides of verify share. */
#ifndef PATCHMARK_VERIFY_H
#define PATCHMARK_VERIFY_H

#include "variant/registry.h"

#define SHAPE_LINE_BYTES 512
#define VERIFY_FAILURES_MAX 3

/* One check that failed, and where. */
struct verify_failure {
    enum status status;
    char where[SHAPE_LINE_BYTES + 64]; /* "random in-place linear:S=3,..." */
    char text[600];
};

/* What one variant's worker found. */
struct verify_row {
    const struct registry_entry *entry;
    const char *device; /* "cpu", "cuda:0" */
    const char *ran_on; /* "cpu", "cuda", "emulated"; NULL: it did not run */
    enum status status;
    char reason[1024]; /* why it did not run or refused */
    int shapes, checks, refused;
    double worst, l2, checked_ratio; /* ratio: the least of any check */
    double seconds;
    int failures, kept; /* kept: the first of each shape, of the first shapes */
    struct verify_failure failure[VERIFY_FAILURES_MAX];
};

struct verify_request {
    const char *glob, *shape; /* NULL: all */
    uint64_t seed;
    int threads;
    double timeout_s; /* of silence */
    bool bare;        /* device memory for a tool that watches it: see device_memory.h */
};

/* Runs one variant's worker; row->entry is set. Only ST_INTERRUPTED and ST_IO come back, everything
 * else is in the row. */
enum status verify_variant(const struct verify_request *request, struct verify_row *row,
                           struct fault *fault);

/* Entries whose OP/VARIANT matches the glob, which may also be a bare op or variant name;
 * ST_BAD_INPUT with the nearest names where there is none. *out is freed by the caller. */
enum status verify_select(const char *glob, const struct registry_entry ***out, int *count,
                          struct fault *fault);

/* Where a variant runs, one that is not built too. */
enum device_kind verify_device_of(const struct registry_entry *entry);
/* Keeps those of one kind of device; ST_BAD_INPUT where the glob names only others, with the
 * --device that they want. */
enum status verify_keep_device(const char *glob, enum device_kind kind,
                               const struct registry_entry **picked, int *count,
                               struct fault *fault);

#endif
