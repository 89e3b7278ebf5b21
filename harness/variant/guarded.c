// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/guarded.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "random.h"

#define BAND_BYTES ((size_t)4096)
#define LIVE_MAX 64
#define SCATTER_MOST_BYTES ((size_t)64 << 20)
#define SCATTER_SPARE_PAGES 64

const unsigned char guarded_canary[4] = {0xe3, 0x7f, 0xc5, 0xff};

/* Blocks by address, for the fault handler; a block beyond the table is guarded all the same. */
static struct live {
    const unsigned char *map;
    size_t map_bytes;
    const char *name;
} live[LIVE_MAX];

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void live_set(const unsigned char *from, struct live to)
{
    for (int i = 0; i < LIVE_MAX; i++) {
        if (live[i].map == from) {
            live[i] = to;
            return;
        }
    }
}

enum status guarded_new(struct guarded *g, size_t bytes, const char *name, struct fault *fault)
{
    size_t page = page_bytes(), used = 0, total = 0;
    *g = (struct guarded){.bytes = bytes};
    if (__builtin_add_overflow(bytes, BAND_BYTES + TENSOR_ALIGN + page - 1, &used) ||
        __builtin_add_overflow(used / page * page, 2 * page, &total))
        return fault_set(fault, ST_NO_MEMORY, "%s needs more bytes than can be counted", name);
    unsigned char *map = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return fault_set(fault, ST_NO_MEMORY, "no memory for %s (%zu bytes)", name, total);
    if (mprotect(map + page, total - 2 * page, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, total);
        return fault_set(fault, ST_NO_MEMORY, "no memory for %s (%zu bytes)", name, total);
    }
    g->map = map;
    g->map_bytes = total;
    live_set(NULL, (struct live){map, total, name});
    guarded_place(g, true);
    return ST_OK;
}

void guarded_free(struct guarded *g)
{
    if (g->map) {
        live_set(g->map, (struct live){NULL, 0, NULL});
        munmap(g->map, g->map_bytes);
    }
    *g = (struct guarded){0};
}

static void canaries_write(unsigned char *from, const unsigned char *end)
{
    for (; from < end; from++)
        *from = guarded_canary[(uintptr_t)from % sizeof guarded_canary];
}

static const unsigned char *canaries_damage(const unsigned char *from, const unsigned char *end)
{
    for (; from < end; from++) {
        if (*from != guarded_canary[(uintptr_t)from % sizeof guarded_canary])
            return from;
    }
    return NULL;
}

void guarded_place(struct guarded *g, bool at_end)
{
    size_t page = page_bytes();
    unsigned char *low = g->map + page, *high = g->map + g->map_bytes - page;
    size_t room = (g->bytes + TENSOR_ALIGN - 1) / TENSOR_ALIGN * TENSOR_ALIGN;
    g->data = at_end ? high - room : low;
    canaries_write(low, g->data);
    canaries_write(g->data + g->bytes, high);
}

/* ---- other pages ----------------------------------------------------------------------------- */

static void shuffle(uint32_t *order, size_t count, uint64_t seed)
{
    struct random_stream stream = random_stream_of(seed, "pages");
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)(random_bits(stream, i) % i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* The kernel hands out first what was given back last. So spare pages are taken, half before the
 * block's own go and half after; then as many of them go, one by one in random order, as the block
 * will take. */
static void stir(struct guarded *g, unsigned char *spare, uint32_t *order, size_t spares,
                 uint64_t seed)
{
    size_t page = page_bytes(), inner = g->map_bytes - 2 * page;
    shuffle(order, spares, seed);
    for (size_t i = 0; i < spares; i++) {
        if (i == spares / 2)
            madvise(g->map + page, inner, MADV_DONTNEED);
        spare[order[i] * page] = 1;
    }
    shuffle(order, spares, seed + 1);
    for (size_t i = 0; i < inner / page; i++)
        madvise(spare + order[i] * page, page, MADV_DONTNEED);
}

void guarded_scatter(struct guarded *g, uint64_t seed, int threads)
{
    size_t page = page_bytes();
    if (!g->map || g->map_bytes > SCATTER_MOST_BYTES)
        return;
    size_t own = g->map_bytes / page - 2, spares = 2 * own + SCATTER_SPARE_PAGES;
    unsigned char *spare =
        mmap(NULL, spares * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *order = malloc(spares * sizeof *order);
    if (spare != MAP_FAILED && order) {
        stir(g, spare, order, spares, seed);
        shuffle(order, own, seed + 2);
        /* By the threads that will fill it: the first touch decides the NUMA node. */
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (size_t i = 0; i < own; i++)
            g->map[(1 + order[i]) * page] = 0;
    }
    if (spare != MAP_FAILED)
        munmap(spare, spares * page);
    free(order);
}

void guarded_poison(struct guarded *g) { canaries_write(g->data, g->data + g->bytes); }

void guarded_protect(const struct guarded *g, bool protect)
{
    if (g->map)
        mprotect(g->map + page_bytes(), g->map_bytes - 2 * page_bytes(),
                 protect ? PROT_READ : PROT_READ | PROT_WRITE);
}

bool guarded_intact(const struct guarded *g, int64_t *offset)
{
    size_t page = page_bytes();
    const unsigned char *at = canaries_damage(g->map + page, g->data);
    if (!at)
        at = canaries_damage(g->data + g->bytes, g->map + g->map_bytes - page);
    if (at)
        *offset = at - g->data;
    return !at;
}

/* ---- faults on guard pages ------------------------------------------------------------------- */

static int report_to = -1;

static void say(const char *text)
{
    ssize_t ignored = write(report_to, text, strlen(text));
    (void)ignored;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const unsigned char *at = info->si_addr;
    const size_t page = page_bytes();
    for (int i = 0; i < LIVE_MAX; i++) {
        const struct live *l = &live[i];
        if (!l->map || at < l->map || at >= l->map + l->map_bytes)
            continue;
        const bool inside = at >= l->map + page && at < l->map + l->map_bytes - page;
        say(inside                            ? "touch into its input "
            : at < l->map + l->map_bytes / 2 ? "touch in front of "
                                              : "touch past the end of ");
        say(l->name);
        say(inside ? ", which it may not write\n" : "\n");
        break;
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void guarded_report_faults(int descriptor)
{
    report_to = descriptor;
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_fault;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
