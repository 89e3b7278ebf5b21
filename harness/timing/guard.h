// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* guard.h   What befell the processor while a block or a clip was timed, and whether its times may
 * stand. No time is dropped for being odd: only for a reason seen beside it (clock, throttling,
 * stolen time, migration, a cgroup's quota), and how many were is counted by reason.
 *
 * Clocks cannot be read in most virtual machines. A chain of multiply-adds, each waiting for the one
 * before, takes a fixed number of cycles and touches no memory, so how many links of it pass in a
 * second says how fast the clock is, up to a constant. It runs on every thread before and after a
 * block; the best of a few short pieces counts, so that an interruption is not taken for a slow
 * clock. */
#ifndef PATCHMARK_GUARD_H
#define PATCHMARK_GUARD_H

#include "base/json.h"
#include "records/sidecar.h"

/* ---- looking: in the process that is timed --------------------------------------------------- */

/* One block as it was. */
struct guard_look {
    double links[2];   /* links per second before and after, the slowest thread's; NaN: no probe */
    double mhz;        /* by cpufreq, the slowest processor's; NaN: it does not tell */
    double stolen;     /* share of the processors' time that a hypervisor gave to others; NaN */
    bool migrated;     /* was preempted and went on elsewhere; never where threads are pinned */
    int64_t throttled; /* periods in which a cgroup's quota was used up */
};

struct guard {
    const char *root; /* "" for this machine; a test gives a folder that holds proc/ and sys/ */
    int threads;      /* that probe; 0: none does */
    bool pinned;
    int cpus;       /* processors to watch; 0: all */
    const int *cpu; /* the caller's */
    /* of the beginning */
    double links, begin_s;
    int64_t stolen_ticks, throttled, preempted;
    int on_cpu;
};

void guard_begin(struct guard *g);
void guard_end(struct guard *g, struct guard_look *out);
/* As words of a line, and back; the words used, or 0 where they cannot be read. */
void guard_print(const struct guard_look *look, FILE *out);
int guard_read(const char *text, struct guard_look *out);
#define GUARD_NONE ((struct guard_look){{NAN, NAN}, NAN, NAN, false, 0})

/* Clock ticks that were stolen from these processors since the system began; -1: not told. */
int64_t guard_stolen(const char *root, const int *cpu, int cpus);

/* ---- judging: in the supervisor -------------------------------------------------------------- */

#define GUARD_LEVELS 64

/* What the clock settled at: the median of the latest probes. */
struct guard_level {
    double value[GUARD_LEVELS];
    int64_t seen;
};
double guard_settled(const struct guard_level *l); /* NaN before there are a few */

enum guard_reason {
    GUARD_CLOCK,
    GUARD_THROTTLE,
    GUARD_STEAL,
    GUARD_MIGRATION,
    GUARD_QUOTA,
    GUARD_REASONS
};

/* One case. Zero-initialised. */
struct guard_count {
    struct guard_level links, mhz;
    double least_links;               /* of what was kept; 0: nothing was probed */
    int64_t discarded, marred;        /* blocks: dropped; kept although something befell them */
    int64_t by_reason[GUARD_REASONS]; /* of the dropped, each may have several */
    int64_t marred_by[GUARD_REASONS];
};
/* RAW_* bits of a block: why it may not stand, or 0. `throttled`: a device's clock was held down. The
 * most that is dropped is a third of what stands and three more; past it blocks stand, marred. RAW_DISCARDED is
 * set where it is to be done again. `kept`: blocks that stand so far. */
uint8_t guard_judge(struct guard_count *c, const struct guard_look *look, bool throttled,
                    int64_t kept);
/* Members `discarded`, `marred` and `clock` of a record's timing. */
void guard_json(const struct guard_count *c, struct json *j);
/* "3 blocks were timed anew: 2 clock, 1 steal"; "" where none was. */
void guard_describe(const struct guard_count *c, const char *one, const char *many, char *out,
                    size_t bytes);

#endif
