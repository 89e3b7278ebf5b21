// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* arena.c   First fit over a sorted list of live blocks; lists are short (caches and a few
 * activations), so a linear search is fine. */
#include "engine/arena.h"

#include <stdlib.h>
#include <string.h>

static enum status make_room(struct arena *a)
{
    if (a->count < a->room)
        return ST_OK;
    size_t room = a->room ? 2 * a->room : 64;
    struct arena_block *block = realloc(a->block, room * sizeof *block);
    if (!block)
        return ST_NO_MEMORY;
    a->block = block;
    a->room = room;
    return ST_OK;
}

enum status arena_take(struct arena *a, size_t bytes, size_t *offset)
{
    size_t rounded, end, at = 0, place = 0;
    if (__builtin_add_overflow(bytes ? bytes : 1, (size_t)TENSOR_ALIGN - 1, &rounded))
        return ST_NO_MEMORY;
    rounded &= ~((size_t)TENSOR_ALIGN - 1);
    TRY(make_room(a));
    while (place < a->count && a->block[place].offset - at < rounded) {
        at = a->block[place].offset + a->block[place].bytes;
        place++;
    }
    if (__builtin_add_overflow(at, rounded, &end) || end > SIZE_MAX / 2)
        return ST_NO_MEMORY;
    memmove(a->block + place + 1, a->block + place, (a->count - place) * sizeof *a->block);
    a->block[place] = (struct arena_block){at, rounded};
    a->count++;
    if (end > a->peak_bytes)
        a->peak_bytes = end;
    *offset = at;
    return ST_OK;
}

void arena_give(struct arena *a, size_t offset)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->block[i].offset == offset) {
            memmove(a->block + i, a->block + i + 1, (a->count - i - 1) * sizeof *a->block);
            a->count--;
            return;
        }
}

void arena_clear(struct arena *a) { a->count = 0; }

void arena_free(struct arena *a)
{
    free(a->block);
    memset(a, 0, sizeof *a);
}
