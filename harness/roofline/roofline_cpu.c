// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline_cpu.c   Figures of the CPU. Each round takes one sample of every figure, so that what the
 * machine does meanwhile meets all of them alike. A short FMA probe before and after a round is the
 * guard of its clock: rounds around a dip are taken again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "elem.h"
#include "machine/host.h"
#include "roofline/roofline.h"
#include "timing/measure.h"

#define SAMPLE_SECONDS 0.003
#define GUARD_SECONDS 0.001
#define GUARD_LEAST 0.95 /* of the upper quartile of guards */
#define MATMUL_SECONDS 0.02
#define BUFFER_MOST ((size_t)4 << 30)
#define RATE_WORK 1e9 /* rates are sampled: the seconds for so much */

/* ---- the list of figures --------------------------------------------------------------------- */

static const char *type_of(enum elem elem)
{
    return elem == ELEM_I8 ? numerics_name(NUM_INT8) : elem_name(elem);
}

/* The units that multiply this type, or one figure that says why there is none. */
static void add_peaks(struct roofline *r, enum elem elem, int threads)
{
    char tried[200] = "";
    bool any = false;
    for (int i = 0; i < peak_units(); i++) {
        struct peak_unit unit = peak_unit_at(i);
        if (unit.elem != elem)
            continue;
        size_t used = strlen(tried);
        snprintf(tried + used, sizeof tried - used, "%s%s", used ? ", " : "", unit.isa);
        struct roof_figure *f = unit.why ? NULL : roof_add(r, ROOF_PEAK, "peak", threads);
        if (!f)
            continue;
        any = true;
        f->type = type_of(elem);
        f->unit = unit.isa;
        f->peak_index = i;
        f->work = RATE_WORK;
    }
    struct roof_figure *none = any ? NULL : roof_add(r, ROOF_PEAK, "peak", threads);
    if (none) {
        none->type = type_of(elem);
        none->status = fault_set(&none->why, ST_UNAVAILABLE,
                                 "this CPU, its hypervisor or this build offers no %s arithmetic"
                                 " that is probed (%s)",
                                 none->type, tried);
    }
}

static void add_walks(struct roofline *r, int threads)
{
    static const char *const names[WALK_COUNT] = {"read", "copy", "triad"};
    struct memory_place place[CACHE_LEVELS_MAX + 1];
    size_t room = host_memory_available() / 4;
    int places =
        memory_places(r->level, r->levels, threads, room < BUFFER_MOST ? room : BUFFER_MOST, place);
    for (int p = 0; p < places; p++)
        for (int w = 0; w < WALK_COUNT; w++) {
            struct roof_figure *f = roof_add(r, ROOF_MEMORY, names[w], threads);
            if (!f)
                return;
            f->walk = (enum stream_walk)w;
            f->place = place[p];
            f->dram = p + 1 == places;
            f->work = RATE_WORK;
        }
}

static size_t buffer_bytes(const struct roofline *r)
{
    size_t most = 0;
    for (int i = 0; i < r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        size_t bytes = f->place.bytes * (size_t)f->threads;
        most = f->kind == ROOF_MEMORY && bytes > most ? bytes : most;
    }
    return most;
}

/* The widest registers are not the fastest everywhere: a short trial decides. */
static void settle_walk(struct bandwidth *b, struct roof_figure *f)
{
    double best = 0;
    for (int i = 0; i < stream_units(); i++) {
        const struct stream_probe *unit = stream_unit(i);
        if (!unit)
            continue;
        int64_t passes =
            f->dram ? 1 : bandwidth_passes(b, unit, f->walk, &f->place, f->threads, SAMPLE_SECONDS);
        double rate = bandwidth_sample(b, unit, f->walk, &f->place, f->dram, f->threads, passes);
        if (rate <= best)
            continue;
        best = rate;
        f->stream = unit;
        f->unit = unit->isa;
        f->passes = passes;
    }
}

/* All threads there will be have been started, those of libraries too. Teams of fewer threads are
 * the first of these. */
static void pin(struct roofline *r)
{
    int threads = r->threads[r->thread_counts - 1];
    pinning_choose("cores", threads, &r->pinning);
    if (r->pinning.count)
        pinning_apply(r->pinning.list, threads, &r->pinned);
}

