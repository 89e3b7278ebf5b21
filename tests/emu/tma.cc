// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tma.cc   mbarriers, and the copies of boxes that report to them. An mbarrier's own 8 bytes say
 * which record is its own, so that one never initialised, or written over, shows. */
#include "core.h"
#include "race.h"

#include <stdio.h>
#include <string.h>

enum { SWIZZLE_BYTES = 128, COUNT_MAX = (1 << 20) - 1 };

struct mbarrier {
    uint64_t *at;
    int count, missing; /* arrivals of a whole phase; those still to come in this one */
    int64_t bytes;      /* expected and not there; copies may come before they are expected */
    uint64_t phase;
    bool fenced; /* copies may use it */
    struct emu_clock clock[2];
};

struct box {
    struct tensor_map map;
    char *shared;
    int at[4];
    uint64_t *m;
    struct race_agent agent;
};

static std::deque<struct mbarrier> mbarriers; /* of this block */
static std::deque<struct box> loads;          /* under way */
static const uint64_t map_magic = 0x70616d20726f736e;

/* ---- mbarriers ------------------------------------------------------------------------------- */

static uint64_t mbarrier_tag(size_t i) { return 0xbull << 60 | emu_block.serial << 16 | i; }

static struct mbarrier *mbarrier_of(const char *what, uint64_t *m)
{
    emu_need_shared(what, m, sizeof *m, sizeof *m);
    size_t i = *m & 0xffff;
    if (*m != mbarrier_tag(i) || i >= mbarriers.size() || mbarriers[i].at != m)
        emu_finding("%s: there is no mbarrier: never initialised, or written over", what);
    return &mbarriers[i];
}

void emu_mbarrier_init(uint64_t *m, int count)
{
    emu_need_shared("mbarrier_init", m, sizeof *m, sizeof *m);
    if (count < 1 || count > COUNT_MAX)
        emu_finding("mbarrier_init: count %d; 1 to %d are possible", count, COUNT_MAX);
    race_write(m, sizeof *m);
    *m = mbarrier_tag(mbarriers.size());
    mbarriers.push_back({.at = m, .count = count, .missing = count});
}

void emu_mbarrier_init_fence()
{
    for (auto &b : mbarriers)
        b.fenced = true;
}

static void phase_check(struct mbarrier *b)
{
    if (b->missing || b->bytes)
        return;
    b->missing = b->count;
    b->phase++;
    race_forget(&b->clock[b->phase & 1]);
}

static void arrive(struct mbarrier *b)
{
    if (b->missing == 0)
        emu_finding("mbarrier_arrive: more arrivals than its count of %d in one phase", b->count);
    race_release(&b->clock[b->phase & 1], false);
    b->missing--;
    phase_check(b);
}

void emu_mbarrier_arrive(uint64_t *m)
{
    struct mbarrier *b = mbarrier_of("mbarrier_arrive", m);
    race_read(m, sizeof *m);
    arrive(b);
}

void emu_mbarrier_arrive_expect(uint64_t *m, uint32_t bytes)
{
    struct mbarrier *b = mbarrier_of("mbarrier_arrive_expect", m);
    race_read(m, sizeof *m);
    if (bytes > COUNT_MAX)
        emu_finding("mbarrier_arrive_expect: %u bytes; %d are the most", bytes, COUNT_MAX);
    b->bytes += bytes;
    arrive(b);
}

void emu_mbarrier_wait(uint64_t *m, uint32_t parity)
{
    struct mbarrier *b = mbarrier_of("mbarrier_wait", m);
    race_read(m, sizeof *m);
    if (parity > 1)
        emu_finding("mbarrier_wait: parity %u", parity);
    while ((b->phase & 1) == parity)
        emu_wait(&b->phase, b->phase, parity ? "mbarrier_wait parity 1" : "mbarrier_wait parity 0");
    race_acquire(&b->clock[parity]);
}

size_t emu_mbarrier_describe(char *text, size_t room)
{
    size_t used = 0;
    for (auto &b : mbarriers)
        if (used < room)
            used += snprintf(text + used, room - used,
                             "; mbarrier %td in phase %llu lacks %d arrivals and %lld bytes",
                             (char *)b.at - emu_block.shared, (unsigned long long)b.phase,
                             b.missing, (long long)b.bytes);
    return used;
}

