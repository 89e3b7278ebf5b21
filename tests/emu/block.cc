// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* block.cc   A launch: its limits, its blocks one after another, their shared memory. What a block
 * finds there is NaN in every floating type. */
#include "core.h"

#include <map>
#include <stdlib.h>
#include <string.h>

static const size_t shared_default = 48 << 10, shared_most = 232448, shared_align = 1024;

struct emu_block emu_block;

static std::map<const void *, size_t> limits;

void emu_shared_limit(const void *kernel, int64_t bytes)
{
    if (bytes < 0 || bytes > (int64_t)shared_most)
        emu_finding("SHARED_LIMIT of %lld bytes; a block has at most %zu", (long long)bytes,
                    shared_most);
    limits[kernel] = (size_t)bytes;
}

static void launch_check(const struct emu_work *w)
{
    dim3 b = w->threads, g = w->blocks;
    auto limit = limits.find(w->kernel);
    size_t arrays = 0, most = shared_default;
    if (limit != limits.end() && limit->second > most)
        most = limit->second;
    for (auto &a : *emu_block.arrays)
        arrays += a.bytes;
    if (b.x == 0 || b.y == 0 || b.z == 0 || b.z > 64 || (uint64_t)b.x * b.y * b.z > 1024)
        emu_finding("a block of %ux%ux%u threads; 1 to 1024 are possible", b.x, b.y, b.z);
    if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535)
        emu_finding("a grid of %ux%ux%u blocks; 1 to 2147483647 x 65535 x 65535 are possible", g.x,
                    g.y, g.z);
    if (arrays > shared_default || w->shared_bytes + arrays > most)
        emu_finding("%zu bytes of dynamic and %zu of static shared memory; %zu are allowed, of "
                    "which at most %zu static",
                    w->shared_bytes, arrays, most, shared_default);
}

void *emu_dynamic_shared()
{
    if (!emu_block.shared)
        emu_finding("DYN_SHARED in a launch without dynamic shared memory");
    return emu_block.shared;
}

static void threads_begin(dim3 size)
{
    int count = emu_block.threads = emu_block.live = (int)(size.x * size.y * size.z);
    if ((int)emu_threads.size() != count)
        emu_threads.resize(count);
    for (int i = 0; i < count; i++) {
        struct emu_thread *t = &emu_threads[i];
        t->number = i;
        t->index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
        t->state = EMU_FRESH;
        t->counter = NULL;
        t->asan_fake = NULL;
        t->committed = 0;
        t->clock.known.clear();
        t->clock.fenced.clear();
    }
}

/* Byte by byte, because AddressSanitizer's own size of an array may differ from the linker's. */
__attribute__((no_sanitize("address"))) static void poison_array(const struct emu_array *a)
{
    for (volatile char *p = a->at; p < a->at + a->bytes; p++)
        *p = (char)0xff;
}

static void poison()
{
    if (emu_block.shared)
        memset(emu_block.shared, 0xff, emu_block.shared_bytes);
    for (auto &a : *emu_block.arrays)
        poison_array(&a);
}

static void block_run(const struct emu_work *w)
{
    emu_block.serial++;
    poison();
    threads_begin(w->threads);
    emu_sync_begin();
    emu_tma_begin();
    emu_wgmma_begin();
    emu_run_threads(w->call, w->arguments);
    emu_tma_end();
    emu_wgmma_end();
}

/* Its own allocation, so that AddressSanitizer sees both ends. */
static char *shared_make(size_t bytes)
{
    void *memory = NULL;
    if (bytes && posix_memalign(&memory, shared_align, bytes) != 0)
        emu_finding("no host memory for %zu bytes of shared memory", bytes);
    return (char *)memory;
}

void emu_run(const struct emu_work *w)
{
    emu_place.block = {0, 0, 0};
    emu_block.kernel = w->name;
    emu_block.arrays = emu_static_shared(w->kernel);
    launch_check(w);
    emu_place.threads = w->threads, emu_place.blocks = w->blocks;
    emu_block.shared = shared_make(w->shared_bytes);
    emu_block.shared_bytes = w->shared_bytes;
    emu_block.first_serial = emu_block.serial + 1;
    for (unsigned z = 0; z < w->blocks.z; z++)
        for (unsigned y = 0; y < w->blocks.y; y++)
            for (unsigned x = 0; x < w->blocks.x; x++) {
                emu_place.block = {x, y, z};
                block_run(w);
            }
    free(emu_block.shared);
    emu_block.shared = NULL;
    emu_block.kernel = NULL;
}
