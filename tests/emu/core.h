// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* core.h   What the parts of the emulator share: the running block, its threads and warps. */
#ifndef PATCHMARK_EMU_CORE_H
#define PATCHMARK_EMU_CORE_H

#include "emu.h"

#include <deque>
#include <vector>

struct emu_array;

/* Race builds only: the newest steps of every thread that this thread knows to be past, and those
 * of them that the asynchronous proxy may rely on too. */
struct emu_clock {
    std::vector<uint32_t> known, fenced;
};

enum emu_state { EMU_FRESH = 0, EMU_STARTED, EMU_DONE };

struct emu_copy {
    void *to;
    const void *from;
    int bytes;
};

struct emu_thread {
    int number;
    uint3 index;
    enum emu_state state;
    void *stack, *context, *asan_fake;
    const uint64_t *counter; /* waits until *counter differs from seen; NULL: runnable */
    uint64_t seen;
    const char *what;                                /* it waits for */
    std::vector<struct emu_copy> copies;             /* cp.async since the last commit */
    std::deque<std::vector<struct emu_copy>> groups; /* committed and not yet waited for */
    uint32_t committed;                              /* groups so far */
    struct emu_clock clock;
};

/* Lanes that meet at a warp's function. Values are kept twice, because a fast lane may be at the
 * next meeting while a slow one still reads this one's. */
struct emu_meeting {
    unsigned mask, arrived;
    uint64_t generation;
    const char *what;
    uint64_t values[2][32];
    void *arguments[32];
    void (*act)(void **arguments);
};

enum { EMU_MEETINGS = 32 };

struct emu_warp {
    unsigned live; /* lanes that have not returned */
    int meetings;
    struct emu_meeting meeting[EMU_MEETINGS];
};

struct emu_block {
    const char *kernel;
    const std::vector<struct emu_array> *arrays; /* static shared memory */
    int threads, live;
    uint64_t serial, first_serial; /* of this block and of its launch's first; counted from 1 */
    char *shared;                  /* dynamic */
    size_t shared_bytes;
};

extern struct emu_block emu_block;
extern struct emu_thread *emu_self; /* NULL outside of kernels */
extern std::vector<struct emu_thread> emu_threads;
extern std::vector<struct emu_warp> emu_warps;

/* settings.cc */
struct emu_settings {
    bool greedy, reversed, shuffled, eager;
    uint64_t seed;
};
const struct emu_settings *emu_asked();
unsigned emu_random(unsigned below);

/* fibers.cc */
void emu_wait(const uint64_t *counter, uint64_t seen, const char *what);
extern char *emu_stacks; /* all of them */
extern const size_t emu_stacks_bytes;
void emu_run_threads(void (*call)(void *), void *arguments);
[[noreturn]] void emu_end(enum emu_exit code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* sync.cc */
void emu_sync_begin();
void emu_sync_leave(struct emu_thread *t);
/* Lanes meet; the last one to arrive acts for all. */
void emu_meet(unsigned mask, const char *what, void *argument, void (*act)(void **arguments));

/* copies.cc, tma.cc, wgmma.cc: begin and end are of a block */
void emu_copies_leave(struct emu_thread *t);
void emu_tma_begin();
void emu_tma_leave(struct emu_thread *t);
void emu_tma_end();
bool emu_tma_deliver(); /* one load; false: none is under way */
size_t emu_mbarrier_describe(char *text, size_t room);
void emu_wgmma_begin();
void emu_wgmma_end();

/* block.cc */
void emu_run(const struct emu_work *work);

/* symbols.cc: the __shared__ arrays of a kernel */
struct emu_array {
    const char *name;
    char *at;
    size_t bytes;
};
const std::vector<struct emu_array> *emu_static_shared(const void *kernel);

/* runtime.cc: the device allocation around an address */
bool emu_allocation(const void *address, size_t *offset, size_t *bytes);

/* memory.cc */
bool emu_is_shared(const void *address, size_t bytes);
/* Shared memory from `address` on, a multiple of `align`; anything else is a finding. */
void emu_need_shared(const char *what, const void *address, size_t bytes, size_t align);
/* What lies there, for people. */
void emu_describe(const void *address, char *text, size_t room);
/* The address is read where a build with AddressSanitizer would refuse it. */
void emu_need_global(const char *what, const void *address, size_t bytes, size_t align);

#endif
