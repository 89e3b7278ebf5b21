// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_replicas.h   One case in several workers at once: how many clips the whole machine makes.
 *
 * Every worker has processors of its own (replica_place.h) or a device of its own. All plan, verify
 * and run once; when the last is ready all begin at the same moment and make clips back to back. The
 * window ends at the first clip that is finished when the budget is spent and every replica has made
 * its fewest clips; until then all of them work. A clip that the end cuts counts by the share of its
 * time that lies in the window, and its time is in no median. */
#ifndef PATCHMARK_RUN_REPLICAS_H
#define PATCHMARK_RUN_REPLICAS_H

#include "run/replica_place.h"
#include "run/run_case.h"

struct throughput {
    int replicas, devices; /* devices: CUDA devices, or memory nodes of the processors in use */
    double window_s, clips, p50_ns, p90_ns;
    double rate[REPLICAS_MAX]; /* clips per second of each */
    double efficiency,
        speedup;     /* against one replica: of as many threads each; of any. NAN: none */
    double one_rate; /* what `speedup` refers to */
    int one_threads;
};

/* What follows for a case from the replicas asked for: threads where none were, replicas where only
 * devices were. Leaves other cases alone. */
void replicas_resolve(struct case_spec *spec);

/* Looks whether so many workers of a case on the CPU have room together, and lets weights stay where
 * they have room for that and the case leaves it open: clips made back to back should not wait for
 * them. ST_NO_MEMORY, numbers said. */
enum status replicas_fit(struct outcome *o, int64_t count, struct fault *fault);

/* In place of run_case(), where the case has replicas. A replica that crashes, hangs or differs from
 * the others is the outcome of the whole row. ST_NO_MEMORY, numbers said, where all of them together
 * do not fit into what is free. */
void run_replicas(struct outcome *o, const struct run_limits *limits);

/* throughput.c: efficiency and speedup, where one replica of the same case was timed before */
void throughput_compare(struct outcome *o);
double throughput_clips_per_s(const struct throughput *t);
void throughput_json(const struct outcome *o, struct json *j, const char *key);
void throughput_row(const struct outcome *o, FILE *out);
void throughput_free(struct throughput *t);

#endif
