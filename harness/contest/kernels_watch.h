// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_watch.h   The supervisor's own look at a worker while it times: a variant lives in the
 * process that times it and may do there what it likes, clock and statistics included. From outside
 * are seen: seconds that went by, processor time, threads and memory. */
#ifndef PATCHMARK_KERNELS_WATCH_H
#define PATCHMARK_KERNELS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WATCH_BLOCKS 256 /* the latest */

struct watch {
    double wall_s, busy_s; /* of this block: by our clock; of all threads' processor time */
    double told_wall_s;    /* the same by the worker's clock */
    bool stands;           /* both are there */
    double first_s, read_s, read_bytes; /* its first run, on new data, and reading what that left */
    double clock[WATCH_BLOCKS]; /* our seconds, less the slack, over the worker's for the same */
    double times[WATCH_BLOCKS]; /* over the sum of its times; beside them it does little */
    double busy[WATCH_BLOCKS];  /* processor time, less the slack, over wall times threads */
    double least_first_s, least_read_s; /* of all blocks */
    int64_t blocks;
    int threads, more_threads;           /* of the process before its first run; since, at most */
    int64_t here;                        /* blocks of this process */
    int64_t resident_bytes, grown_bytes; /* after its second block; since then, at most */
};

/* Before the first run of a process; an arm may have several, one after the other. */
void watch_ready(struct watch *w, pid_t pid);
/* At the worker's two marks around the timed runs. */
void watch_began(struct watch *w, pid_t pid, const char *words);
void watch_stopped(struct watch *w, pid_t pid, const char *words);
/* The block's times, as told: their sum. */
void watch_told(struct watch *w, double told_s, int threads);

/* What is known of the arm besides. */
struct watch_case {
    double median_s;      /* of a timed run */
    double operand_bytes; /* of one run */
    int threads;          /* given */
    bool own_threads;     /* a library's, which may start its own */
    bool device;          /* its driver has threads, memory and a clock of its own */
};
/* True where what was seen and what was told cannot both be right; why in *reason. */
bool watch_doubts(const struct watch *w, const struct watch_case *c, char *reason, size_t bytes);

#endif
