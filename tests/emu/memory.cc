// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* memory.cc   Addresses that a kernel hands to a function of ours: are they what they must be? Its
 * own loads and stores are AddressSanitizer's to watch. */
#include "core.h"

#include <stdio.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* The program's data, where __shared__ arrays lie. */
extern "C" char __data_start[], _end[];

bool emu_is_shared(const void *address, size_t bytes)
{
    const char *p = (const char *)address, *dynamic = emu_block.shared;
    if (dynamic && p >= dynamic && p + bytes <= dynamic + emu_block.shared_bytes)
        return true;
    if (emu_block.arrays) /* those of a plug-in lie elsewhere */
        for (auto &a : *emu_block.arrays)
            if (p >= a.at && p + bytes <= a.at + a.bytes)
                return true;
    return p >= __data_start && p + bytes <= _end;
}

/* A forbidden address is read, so that AddressSanitizer shows where from. */
static void asan_probe(const void *address, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    const void *bad = __asan_region_is_poisoned((void *)address, bytes);
    if (bad)
        (void)*(const volatile char *)bad;
#else
    (void)address, (void)bytes;
#endif
}

static void need_aligned(const char *what, const void *address, size_t align)
{
    if ((uintptr_t)address % align)
        emu_finding("%s: address %p is not a multiple of %zu", what, address, align);
}

void emu_need_shared(const char *what, const void *address, size_t bytes, size_t align)
{
    const char *p = (const char *)address, *dynamic = emu_block.shared;
    need_aligned(what, address, align);
    if (!emu_is_shared(address, bytes)) {
        if (dynamic && p < dynamic + emu_block.shared_bytes + 65536 && p + 65536 > dynamic)
            emu_finding("%s: bytes %td to %td of the %zu of dynamic shared memory", what,
                        p - dynamic, p - dynamic + (ptrdiff_t)bytes, emu_block.shared_bytes);
        emu_finding("%s: address %p is not in shared memory", what, address);
    }
    asan_probe(address, bytes);
}

void emu_need_global(const char *what, const void *address, size_t bytes, size_t align)
{
    need_aligned(what, address, align);
    if (bytes && emu_is_shared(address, bytes))
        emu_finding("%s: address %p is in shared memory and should be global", what, address);
    asan_probe(address, bytes);
}

void emu_describe(const void *address, char *text, size_t room)
{
    const char *p = (const char *)address, *dynamic = emu_block.shared;
    if (dynamic && p >= dynamic && p < dynamic + emu_block.shared_bytes) {
        snprintf(text, room, "byte %td of dynamic shared memory", p - dynamic);
        return;
    }
    for (auto &a : *emu_block.arrays)
        if (p >= a.at && p < a.at + a.bytes) {
            snprintf(text, room, "byte %td of __shared__ %s", p - a.at, a.name);
            return;
        }
    size_t offset, bytes;
    if (emu_allocation(address, &offset, &bytes))
        snprintf(text, room, "byte %zu of an allocation of %zu", offset, bytes);
    else
        snprintf(text, room, "%s address %p", emu_is_shared(address, 1) ? "shared" : "global",
                 address);
}
