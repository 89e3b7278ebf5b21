// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* race.cc   The race detector. Kernels are compiled with -fsanitize=thread and linked without its
 * runtime: the calls that the compiler puts before every load and store end here. Each thread
 * counts its steps and knows which steps of the others are past (vector clocks); two accesses to
 * the same bytes, one of them a write, are a race unless the later thread knows the earlier step.
 * Between blocks of one launch nothing is ever known, only atomics may meet there.
 *
 * Copies and products under way are agents with steps of their own, so that a thread that forgets
 * to wait races with its own copy. TMA and wgmma belong to the asynchronous proxy: a generic write
 * before them is past only where fence_proxy_async stands between (PTX ISA, "Proxies"). */
#ifdef EMU_RACE

#include "core.h"
#include "race.h"

#include <memory>
#include <stdio.h>
#include <string.h>
#include <unordered_map>

enum { BOXES = 32, WARPS = 32, READERS = 4, CELL_BYTES = 4, PAGE_BYTES = 4096 };
enum { PAGE_CELLS = PAGE_BYTES / CELL_BYTES, PAGES_NEAR = 64 };
enum access { READ, WRITE, ATOMIC };

/* The last write of four bytes and some reads since. Block serials say when an entry is stale. */
struct cell {
    uint64_t write_block, read_block;
    uint32_t write_step, read_step[READERS];
    uint16_t writer, reader[READERS];
    uint8_t write_mask, read_mask[READERS]; /* which of the bytes */
    uint8_t readers;
    bool atomic, by_agent;
};

struct page {
    struct cell cell[PAGE_CELLS];
};

/* Who accesses, and what it knows. */
struct actor {
    int id;
    uint32_t step;
    const struct emu_clock *clock;
    bool agent;
};

static const void *code; /* of the access at hand */
static uint32_t box_steps[BOXES], warp_steps[WARPS];
static unsigned boxes;

/* ---- clocks ---------------------------------------------------------------------------------- */

/* Who counts steps: the threads, for each of them its cp.async, boxes under way, warps' wgmma. */
static int first_copy() { return emu_block.threads; }
static int first_box() { return emu_block.threads * 2; }
static int first_warp() { return emu_block.threads * 2 + BOXES; }
static size_t clock_size() { return (size_t)emu_block.threads * 2 + BOXES + WARPS; }

/* A thread that never met another needs no clock: it knows nobody and is at its first step. Agents
 * are the clock's end, which is there where one was ever known. */
static struct emu_clock *clock_of(struct emu_thread *t)
{
    if (t->clock.known.empty()) {
        t->clock.known.assign(emu_block.threads, 0);
        t->clock.known[t->number] = 1;
    }
    return &t->clock;
}

static inline uint32_t step_in(const std::vector<uint32_t> &clock, int id)
{
    return (size_t)id < clock.size() ? clock[id] : 0;
}

static void step_set(std::vector<uint32_t> &clock, int id, uint32_t step)
{
    if ((size_t)id >= clock.size())
        clock.resize(clock_size(), 0);
    clock[id] = clock[id] > step ? clock[id] : step;
}

static uint32_t step_of(const struct emu_thread *t)
{
    return t->clock.known.empty() ? 1 : t->clock.known[t->number];
}

