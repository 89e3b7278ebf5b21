// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "timing/guard.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/stats.h"
#include "base/sysfile.h"
#include "machine/cgroup.h"
#include "timing/measure.h"

/* ---- the probe ------------------------------------------------------------------------------- */

#define PIECE_LINKS 8192 /* some ten microseconds: few are interrupted */
#define PIECES 6

static const volatile double chain_start = 0.5;

static double chain_rate(void)
{
    double best = 0, x = chain_start;
    volatile double chain_end;
    const double a = 0.999, b = 0.001;
    for (int piece = 0; piece < PIECES; piece++) {
        const double begin = clock_seconds();
        for (int i = 0; i < PIECE_LINKS; i++)
            x = x * a + b;
        chain_end = x;
        (void)chain_end;
        best = fmax(best, PIECE_LINKS / (clock_seconds() - begin));
    }
    return best;
}

static double probe(int threads)
{
    double slowest = INFINITY;
    if (threads < 1)
        return NAN;
#pragma omp parallel num_threads(threads) reduction(min : slowest)
    slowest = fmin(slowest, chain_rate());
    return slowest;
}

/* ---- what the system tells ------------------------------------------------------------------- */

static bool watched(int processor, const int *cpu, int cpus)
{
    for (int i = 0; i < cpus; i++)
        if (cpu[i] == processor)
            return true;
    return cpus == 0;
}

/* "cpu3 user nice system idle iowait irq softirq steal ..." (proc(5)) */
int64_t guard_stolen(const char *root, const int *cpu, int cpus)
{
    char path[512], line[512];
    int64_t ticks = -1;
    snprintf(path, sizeof path, "%s/proc/stat", root);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        int processor;
        long long steal;
        if (sscanf(line, "cpu%d %*u %*u %*u %*u %*u %*u %*u %lld", &processor, &steal) == 2 &&
            watched(processor, cpu, cpus))
            ticks = (ticks < 0 ? 0 : ticks) + steal;
    }
    if (file)
        fclose(file);
    return ticks;
}

/* The slowest of the processors; of many only the first ones are looked at. */
#define LOOKED_AT 16
static double clock_mhz(const struct guard *g)
{
    double least = NAN;
    int64_t khz;
    for (int i = 0; i < (g->cpus ? g->cpus : 1) && i < LOOKED_AT; i++) {
        const int cpu = g->cpus ? g->cpu[i] : sched_getcpu();
        if (sysfile_int(&khz, "%s/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", g->root,
                        cpu))
            least = fmin(least, (double)khz * 1e-3);
    }
    return least;
}

