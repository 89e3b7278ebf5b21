// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cache_levels.h   The data caches of this machine as its kernel reports them, and how much of each
 * a measurement may fill. */
#ifndef PATCHMARK_CACHE_LEVELS_H
#define PATCHMARK_CACHE_LEVELS_H

#include "op.h"

#define CACHE_LEVELS_MAX 4

struct cache_level {
    int level;     /* 1, 2, 3, ... */
    size_t bytes;  /* of one such cache */
    int shared_by; /* CPUs of one cache */
    int count;     /* caches of this level in the machine */
};

/* Levels in ascending order, those of CPU 0; returns how many. root: "" for this machine; a test
 * gives a folder that holds sys/. Where the kernel does not tell there are none. */
int cache_levels(const char *root, struct cache_level level[CACHE_LEVELS_MAX]);

/* CPUs in a list such as "0-3,8,10-11"; 0 where it is none. */
int cpu_list_count(const char *list);

/* A place in the hierarchy to measure: each of `threads` walks `bytes` of its own. */
struct memory_place {
    char name[8]; /* "L1", "L2", "L3", "DRAM" */
    size_t bytes;
    size_t reported; /* bytes of the cache, as reported; of DRAM: of all last-level caches */
    bool capped;     /* less than the rule wants, because what is reported is implausible or the
                        memory is short: the figure may be of another level in part */
};

/* Half of each cache, shared out among the threads that share it; a last-level cache is taken to
 * be worth at most eight times the level below it to each thread, because in a virtual machine it
 * is the host's and mostly others'. DRAM: twice all last-level caches together, at most `most`
 * bytes, for all threads together. Returns how many places there are, at least DRAM. */
int memory_places(const struct cache_level *level, int levels, int threads, size_t most,
                  struct memory_place place[CACHE_LEVELS_MAX + 1]);

#endif