/* ---- tensor maps ----------------------------------------------------------------------------- */

bool emu_tensor_map(struct tensor_map *out, const void *global, int elem_bytes, int rank,
                    const uint64_t *size, const uint64_t *stride_bytes, const uint32_t *box)
{
    struct tensor_map map = {};
    if ((uintptr_t)global % 16 || !elem_bytes || (uint64_t)box[0] * elem_bytes != SWIZZLE_BYTES)
        return false;
    for (int i = 0; i < rank; i++) {
        uint64_t stride = i ? stride_bytes[i - 1] : (uint64_t)elem_bytes;
        if (size[i] < 1 || size[i] > 1ull << 32 || box[i] < 1 || box[i] > 256)
            return false;
        if (i && (stride % 16 || stride >= 1ull << 40))
            return false;
        map.size[i] = size[i], map.stride_bytes[i] = stride, map.box[i] = box[i];
    }
    map.magic = map_magic;
    map.global = (char *)global, map.rank = rank, map.elem_bytes = elem_bytes;
    *out = map;
    return true;
}

/* ---- boxes ----------------------------------------------------------------------------------- */

static size_t box_rows(const struct tensor_map *map)
{
    size_t rows = 1;
    for (int i = 1; i < map->rank; i++)
        rows *= map->box[i];
    return rows;
}

/* The row's place in global memory were its first element at coordinate 0; NULL: it is outside. */
static char *row_global(const struct box *b, size_t row)
{
    char *global = b->map.global;
    for (int i = 1; i < b->map.rank; i++) {
        int64_t at = b->at[i] + (int64_t)(row % b->map.box[i]);
        row /= b->map.box[i];
        if (at < 0 || at >= (int64_t)b->map.size[i])
            return NULL;
        global += at * (int64_t)b->map.stride_bytes[i];
    }
    return global;
}

/* Which bytes of a row lie inside. */
static void row_inside(const struct box *b, int *from, int *to)
{
    int64_t low = -(int64_t)b->at[0], high = (int64_t)b->map.size[0] - b->at[0];
    int64_t width = b->map.box[0];
    low = low < 0 ? 0 : low > width ? width : low;
    high = high < low ? low : high > width ? width : high;
    *from = (int)low * b->map.elem_bytes;
    *to = (int)high * b->map.elem_bytes;
}

/* 16 bytes of a row go where bits 7 to 9 of the shared address say. */
static char *swizzled(char *shared)
{
    size_t offset = (size_t)(shared - emu_block.shared);
    return emu_block.shared + (offset ^ (offset >> 7 & 7) << 4);
}

static void box_load(const struct box *b)
{
    int from, to;
    row_inside(b, &from, &to);
    for (size_t row = 0; row < box_rows(&b->map); row++) {
        char bytes[SWIZZLE_BYTES] = {}, *global = row_global(b, row);
        int64_t skip = (int64_t)b->at[0] * b->map.elem_bytes;
        if (global && to > from) {
            memcpy(bytes + from, global + skip + from, to - from);
            race_agent_read(&b->agent, global + skip + from, to - from);
        }
        for (int i = 0; i < SWIZZLE_BYTES; i += 16)
            memcpy(swizzled(b->shared + row * SWIZZLE_BYTES + i), bytes + i, 16);
    }
    race_agent_write(&b->agent, b->shared, box_rows(&b->map) * SWIZZLE_BYTES);
}

static void box_store(const struct box *b)
{
    int from, to;
    row_inside(b, &from, &to);
    race_agent_read(&b->agent, b->shared, box_rows(&b->map) * SWIZZLE_BYTES);
    for (size_t row = 0; row < box_rows(&b->map); row++) {
        char bytes[SWIZZLE_BYTES], *global = row_global(b, row);
        int64_t skip = (int64_t)b->at[0] * b->map.elem_bytes;
        if (!global || to <= from)
            continue;
        for (int i = 0; i < SWIZZLE_BYTES; i += 16)
            memcpy(bytes + i, swizzled(b->shared + row * SWIZZLE_BYTES + i), 16);
        memcpy(global + skip + from, bytes + from, to - from);
        race_agent_write(&b->agent, global + skip + from, to - from);
    }
}