static int64_t preempted(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

void guard_begin(struct guard *g)
{
    g->links = probe(g->threads);
    g->throttled = cgroup_throttled(g->root);
    g->stolen_ticks = guard_stolen(g->root, g->cpu, g->cpus);
    g->preempted = preempted();
    g->on_cpu = sched_getcpu();
    g->begin_s = clock_seconds();
}

/* Ticks are whole: where fewer than one is stolen in a block, most blocks show none and some one. */
static double stolen_share(const struct guard *g, double seconds)
{
    const int64_t now = guard_stolen(g->root, g->cpu, g->cpus);
    const double cpus = g->cpus ? g->cpus : (double)sysconf(_SC_NPROCESSORS_ONLN);
    const double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
    if (now < 0 || g->stolen_ticks < 0)
        return NAN;
    return (double)(now - g->stolen_ticks) / ticks_per_s / (cpus * fmax(seconds, 1e-6));
}

void guard_end(struct guard *g, struct guard_look *out)
{
    const double seconds = clock_seconds() - g->begin_s;
    const bool moved = sched_getcpu() != g->on_cpu && preempted() > g->preempted;
    out->mhz = clock_mhz(g);
    out->stolen = stolen_share(g, seconds);
    out->migrated = moved && !g->pinned;
    out->throttled = cgroup_throttled(g->root) - g->throttled;
    out->links[0] = g->links;
    out->links[1] = probe(g->threads);
}

void guard_print(const struct guard_look *look, FILE *out)
{
    fprintf(out, "%.9g %.9g %.6g %.6g %d %" PRId64, look->links[0], look->links[1], look->mhz,
            look->stolen, look->migrated, look->throttled);
}

int guard_read(const char *text, struct guard_look *out)
{
    int migrated, used = 0;
    if (sscanf(text, "%lf %lf %lf %lf %d %" SCNd64 "%n", &out->links[0], &out->links[1], &out->mhz,
               &out->stolen, &migrated, &out->throttled, &used) != 6)
        return 0;
    out->migrated = migrated != 0;
    return used;
}

/* ---- judging --------------------------------------------------------------------------------- */

#define SETTLED 0.95     /* of the settled clock: slower than this it was not itself */
#define LEVEL_LEAST 3    /* values before there is a level */
#define STOLEN_MOST 0.01 /* of the processors' time */

static const struct {
    const char *name;
    uint8_t flag;
} reasons[GUARD_REASONS] = {{"clock", RAW_CLOCK},
                            {"throttle", RAW_THROTTLE},
                            {"steal", RAW_STEAL},
                            {"migration", RAW_MIGRATION},
                            {"quota", RAW_QUOTA}};

double guard_settled(const struct guard_level *l)
{
    return l->seen < LEVEL_LEAST
               ? NAN
               : stats_median(l->value, l->seen < GUARD_LEVELS ? l->seen : GUARD_LEVELS);
}

/* Slow values are part of the level too: where the clock has settled lower for good, so does it. */
static bool below(struct guard_level *l, double value)
{
    if (isnan(value))
        return false;
    l->value[l->seen++ % GUARD_LEVELS] = value;
    return value < SETTLED * guard_settled(l); /* false while there is no level */
}

uint8_t guard_judge(struct guard_count *c, const struct guard_look *look, bool throttled,
                    int64_t kept)
{
    const double links = fmin(look->links[0], look->links[1]);
    uint8_t flags = 0;
    bool slow = below(&c->links, links);
    slow = below(&c->mhz, look->mhz) || slow;
    flags |= slow ? RAW_CLOCK : 0;
    flags |= throttled ? RAW_THROTTLE : 0;
    flags |= look->stolen > STOLEN_MOST ? RAW_STEAL : 0;
    flags |= look->migrated ? RAW_MIGRATION : 0;
    flags |= look->throttled > 0 ? RAW_QUOTA : 0;
    const bool again = flags && c->discarded < 3 + kept / 3;
    int64_t *by = again ? c->by_reason : c->marred_by;
    for (int r = 0; r < GUARD_REASONS; r++)
        by[r] += (flags & reasons[r].flag) != 0;
    c->discarded += again;
    c->marred += flags && !again;
    if (!again && links > 0 && (c->least_links == 0 || links < c->least_links))
        c->least_links = links;
    return again ? flags | RAW_DISCARDED : flags;
}

static void reasons_json(const int64_t by[GUARD_REASONS], int64_t all, struct json *j,
                         const char *key)
{
    json_open_object(j, key);
    json_int(j, "blocks", all);
    for (int r = 0; r < GUARD_REASONS; r++)
        json_int(j, reasons[r].name, by[r]);
    json_end(j);
}

void guard_json(const struct guard_count *c, struct json *j)
{
    const double settled = guard_settled(&c->links);
    reasons_json(c->by_reason, c->discarded, j, "discarded");
    reasons_json(c->marred_by, c->marred, j, "marred");
    json_number(j, "clock_mhz", guard_settled(&c->mhz));
    json_number(j, "probe_links_per_s", settled);
    json_number(j, "probe_least", c->least_links > 0 ? c->least_links / settled : NAN);
}

void guard_describe(const struct guard_count *c, const char *one, const char *many, char *out,
                    size_t bytes)
{
    size_t used = 0;
    out[0] = '\0';
    if (!c->discarded)
        return;
    used += (size_t)snprintf(out, bytes, "%" PRId64 " %s %s timed anew", c->discarded,
                             c->discarded == 1 ? one : many, c->discarded == 1 ? "was" : "were");
    for (int r = 0, told = 0; r < GUARD_REASONS && used < bytes; r++)
        if (c->by_reason[r])
            used += (size_t)snprintf(out + used, bytes - used, "%s%" PRId64 " %s",
                                     told++ ? ", " : ": ", c->by_reason[r], reasons[r].name);
}