static enum status prepare(struct roofline *r, struct bandwidth *b, struct fault *fault)
{
    static const enum elem elems[] = {ELEM_F64, ELEM_F32, ELEM_F16, ELEM_BF16, ELEM_I8};
    r->levels = cache_levels("", r->level);
    for (int t = 0; t < r->thread_counts; t++) {
        const char *isa;
        for (size_t e = 0; e < sizeof elems / sizeof *elems; e++)
            add_peaks(r, elems[e], r->threads[t]);
        add_walks(r, r->threads[t]);
        roof_add_matmuls(r, r->threads[t], measure_fma_peak(r->threads[t], &isa), MATMUL_SECONDS);
    }
    pin(r);
    TRY(bandwidth_new(b, buffer_bytes(r), r->threads[r->thread_counts - 1], fault));
    for (int i = 0; i < r->count; i++)
        if (r->figure[i].kind == ROOF_MEMORY)
            settle_walk(b, &r->figure[i]);
    return ST_OK;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static double sample(struct bandwidth *b, struct roof_figure *f)
{
    if (f->kind == ROOF_PEAK)
        return f->work / peak_sample(f->peak_index, f->threads, SAMPLE_SECONDS);
    if (f->kind == ROOF_MEMORY)
        return f->work /
               bandwidth_sample(b, f->stream, f->walk, &f->place, f->dram, f->threads, f->passes);
    return roof_matmul_seconds(f);
}

static double guard(void) { return peak_sample(peak_guard_unit(), 1, GUARD_SECONDS); }

/* Keeps the rounds that are marked, in their order. */
static void keep_rounds(struct roofline *r, const bool *kept, int64_t taken)
{
    for (int i = 0; i < r->count; i++) {
        struct roof_figure *f = &r->figure[i];
        int64_t n = 0;
        for (int64_t round = 0; round < taken && f->status == ST_OK; round++)
            if (kept[round])
                f->samples[n++] = f->samples[round];
        f->n = n;
    }
}

/* Marks the rounds between good guards; the quarter of fastest ones says what good is, for a lone
 * fast one is no measure. Returns how many. */
static int64_t mark(const double *clock, int64_t taken, bool *kept)
{
    double good = GUARD_LEAST * stats_summary(clock, taken).q3;
    int64_t count = 0;
    for (int64_t i = 0; i < taken; i++)
        count += kept[i] = clock[i] >= good;
    return count;
}

/* Until enough rounds lie between good guards, at most twice as many; where that is not to be had,
 * as on a machine that others work on, all rounds stay and it is said. */
static void take_rounds(struct roofline *r, struct bandwidth *b)
{
    double clock[ROOF_SAMPLES_MAX];
    bool kept[ROOF_SAMPLES_MAX];
    int64_t taken = 0, good = 0, most = 2 * r->rounds;
    while (taken < most && good < r->rounds && !interrupted_by) {
        double before = guard();
        progress_line("roofline: round %lld of %lld", (long long)good + 1, (long long)r->rounds);
        for (int i = 0; i < r->count && !interrupted_by; i++)
            if (r->figure[i].status == ST_OK)
                r->figure[i].samples[taken] = sample(b, &r->figure[i]);
        clock[taken++] = fmin(before, guard());
        good = mark(clock, taken, kept);
    }
    progress_line(NULL);
    r->unsettled = good < r->rounds;
    for (int64_t i = 0; i < taken && r->unsettled; i++)
        kept[i] = true;
    r->redone = r->unsettled ? 0 : taken - good;
    keep_rounds(r, kept, taken);
}

enum status roof_measure_cpu(struct roofline *r, struct fault *fault)
{
    struct bandwidth b = {0};
    enum status status = prepare(r, &b, fault);
    if (status == ST_OK)
        take_rounds(r, &b);
    if (status == ST_OK && interrupted_by)
        status = fault_set(fault, ST_INTERRUPTED, "interrupted; nothing is recorded");
    bandwidth_free(&b);
    for (int i = 0; i < r->count; i++)
        roof_free_matmul(&r->figure[i]);
    return status;
}
