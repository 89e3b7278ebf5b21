// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sync.cc   Where threads wait for each other: warp functions and barriers. */
#include "core.h"
#include "race.h"

#include <string.h>

struct barrier {
    int arrived, threads;
    uint64_t generation;
    struct emu_clock clock[2];
};

std::vector<struct emu_warp> emu_warps;
static struct barrier barriers[16];

int emu_lane() { return emu_self->number & 31; }

void emu_sync_begin()
{
    int count = (emu_block.threads + 31) / 32;
    if ((int)emu_warps.size() < count)
        emu_warps.resize(count);
    for (int w = 0; w < count; w++) {
        int lanes = emu_block.threads - w * 32;
        emu_warps[w].live = lanes >= 32 ? ~0u : (1u << lanes) - 1;
        emu_warps[w].meetings = 0;
    }
    for (auto &b : barriers)
        b.arrived = b.threads = 0;
}

/* ---- warps ----------------------------------------------------------------------------------- */

static struct emu_warp *own_warp() { return &emu_warps[emu_self->number >> 5]; }

static struct emu_meeting *meeting_of(struct emu_warp *w, unsigned mask)
{
    for (int i = 0; i < w->meetings; i++)
        if (w->meeting[i].mask == mask)
            return &w->meeting[i];
    if (w->meetings == EMU_MEETINGS)
        emu_finding("more than %d different lane masks in one warp", EMU_MEETINGS);
    struct emu_meeting *m = &w->meeting[w->meetings++];
    m->mask = mask, m->arrived = 0;
    memset(m->arguments, 0, sizeof m->arguments);
    return m;
}

static struct emu_meeting *arrive(unsigned mask, const char *what)
{
    int lane = emu_lane();
    if (!(mask >> lane & 1))
        emu_finding("%s: lane %d calls it without being in mask %08x", what, lane, mask);
    struct emu_meeting *m = meeting_of(own_warp(), mask);
    if (m->arrived && strcmp(m->what, what) != 0)
        emu_finding("lane %d is at %s while others of its warp wait at %s", lane, what, m->what);
    m->what = what;
    m->arrived |= 1u << lane;
    return m;
}

static bool complete(struct emu_meeting *m, unsigned live)
{
    if (!m->arrived || m->arrived != (m->mask & live))
        return false;
    if (m->act)
        m->act(m->arguments);
    memset(m->arguments, 0, sizeof m->arguments);
    m->arrived = 0;
    m->generation++;
    return true;
}

static void meet(struct emu_meeting *m)
{
    uint64_t generation = m->generation;
    if (!complete(m, own_warp()->live))
        emu_wait(&m->generation, generation, m->what);
}

void emu_meet(unsigned mask, const char *what, void *argument, void (*act)(void **arguments))
{
    struct emu_meeting *m = arrive(mask, what);
    m->arguments[emu_lane()] = argument;
    m->act = act;
    meet(m);
}

uint64_t emu_shuffle(unsigned mask, const char *what, uint64_t value, int source)
{
    struct emu_meeting *m = arrive(mask, what);
    const uint64_t *values = m->values[m->generation & 1];
    m->values[m->generation & 1][emu_lane()] = value;
    m->act = NULL;
    if (source >= 0 && !(mask & own_warp()->live & 1u << source))
        emu_finding("%s: lane %d reads lane %d, which takes no part", what, emu_lane(), source);
    meet(m);
    return source < 0 ? value : values[source];
}

unsigned emu_ballot(unsigned mask, const char *what, bool yes)
{
    struct emu_meeting *m = arrive(mask, what);
    uint64_t *values = m->values[m->generation & 1];
    unsigned ballot = 0;
    values[emu_lane()] = yes;
    m->act = NULL;
    mask &= own_warp()->live;
    meet(m);
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1 && values[lane])
            ballot |= 1u << lane;
    return ballot;
}

static void syncwarp_act(void **threads) { race_meet((struct emu_thread **)threads); }

void emu_syncwarp(unsigned mask) { emu_meet(mask, "__syncwarp", emu_self, syncwarp_act); }

/* ---- blocks ---------------------------------------------------------------------------------- */

static const char *const barrier_names[16] = {
    "__syncthreads",    "named barrier 1",  "named barrier 2",  "named barrier 3",
    "named barrier 4",  "named barrier 5",  "named barrier 6",  "named barrier 7",
    "named barrier 8",  "named barrier 9",  "named barrier 10", "named barrier 11",
    "named barrier 12", "named barrier 13", "named barrier 14", "named barrier 15"};

static bool barrier_complete(struct barrier *b)
{
    if (!b->arrived || b->arrived != (b->threads ? b->threads : emu_block.live))
        return false;
    b->arrived = 0;
    b->generation++;
    return true;
}

static void barrier_pass(int id, int threads, bool wait)
{
    struct barrier *b = &barriers[id];
    if (b->arrived && b->threads != threads)
        emu_finding("%s is used for %d and for %d threads at once", barrier_names[id], b->threads,
                    threads);
    uint64_t generation = b->generation;
    struct emu_clock *clock = &b->clock[generation & 1];
    race_release(clock, b->arrived == 0);
    b->threads = threads;
    b->arrived++;
    if (!barrier_complete(b) && wait)
        emu_wait(&b->generation, generation, barrier_names[id]);
    if (wait)
        race_acquire(clock);
}

void emu_syncthreads() { barrier_pass(0, 0, true); }

void emu_named_barrier(int id, int threads, bool wait)
{
    if (id < 1 || id > 15)
        emu_finding("named barrier %d: they are 1 to 15", id);
    if (threads <= 0 || threads % 32 || threads > emu_block.threads)
        emu_finding("named barrier %d: %d threads are no whole warps of this block", id, threads);
    barrier_pass(id, threads, wait);
}

/* A thread that returns may be the one that others waited for. */
void emu_sync_leave(struct emu_thread *t)
{
    struct emu_warp *w = &emu_warps[t->number >> 5];
    w->live &= ~(1u << (t->number & 31));
    emu_block.live--;
    for (int i = 0; i < w->meetings; i++)
        complete(&w->meeting[i], w->live);
    barrier_complete(&barriers[0]);
}

void emu_fence_proxy_async()
{
    emu_mbarrier_init_fence();
    race_proxy_fence();
}

void emu_atomic(void *address, size_t bytes) { race_atomic(address, bytes); }
