// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/device_memory.h"

#include <string.h>

#include "variant/guarded.h"

#define BAND_BYTES ((size_t)4096) /* on either side, and up to TENSOR_ALIGN more in front */
#define ROOM_BYTES (BAND_BYTES + TENSOR_ALIGN)

static bool bare;
static unsigned blocks_made;

void device_memory_bare(void) { bare = true; }
bool device_memory_is_bare(void) { return bare; }

enum status device_block_new(struct gpu *g, size_t bytes, const char *what,
                             struct device_block *out, struct fault *fault)
{
    void *base = NULL;
    size_t all = 0;
    *out = (struct device_block){.bytes = bytes, .mark = 0x81 + blocks_made++ % 126};
    if (__builtin_add_overflow(bytes, bare ? 0 : 2 * ROOM_BYTES, &all))
        return fault_set(fault, ST_NO_MEMORY, "%s needs more bytes than can be counted", what);
    TRY(gpu_alloc(g, all, what, &base, fault));
    out->base = base;
    return device_block_place(g, out, false, fault);
}

void device_block_free(struct gpu *g, struct device_block *b)
{
    if (b->base)
        gpu_free(g, b->base);
    *b = (struct device_block){0};
}

size_t device_block_taken(const struct device_block *b)
{
    return b->base ? b->bytes + (bare ? 0 : 2 * ROOM_BYTES) : 0;
}

/* Bytes behind the block, up to the end of what was allocated. */
static size_t behind(const struct device_block *b)
{
    return (size_t)(b->base + device_block_taken(b) - (b->data + b->bytes));
}

/* The pattern begins anew at either band's own beginning. It is NaN in every floating type, and one
 * byte of it is the block's own: what a kernel carries from band to band is not what stood there. */
static unsigned char canary(const struct device_block *b, size_t i)
{
    return i % sizeof guarded_canary == 0 ? b->mark : guarded_canary[i % sizeof guarded_canary];
}

static void canaries(const struct device_block *b, unsigned char band[2 * ROOM_BYTES])
{
    for (size_t i = 0; i < 2 * ROOM_BYTES; i++)
        band[i] = canary(b, i);
}

enum status device_block_place(struct gpu *g, struct device_block *b, bool narrow,
                               struct fault *fault)
{
    unsigned char band[2 * ROOM_BYTES];
    if (bare) {
        b->data = b->base;
        return ST_OK;
    }
    canaries(b, band);
    b->data = b->base + BAND_BYTES + (narrow ? TENSOR_ALIGN : 0);
    TRY(gpu_upload(g, b->base, band, (size_t)(b->data - b->base), fault));
    return gpu_upload(g, b->data + b->bytes, band, behind(b), fault);
}

/* What stands already is copied behind itself until all is full. */
enum status device_block_poison(struct gpu *g, const struct device_block *b, struct fault *fault)
{
    unsigned char band[2 * ROOM_BYTES];
    size_t full = b->bytes < sizeof band ? b->bytes : sizeof band;
    if (bare)
        return ST_OK;
    canaries(b, band);
    TRY(gpu_upload(g, b->data, band, full, fault));
    for (size_t part; full < b->bytes; full += part) {
        part = b->bytes - full < full ? b->bytes - full : full;
        TRY(gpu_copy(g, b->data + full, b->data, part, fault));
    }
    return ST_OK;
}

/* Index of the first byte that is no canary, or -1. */
static int64_t damage(const struct device_block *b, const unsigned char *band, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (band[i] != canary(b, i))
            return (int64_t)i;
    }
    return -1;
}

enum status device_block_look(struct gpu *g, const struct device_block *b, bool *intact,
                              int64_t *offset, struct fault *fault)
{
    unsigned char band[2 * ROOM_BYTES];
    size_t front = (size_t)(b->data - b->base);
    *intact = true;
    if (bare)
        return ST_OK;
    TRY(gpu_download(g, band, b->base, front, fault));
    int64_t at = damage(b, band, front);
    *offset = at - (int64_t)front;
    if (at < 0) {
        TRY(gpu_download(g, band, b->data + b->bytes, behind(b), fault));
        at = damage(b, band, behind(b));
        *offset = (int64_t)b->bytes + at;
    }
    *intact = at < 0;
    return ST_OK;
}
