// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* operands.h   Memory and data for one problem: every tensor in its own block between guard bands and
 * against an unreadable page at its end, inputs filled, outputs poisoned with NaN. */
#ifndef PATCHMARK_OPERANDS_H
#define PATCHMARK_OPERANDS_H

#include "ops/op_info.h"

/* Data patterns of verify; random is what timing uses. */
enum pattern {
    PATTERN_RANDOM, PATTERN_LARGE, PATTERN_TINY /* denormals among them */, PATTERN_OUTLIER,
    PATTERN_INFINITE /* a few infinities and NaN */, PATTERN_INTEGER /* small integers: exact sums */,
    PATTERN_COUNT
};
const char *pattern_name(enum pattern pattern);

struct operands {
    struct problem problem;         /* tensors bound to memory */
    bool in_place, spread;          /* outputs on their aliases; free strides wider than needed */
    struct operand_block *block;    /* one per tensor */
};

enum status operands_new(const struct problem *shape, bool in_place, bool spread,
                         struct operands *out, struct fault *fault);
void operands_free(struct operands *o);
void operands_fill(struct operands *o, uint64_t seed, enum pattern pattern);
void operands_poison(struct operands *o);   /* NaN (0xFF) into every output and every gap */
/* False where a guard band, a gap between rows or an input changed since fill; `where` names it. */
bool operands_intact(const struct operands *o, char *where, size_t bytes);
/* The problem with inputs as filled, for the reference: in-place inputs come from kept copies. */
struct problem operands_pristine(const struct operands *o);
size_t operands_bytes(const struct operands *o);

#endif
