// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_rows.h   What check.c and check_rows.c share: the outputs of one check and how a failure is
 * kept. For these two files and their test. */
#ifndef PATCHMARK_CHECK_ROWS_H
#define PATCHMARK_CHECK_ROWS_H

#include "check/check.h"

struct output {
    const char *name;
    const struct tensor *tensor;
    const struct tolerance *tolerance;
    int64_t rows, row_elems;     /* as stride steps */
    int64_t ref_rows, ref_elems; /* as the reference counts */
    bool poisoned;               /* false in place: what stands there is the input */
};

struct check {
    struct bound *bound;
    const struct op_info *info;
    struct problem pristine;
    struct output output[OP_TENSORS_MAX];
    int outputs;
    enum numerics numerics;
    struct check_result *result;
    double sample_seconds; /* what a sample may take though the caller grants less */
};

/* Keeps the first failure; always false. */
bool check_fail(struct check_result *r, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Holds output k, as the last run left it, against the reference: whole, or where that would take
 * more than `seconds` a sample of its rows. *checked grows by the values compared. */
bool check_rows(struct check *c, int k, uint64_t seed, double seconds, int64_t *checked);

/* How many rows a sample has: every edge and 64 more; where fewer can be afforded, those, but at
 * least 8; never more than there are. */
int64_t check_sample_rows(int64_t total, int64_t edges, double affordable);

#endif
