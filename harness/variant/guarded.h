// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* guarded.h   Memory that notices: one block between two unreadable pages, with canaries in every
 * byte between the block and those pages. Placed at the end, the first aligned byte past the block
 * faults; placed at the start, the first byte in front of it does. */
#ifndef PATCHMARK_GUARDED_H
#define PATCHMARK_GUARDED_H

#include "op.h"

/* NaN in f32 and, in either half, in bf16 and f16; far out of range as an index: a stray read that
 * is used shows in the result. */
extern const unsigned char guarded_canary[4];

struct guarded {
    unsigned char *data; /* TENSOR_ALIGN aligned; moves with guarded_place */
    size_t bytes;
    unsigned char *map;
    size_t map_bytes; /* guard pages included */
};

/* name: static text for messages. The block is placed at the end. bytes may be 0. */
enum status guarded_new(struct guarded *g, size_t bytes, const char *name, struct fault *fault);
void guarded_free(struct guarded *g);
/* Moves the block and renews the canaries; contents are lost. */
void guarded_place(struct guarded *g, bool at_end);
/* Other physical pages, taken at random: which lines of a cache a block meets depends on them, and a
 * process that kept its pages would be faster or slower than its twin for as long as it lives.
 * Contents are lost; canaries are those of guarded_place, called afterwards. Blocks that are large
 * beside any core's own cache are left alone: over so many pages the luck evens out. */
void guarded_scatter(struct guarded *g, uint64_t seed, int threads);
/* Whoever writes to the block, its canaries included, faults from here on; false: no longer. */
void guarded_protect(const struct guarded *g, bool protect);
/* Fills the block itself with canaries: NaN that is told apart from an output's poison. */
void guarded_poison(struct guarded *g);
/* False where a canary changed: *offset is the byte seen from data, negative in front of it. */
bool guarded_intact(const struct guarded *g, int64_t *offset);

/* From here on a fault on a guard page or a protected one first writes the line "touch <where>" to the descriptor,
 * then kills the process as it would have been killed. For workers alone. */
void guarded_report_faults(int descriptor);

#endif
