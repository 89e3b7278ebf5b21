// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counters.h   Counters around a stretch of work, through PAPI: events by their names, presets by
 * theirs (counter_presets.h). What cannot be had carries its reason. Processors count few events at
 * a time; where more are asked for, either the same work runs several times, a part of the events
 * each (exact, for work that repeats), or they take turns by the millisecond and are multiplied out
 * (estimates, for long work that runs once). */
#ifndef PATCHMARK_COUNTERS_H
#define PATCHMARK_COUNTERS_H

#include "op.h"

#define COUNTERS_MAX 48
#define COUNTERS_NAME_BYTES 64

enum counters_crowd { COUNTERS_IN_PASSES, COUNTERS_MULTIPLEXED };

struct counter {
    const char *name;
    bool available;
    bool threads;     /* threads started after counters_open are counted as well */
    bool multiplexed; /* the value is an estimate */
    bool counted;     /* its pass has run */
    int64_t value;    /* of its pass */
    char why[160];
};

struct counters;
/* names: "a,b,c", events and presets. Where multiplexing is refused there are passes. */
enum status counters_open(const char *names, enum counters_crowd crowd, struct counters **out,
                          struct fault *fault);
int counters_passes(const struct counters *c); /* 1 or more */
void counters_start(struct counters *c, int pass);
void counters_stop(struct counters *c);
int counters_count(const struct counters *c);
const struct counter *counters_at(const struct counters *c, int index);
void counters_free(struct counters *c);

/* Whether the event can be counted here, by doing so once; else why. */
bool counters_usable(const char *event, char why[160]);

#endif
