// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_watch.c   Every rule asks what holds in the quietest blocks, so that a busy machine, which
 * wakes us late or takes the worker's processors away, brands no one: whoever cheats does so in all
 * of them. */
#include "contest/kernels_watch.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "timing/measure.h"

#define CLOCK_SLACK_S 0.005 /* two messages, and a supervisor that is woken late */
#define CLOCK_WITHIN 1.2
#define TIMES_SLACK_S 0.02 /* the guard's probes, on threads that have to be woken */
#define TIMES_WITHIN 1.25
/* A running thread's processor time is brought up to date once a tick. */
#define TICK_S 0.004
#define BUSY_WITHIN 1.15
#define FIRST_TIMES 3 /* as long as a later run */
#define FIRST_SLACK_S 0.002
#define COLD_BYTES_PER_SECOND 1e9 /* of data that no cache holds, on a slow, busy machine */
#define LEAST_BLOCKS 3
#define GROWN_BYTES ((int64_t)64 << 20)

/* ---- looks ----------------------------------------------------------------------------------- */

static double processor_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return NAN;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int threads_of(pid_t pid)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (const struct dirent *e; folder && (e = readdir(folder));)
        count += e->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static int64_t resident_of(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

void watch_ready(struct watch *w, pid_t pid)
{
    if (!w->blocks)
        w->least_first_s = w->least_read_s = INFINITY;
    w->threads = threads_of(pid);
    w->here = 0;
    w->stands = false;
}

void watch_began(struct watch *w, pid_t pid, const char *words)
{
    w->stands = false;
    if (sscanf(words, "%lf %lf %lf", &w->first_s, &w->read_s, &w->read_bytes) != 3)
        w->first_s = w->read_s = w->read_bytes = 0;
    w->busy_s = processor_seconds(pid);
    w->wall_s = clock_seconds();
}

/* Here the worker is at work of ours, so that nothing is held up. */
void watch_stopped(struct watch *w, pid_t pid, const char *words)
{
    w->wall_s = clock_seconds() - w->wall_s;
    w->busy_s = processor_seconds(pid) - w->busy_s;
    w->told_wall_s = strtod(words, NULL);
    w->stands = w->told_wall_s > 0;
    const int more = threads_of(pid) - w->threads;
    const int64_t resident = resident_of(pid), grown = resident - w->resident_bytes;
    if (w->threads > 0 && more > w->more_threads)
        w->more_threads = more;
    if (w->here++ < 2)
        w->resident_bytes = resident;
    else if (grown > w->grown_bytes)
        w->grown_bytes = grown;
}

void watch_told(struct watch *w, double told_s, int threads)
{
    if (!w->stands || !(told_s > 0))
        return;
    const int64_t at = w->blocks++ % WATCH_BLOCKS;
    w->stands = false;
    w->clock[at] = (w->wall_s - CLOCK_SLACK_S) / w->told_wall_s;
    w->times[at] = (w->wall_s - TIMES_SLACK_S) / told_s;
    w->busy[at] = (w->busy_s - 2 * threads * TICK_S) / (w->wall_s * threads);
    w->least_first_s = fmin(w->least_first_s, w->first_s);
    w->least_read_s = fmin(w->least_read_s, w->read_s);
}

/* ---- judgement ------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seven eighths of the blocks are above it; of fewer than eight it is the least. */
static double low_eighth(const double *value, int64_t blocks)
{
    double sorted[WATCH_BLOCKS];
    const size_t n = (size_t)(blocks < WATCH_BLOCKS ? blocks : WATCH_BLOCKS);
    memcpy(sorted, value, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    return sorted[n / 8];
}

static bool clock_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                          size_t bytes)
{
    (void)c;
    const double clock = w->blocks < MEASURE_LEAST_SAMPLES ? 0 : low_eighth(w->clock, w->blocks);
    const double times = w->blocks < MEASURE_LEAST_SAMPLES ? 0 : low_eighth(w->times, w->blocks);
    if (clock <= CLOCK_WITHIN && times <= TIMES_WITHIN)
        return false;
    snprintf(reason, bytes,
             "by the supervisor's clock its blocks took %.3g times as long as its process tells:"
             " the clock there is not to be trusted",
             clock > CLOCK_WITHIN ? clock : times);
    return true;
}

static bool threads_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                            size_t bytes)
{
    if (c->device || c->own_threads || w->more_threads < 1)
        return false;
    snprintf(reason, bytes, "it started %d more threads than the %d that it was given",
             w->more_threads, c->threads);
    return true;
}

static bool busy_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                         size_t bytes)
{
    const double busy = w->blocks < MEASURE_LEAST_SAMPLES ? 0 : low_eighth(w->busy, w->blocks);
    if (c->device || busy <= BUSY_WITHIN)
        return false;
    snprintf(reason, bytes, "it kept %.2g processors busy where it was given %d threads",
             busy * c->threads, c->threads);
    return true;
}

static bool memory_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                           size_t bytes)
{
    if (c->device || w->grown_bytes <= GROWN_BYTES ||
        (double)w->grown_bytes <= c->operand_bytes / 4)
        return false;
    snprintf(reason, bytes,
             "its process grew by %.3g MB while it was timed: runs take memory and give none back",
             1e-6 * (double)w->grown_bytes);
    return true;
}

/* Cold caches and sleeping threads cost a first run something, but not its work several times
 * over. */
static bool first_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                          size_t bytes)
{
    const double least =
        FIRST_TIMES * c->median_s + FIRST_SLACK_S + c->operand_bytes / COLD_BYTES_PER_SECOND;
    if (c->device || w->blocks < LEAST_BLOCKS || w->least_first_s <= least)
        return false;
    snprintf(reason, bytes,
             "on new data a run takes %.3g ms at best, on data that it has met %.3g ms: it keeps"
             " results",
             1e3 * w->least_first_s, 1e3 * c->median_s);
    return true;
}

static bool reading_doubted(const struct watch *w, const struct watch_case *c, char *reason,
                            size_t bytes)
{
    const double least = FIRST_TIMES * w->read_bytes / COLD_BYTES_PER_SECOND + FIRST_SLACK_S;
    if (c->device || w->blocks < LEAST_BLOCKS || w->least_read_s <= least)
        return false;
    snprintf(reason, bytes,
             "reading %.3g MB of output took %.3g ms at best: they are made when they are read, not"
             " when run() is timed",
             1e-6 * w->read_bytes, 1e3 * w->least_read_s);
    return true;
}

bool watch_doubts(const struct watch *w, const struct watch_case *c, char *reason, size_t bytes)
{
    static bool (*const rules[])(const struct watch *, const struct watch_case *, char *,
                                 size_t) = {clock_doubted,   threads_doubted, busy_doubted,
                                            reading_doubted, first_doubted,   memory_doubted};
    bool doubted = false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !doubted; i++)
        doubted = rules[i](w, c, reason, bytes);
    return doubted;
}
