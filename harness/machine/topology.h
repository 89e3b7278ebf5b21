// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* topology.h   Which logical processor each thread of a measured kernel or clip runs on. One thread
 * goes to each physical core, cores of one memory node before those of the next, so that nothing
 * moves while a clock runs and pages lie beside the thread that first touched them; only more
 * threads than cores share a core. hwloc tells what belongs together; without it /sys does. */
#ifndef PATCHMARK_TOPOLOGY_H
#define PATCHMARK_TOPOLOGY_H

#include "base/json.h"

#include <sched.h>

#define TOPOLOGY_MAX CPU_SETSIZE

struct topology {
    int count, cores;      /* processors; physical cores among them */
    int cpu[TOPOLOGY_MAX]; /* in the order in which threads take them */
    const char *by;        /* "hwloc", "/sys", or "none": as numbered, cores unknown */
};

/* Of the processors that this process may use: its affinity, which a cgroup's cpuset limits. */
void topology_read(struct topology *out);
/* The same from files alone; root: "" for this machine, a test gives a folder that holds sys/. */
void topology_from_sys(const char *root, const cpu_set_t *allowed, struct topology *out);

/* Where the threads of a worker run: chosen once by the supervisor. */
struct pinning {
    int count; /* 0: nowhere in particular, and `why` */
    int cpu[TOPOLOGY_MAX];
    char list[1024]; /* "0,2,4", "-" where count is 0 */
    char why[120];
};
/* wish: "cores" or "none"; NULL: none. */
bool pinning_is_wish(const char *wish);
void pinning_choose(const char *wish, int threads, struct pinning *out);
/* Members of `timing`: threads, and the processors that they were put on, or null and why not. */
void pinning_json(const struct pinning *p, int openmp, int openblas, const char *cpus,
                  const char *others, struct json *j);

/* What a worker's environment says of its threads, besides threads_environment, where its words have
 * `--cpus LIST` and `--threads N`: OpenMP and OpenBLAS take N, and each of OpenMP's has a place of its
 * own from the list. Strings to be freed; returns how many, at most PINNING_VARIABLES. */
#define PINNING_VARIABLES 4
int pinning_environment(const char *const *words, char *out[PINNING_VARIABLES]);
/* Whether one of those takes the place of this NAME=VALUE. */
bool pinning_replaces(char *const own[], int count, const char *variable);

/* ---- in the worker --------------------------------------------------------------------------- */

/* What was really set. */
struct pinned {
    struct pinning wish;
    int openmp, openblas; /* threads; 0: not built in */
    int others;           /* threads of libraries, that were given a place */
    char cpus[1024];      /* of OpenMP's threads as the kernel has them, "0,1"; "-": not pinned */
    char other_cpus[256]; /* of the others */
};
/* Puts every thread of this process on its processor: OpenMP's by their numbers, the main one first;
 * a library's own, as OpenBLAS starts them, on the rest in turn, for they would else inherit the one
 * that the main thread has. To be called before work, and again whenever threads may be new. */
void pinning_apply(const char *list, int threads, struct pinned *out);

#endif
