// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "roofline/bandwidth.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/host.h"
#include "timing/measure.h"

#define ALIGN ((size_t)4096)
/* One sample of a walk outside the caches, of all threads together: long against a wake-up. */
#define WINDOW_BYTES ((size_t)64 << 20)
#define WINDOW_LEAST ((size_t)4 << 20) /* of each thread */

/* ---- buffer ---------------------------------------------------------------------------------- */

/* Static parts, as the walks have them: pages go where their thread runs. */
static void touch(struct bandwidth *b, int threads)
{
    size_t part = b->bytes / (size_t)threads;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++)
        memset(b->data + part * (size_t)t, 0x11, part);
}

enum status bandwidth_new(struct bandwidth *b, size_t bytes, int threads, struct fault *fault)
{
    *b = (struct bandwidth){.bytes = bytes};
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a buffer of %zu MiB", bytes >> 20);
    madvise(data, bytes, MADV_HUGEPAGE); /* without them it works too, slower by its TLB misses */
    b->data = data;
    touch(b, threads);
    return ST_OK;
}

void bandwidth_free(struct bandwidth *b)
{
    if (b->data)
        munmap(b->data, b->bytes);
    b->data = NULL;
}

/* ---- units ----------------------------------------------------------------------------------- */

static const struct stream_probe *const units[] = {&stream_c, &stream_avx2, &stream_avx512};

int stream_units(void) { return sizeof units / sizeof *units; }

const struct stream_probe *stream_unit(int index)
{
    const struct stream_probe *unit = units[index];
    bool here = unit->run[0] && (host_cpu_features() & unit->needs) == unit->needs;
    return here ? unit : NULL;
}

/* ---- walks ----------------------------------------------------------------------------------- */

static const int arrays_of[WALK_COUNT] = {[WALK_READ] = 1, [WALK_COPY] = 2, [WALK_TRIAD] = 3};

/* Arrays stand a whole number of pages less this apart: where the low bits of a store's address and
 * of a load soon after are the same, the load waits. (Intel optimization manual, 4-KByte
 * aliasing.) */
#define ALIAS_GAP ((size_t)1024)

static size_t round_down(size_t bytes, size_t grain) { return bytes - bytes % grain; }

/* What each thread walks in one pass, all its arrays together. */
static size_t pass_bytes(const struct bandwidth *b, const struct memory_place *place, bool dram,
                         int threads)
{
    size_t part = b->bytes / (size_t)threads, window = WINDOW_BYTES / (size_t)threads;
    if (!dram)
        return place->bytes < part ? place->bytes : part;
    window = window > WINDOW_LEAST ? window : WINDOW_LEAST;
    return window < part ? window : part;
}

double bandwidth_sample(struct bandwidth *b, const struct stream_probe *unit, enum stream_walk walk,
                        const struct memory_place *place, bool dram, int threads, int64_t passes)
{
    size_t part = round_down(b->bytes / (size_t)threads, ALIGN);
    size_t whole = round_down(pass_bytes(b, place, dram, threads), ALIGN);
    size_t arrays = (size_t)arrays_of[walk], each = round_down(whole / arrays, ALIGN) - ALIAS_GAP;
    size_t at = dram ? round_down(b->cursor / (size_t)threads, ALIGN) : 0;
    uint64_t sum = 0;
    double slowest = 0;
    if (at + whole > part)
        b->cursor = at = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(^ : sum)                  \
    reduction(max : slowest)
    for (int t = 0; t < threads; t++) {
        unsigned char *base = b->data + part * (size_t)t + at;
        double begin = clock_seconds();
        sum ^= unit->run[walk](base + (arrays - 1) * each, base, base + each, each, passes);
        slowest = fmax(slowest, clock_seconds() - begin);
    }
    b->cursor += dram ? whole * (size_t)threads : 0;
    b->sink ^= sum;
    return (double)(each * arrays) * (double)passes * threads / slowest;
}

int64_t bandwidth_passes(struct bandwidth *b, const struct stream_probe *unit,
                         enum stream_walk walk, const struct memory_place *place, int threads,
                         double seconds)
{
    const int64_t tried = 4;
    double rate = 0;
    for (int i = 0; i < 2; i++)
        rate = fmax(rate, bandwidth_sample(b, unit, walk, place, false, threads, tried));
    double pass = (double)pass_bytes(b, place, false, threads) * threads / rate;
    return 1 + (int64_t)(seconds / fmax(pass, 1e-9));
}
