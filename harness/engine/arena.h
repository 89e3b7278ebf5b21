// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* arena.h   Lays out blocks of memory that live and die in a fixed order: first fit by address. It
 * hands out offsets only, so that a trace and the execution that follows agree on every address. */
#ifndef PATCHMARK_ARENA_H
#define PATCHMARK_ARENA_H

#include "op.h"

struct arena_block {
    size_t offset, bytes;
};

struct arena {
    struct arena_block *block; /* live blocks by offset */
    size_t count, room;
    size_t peak_bytes; /* highest end of a block so far */
};

enum status arena_take(struct arena *a, size_t bytes,
                       size_t *offset); /* ST_NO_MEMORY on overflow */
void arena_give(struct arena *a, size_t offset);
void arena_clear(struct arena *a); /* forgets the live blocks, keeps peak_bytes */
void arena_free(struct arena *a);

#endif
