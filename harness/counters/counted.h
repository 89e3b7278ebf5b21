// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counted.h   What a worker counted, as the supervisor keeps it: lines between the two, the members
 * of a record, and figures that need several counts or the time. */
#ifndef PATCHMARK_COUNTED_H
#define PATCHMARK_COUNTED_H

#include "base/json.h"
#include "counters/counters.h"

struct counted {
    char name[COUNTERS_NAME_BYTES], why[160];
    bool available, process, multiplexed; /* process: all its threads, else the calling one */
    double value;                         /* of one clip or run */
};

/* The worker's side: "NAME VALUE process|thread [multiplexed]" or "NAME null WHY" without a newline;
 * divided by the runs that were counted. */
void counted_say(const struct counter *c, double runs, FILE *out);
/* The supervisor's: false where the line is not like that. */
bool counted_take(const char *line, struct counted *out);

/* Of the clip or run: median seconds and flops by formula; 0 where there are none. */
struct counted_work {
    double seconds, flops;
};

/* Member "counters"; per: "run", "clip". */
void counted_json(const struct counted *c, int count, const char *per, struct json *j);
/* Member "counter_figures": those whose parts were all counted. */
void counted_figures_json(const struct counted *c, int count, const struct counted_work *work,
                          struct json *j);

/* For people, every line after `lead`: what was counted, and what follows from it. */
void counted_print(const struct counted *c, int count, const char *per,
                   const struct counted_work *work, const char *lead, FILE *out);
/* What was not, each reason once. */
void counted_print_missing(const struct counted *c, int count, const char *lead, FILE *out);

#endif