static struct box box_make(const char *what, const void *shared, const struct tensor_map *map,
                           int rank, const int *at)
{
    if (map->magic != map_magic)
        emu_finding("%s: that is no tensor map", what);
    if (map->rank != rank)
        emu_finding("%s: the tensor map has %d dimensions", what, map->rank);
    emu_need_shared(what, shared, box_rows(map) * SWIZZLE_BYTES, SWIZZLE_BYTES);
    struct box b = {.map = *map, .shared = (char *)shared};
    for (int i = 0; i < rank; i++)
        b.at[i] = at[i];
    race_agent_start(&b.agent);
    return b;
}

/* ---- loads ----------------------------------------------------------------------------------- */

static void load_deliver(const struct box *b)
{
    struct mbarrier *m = mbarrier_of("TMA load", b->m);
    box_load(b);
    race_agent_end(&b->agent, &m->clock[m->phase & 1]);
    m->bytes -= (int64_t)(box_rows(&b->map) * SWIZZLE_BYTES);
    phase_check(m);
}

void emu_tma_load(const char *what, void *shared, const struct tensor_map *map, uint64_t *m,
                  int rank, const int *at)
{
    struct box b = box_make(what, shared, map, rank, at);
    if (!mbarrier_of(what, m)->fenced)
        emu_finding("%s: no mbarrier_init_fence after the mbarrier's init", what);
    race_read(m, sizeof *m);
    b.m = m;
    if (emu_asked()->eager)
        load_deliver(&b);
    else
        loads.push_back(b);
}

bool emu_tma_deliver()
{
    const struct emu_settings *asked = emu_asked();
    if (loads.empty())
        return false;
    size_t last = loads.size() - 1;
    size_t i = asked->shuffled ? emu_random((unsigned)last + 1) : asked->reversed ? last : 0;
    struct box b = loads[i];
    loads.erase(loads.begin() + (ptrdiff_t)i);
    load_deliver(&b);
    return true;
}

/* ---- stores ---------------------------------------------------------------------------------- */

struct stores {
    std::vector<struct box> open;
    std::deque<std::vector<struct box>> groups;
};
static std::vector<struct stores> stores; /* by thread */

static struct stores *own_stores()
{
    if (stores.size() < (size_t)emu_block.threads)
        stores.resize(emu_block.threads);
    return &stores[emu_self->number];
}

void emu_tma_store(const char *what, const struct tensor_map *map, const void *shared, int rank,
                   const int *at)
{
    struct box b = box_make(what, shared, map, rank, at);
    if (emu_asked()->eager)
        box_store(&b);
    own_stores()->open.push_back(b);
}

void emu_tma_store_commit()
{
    struct stores *s = own_stores();
    s->groups.push_back(std::move(s->open));
    s->open.clear();
}

void emu_tma_store_wait(int groups)
{
    struct stores *s = own_stores();
    while ((int)s->groups.size() > groups) {
        for (auto &b : s->groups.front()) {
            if (!emu_asked()->eager)
                box_store(&b);
            race_agent_wait(&b.agent);
        }
        s->groups.pop_front();
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void emu_tma_begin()
{
    mbarriers.clear();
    loads.clear();
}

void emu_tma_leave(struct emu_thread *t)
{
    if (stores.size() <= (size_t)t->number)
        return;
    size_t left = stores[t->number].open.size();
    for (auto &group : stores[t->number].groups)
        left += group.size();
    if (left)
        emu_finding("the thread ends with %zu tma_store_2d that it never waited for", left);
    stores[t->number].groups.clear();
}

void emu_tma_end()
{
    if (!loads.empty())
        emu_finding("the block ends with %zu TMA loads under way", loads.size());
    for (auto &b : mbarriers)
        if (b.bytes)
            emu_finding("the block ends while an mbarrier lacks %lld bytes", (long long)b.bytes);
}