__attribute__((optimize("O3"))) static void join_one(std::vector<uint32_t> &into,
                                                     const std::vector<uint32_t> &from)
{
    if (into.size() < from.size())
        into.resize(from.size(), 0);
    uint32_t *__restrict a = into.data();
    const uint32_t *__restrict b = from.data();
    for (size_t i = 0, count = from.size(); i < count; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
}

static void join(struct emu_clock *into, const struct emu_clock *from)
{
    join_one(into->known, from->known);
    join_one(into->fenced, from->fenced);
}

void race_forget(struct emu_clock *clock)
{
    clock->known.clear();
    clock->fenced.clear();
}

void race_release(struct emu_clock *into, bool fresh)
{
    if (fresh)
        race_forget(into);
    join(into, clock_of(emu_self));
    emu_self->clock.known[emu_self->number]++;
}

void race_acquire(const struct emu_clock *from) { join(clock_of(emu_self), from); }

void race_meet(struct emu_thread **threads)
{
    struct emu_clock all;
    for (int i = 0; i < 32; i++)
        if (threads[i])
            join(&all, clock_of(threads[i]));
    for (int i = 0; i < 32; i++)
        if (threads[i]) {
            threads[i]->clock = all;
            threads[i]->clock.known[threads[i]->number]++;
        }
}

void race_proxy_fence()
{
    struct emu_clock *own = clock_of(emu_self);
    join_one(own->fenced, own->known);
}

/* ---- agents ---------------------------------------------------------------------------------- */

void race_agent_start(struct race_agent *agent)
{
    int i = (int)(boxes++ % BOXES);
    agent->id = first_box() + i;
    agent->step = ++box_steps[i];
    agent->clock = *clock_of(emu_self);
}

static void agent_done(const struct race_agent *agent, struct emu_clock *into)
{
    join(into, &agent->clock);
    step_set(into->known, agent->id, agent->step);
}

void race_agent_end(const struct race_agent *agent, struct emu_clock *into)
{
    agent_done(agent, into);
}

void race_agent_wait(const struct race_agent *agent) { agent_done(agent, clock_of(emu_self)); }

static void warp_threads(int warp, int *from, int *to)
{
    *from = warp * 32;
    *to = *from + 32 < emu_block.threads ? *from + 32 : emu_block.threads;
}

void race_warp_start(struct race_agent *agent, int warp)
{
    int from, to;
    warp_threads(warp, &from, &to);
    agent->id = first_warp() + warp;
    agent->step = ++warp_steps[warp];
    race_forget(&agent->clock);
    for (int i = from; i < to; i++)
        join(&agent->clock, clock_of(&emu_threads[i]));
}

void race_warp_wait(const struct race_agent *agent, int warp)
{
    int from, to;
    warp_threads(warp, &from, &to);
    for (int i = from; i < to; i++)
        agent_done(agent, clock_of(&emu_threads[i]));
}

/* ---- cells ----------------------------------------------------------------------------------- */

static std::unordered_map<uintptr_t, std::unique_ptr<struct page>> pages;
static struct near {
    uintptr_t number;
    struct page *page;
} near[PAGES_NEAR]; /* those used last */

static inline struct page *page_of(uintptr_t number)
{
    struct near *n = &near[number % PAGES_NEAR];
    if (!n->page || n->number != number) {
        auto &page = pages[number];
        if (!page)
            page.reset(new struct page());
        n->number = number;
        n->page = page.get();
    }
    return n->page;
}

static void who(char *text, size_t room, int id, uint64_t block)
{
    if (id < first_copy())
        snprintf(text, room, "thread %d", id);
    else if (id < first_box())
        snprintf(text, room, "cp_async_16 of thread %d", id - first_copy());
    else
        snprintf(text, room, "%s", id < first_warp() ? "a TMA copy" : "wgmma");
    size_t used = strlen(text);
    if (block != emu_block.serial)
        snprintf(text + used, room - used, " of block number %llu of this launch",
                 (unsigned long long)(block - emu_block.first_serial));
}

extern "C" const char __ehdr_start[];

[[noreturn]] static void race(const struct actor *a, enum access now, const char *before, int id,
                              uint64_t block, const void *address, const char *why)
{
    static const char *const names[] = {"reads", "writes", "atomically changes"};
    char self[80], other[80], place[160];
    who(self, sizeof self, a->id, emu_block.serial);
    who(other, sizeof other, id, block);
    emu_describe(address, place, sizeof place);
    emu_end(EMU_EXIT_RACE, "race: %s %s %s, which %s %s, and %s (addr2line offset %#tx)", self,
            names[now], place, other, before, why, (const char *)code - __ehdr_start);
}

static inline bool is_past(const struct actor *a, int id, uint32_t step)
{
    if (a->clock->known.empty()) /* a thread's first step: its own cp.async comes after it */
        return a->id == id || (step == 1 && a->id == id + first_copy());
    return a->id == id || step_in(a->clock->known, id) >= step;
}

static inline bool is_fenced(const struct actor *a, int id, uint32_t step)
{
    return !a->agent || step_in(a->clock->fenced, id) >= step;
}

static inline void check_write(const struct cell *c, const struct actor *a, enum access now,
                               const void *address, bool shared)
{
    const char *wrote = c->atomic ? "atomically changed" : "wrote";
    if (c->write_block < emu_block.first_serial || (now == ATOMIC && c->atomic))
        return;
    if (c->write_block != emu_block.serial) {
        if (!shared)
            race(a, now, wrote, c->writer, c->write_block, address, "blocks have no order");
    } else if (!is_past(a, c->writer, c->write_step)) {
        race(a, now, wrote, c->writer, c->write_block, address, "nothing orders the two");
    } else if (shared && !c->by_agent && !is_fenced(a, c->writer, c->write_step)) {
        race(a, now, wrote, c->writer, c->write_block, address, "no fence_proxy_async between");
    }
}

static void check_reads(const struct cell *c, const struct actor *a, enum access now, int mask,
                        const void *address, bool shared)
{
    if (c->read_block < emu_block.first_serial)
        return;
    for (int i = 0; i < c->readers; i++)
        if (!(c->read_mask[i] & mask))
            continue;
        else if (c->read_block != emu_block.serial && !shared)
            race(a, now, "read", c->reader[i], c->read_block, address, "blocks have no order");
        else if (c->read_block == emu_block.serial && !is_past(a, c->reader[i], c->read_step[i]))
            race(a, now, "read", c->reader[i], c->read_block, address, "nothing orders the two");
}

static inline void note_read(struct cell *c, const struct actor *a, int mask)
{
    static unsigned turn; /* whose place is taken where all are */
    if (c->read_block != emu_block.serial)
        c->readers = 0;
    c->read_block = emu_block.serial;
    int i = 0;
    while (i < c->readers && c->reader[i] != a->id)
        i++;
    if (i == READERS)
        i = (int)(turn++ % READERS);
    else if (i == c->readers)
        c->readers++, c->read_mask[i] = 0;
    c->reader[i] = (uint16_t)a->id, c->read_step[i] = a->step, c->read_mask[i] |= (uint8_t)mask;
}

static inline void note_write(struct cell *c, const struct actor *a, enum access now, int mask)
{
    c->write_block = emu_block.serial;
    c->writer = (uint16_t)a->id, c->write_step = a->step, c->write_mask = (uint8_t)mask;
    c->atomic = now == ATOMIC, c->by_agent = a->agent;
    c->readers = 0;
}

static void touch(const struct actor *a, enum access now, const void *address, size_t bytes)
{
    uintptr_t at = (uintptr_t)address, end = at + bytes;
    bool shared = emu_is_shared(address, 1);
    while (at < end) {
        struct cell *c = &page_of(at / PAGE_BYTES)->cell[at % PAGE_BYTES / CELL_BYTES];
        int first = (int)(at % CELL_BYTES), room = CELL_BYTES - first;
        int count = end - at < (uintptr_t)room ? (int)(end - at) : room;
        int mask = ((1 << count) - 1) << first;
        if (c->write_mask & mask)
            check_write(c, a, now, (const void *)at, shared);
        if (now != READ)
            check_reads(c, a, now, mask, (const void *)at, shared);
        if (now == READ)
            note_read(c, a, mask);
        else
            note_write(c, a, now, mask);
        at += count;
    }
}

/* Stacks are private, and what tells a thread its place is the emulator's. */
static inline bool is_private(const void *address)
{
    const char *p = (const char *)address, *place = (const char *)&emu_place;
    return (size_t)(p - emu_stacks) < emu_stacks_bytes || (size_t)(p - place) < sizeof emu_place;
}

static void touch_self(enum access now, const void *address, size_t bytes)
{
    if (!emu_self || is_private(address))
        return;
    struct actor a = {emu_self->number, step_of(emu_self), &emu_self->clock, false};
    touch(&a, now, address, bytes);
}

void race_read(const void *address, size_t bytes)
{
    code = __builtin_return_address(0);
    touch_self(READ, address, bytes);
}

void race_write(const void *address, size_t bytes)
{
    code = __builtin_return_address(0);
    touch_self(WRITE, address, bytes);
}

void race_atomic(const void *address, size_t bytes)
{
    code = __builtin_return_address(0);
    touch_self(ATOMIC, address, bytes);
}

void race_copy(const void *address, size_t bytes)
{
    struct actor a = {first_copy() + emu_self->number, emu_self->committed + 1, &emu_self->clock,
                      false};
    code = __builtin_return_address(0);
    touch(&a, WRITE, address, bytes);
}

void race_copies_done()
{
    uint32_t done = emu_self->committed - (uint32_t)emu_self->groups.size();
    if (done)
        step_set(clock_of(emu_self)->known, first_copy() + emu_self->number, done);
}

static void touch_agent(const struct race_agent *agent, enum access now, const void *address,
                        size_t bytes)
{
    struct actor a = {agent->id, agent->step, &agent->clock, true};
    code = __builtin_return_address(0);
    touch(&a, now, address, bytes);
}

void race_agent_read(const struct race_agent *agent, const void *address, size_t bytes)
{
    touch_agent(agent, READ, address, bytes);
}

void race_agent_write(const struct race_agent *agent, const void *address, size_t bytes)
{
    touch_agent(agent, WRITE, address, bytes);
}

/* ---- what the compiler calls ----------------------------------------------------------------- */

#define HOOK(NAME, ACCESS, BYTES)                                                                  \
    void __tsan_##NAME(void *address)                                                              \
    {                                                                                              \
        code = __builtin_return_address(0);                                                        \
        touch_self(ACCESS, address, BYTES);                                                        \
    }
#define HOOKS(BYTES)                                                                               \
    HOOK(read##BYTES, READ, BYTES)                                                                 \
    HOOK(write##BYTES, WRITE, BYTES)                                                               \
    HOOK(unaligned_read##BYTES, READ, BYTES)                                                       \
    HOOK(unaligned_write##BYTES, WRITE, BYTES)                                                     \
    HOOK(volatile_read##BYTES, READ, BYTES)                                                        \
    HOOK(volatile_write##BYTES, WRITE, BYTES)

extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}

void __tsan_read_range(void *address, size_t bytes)
{
    code = __builtin_return_address(0);
    touch_self(READ, address, bytes);
}

void __tsan_write_range(void *address, size_t bytes)
{
    code = __builtin_return_address(0);
    touch_self(WRITE, address, bytes);
}
}

#endif
