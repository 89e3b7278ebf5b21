// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_sustain.h   A case without pause for minutes: what heat and power limits leave of the rate that
 * a short run shows.
 *
 * The run is cut into windows. A window's rate is the clips that fall into it, those on its borders
 * by the share of their time. The rate has settled where those of the last windows, three or more,
 * all lie within SUSTAIN_FLAT of their mean; the settled windows are as many of them as do. */
#ifndef PATCHMARK_RUN_SUSTAIN_H
#define PATCHMARK_RUN_SUSTAIN_H

#include "run/run_case.h"

#define SUSTAIN_SECONDS 600 /* a shorter run is a burst */
#define SUSTAIN_FLAT 0.02
#define SUSTAIN_LEAST 3 /* windows that can be called settled */
#define SUSTAIN_WINDOWS_MAX 1000

struct sustained {
    double asked_s, spent_s, window_s;
    int64_t clips, room;
    double *clip_ns, *end_s; /* of every clip; end_s from the first one's begin on */
    double *rate;            /* clips per second of every whole window */
    int windows, settled;    /* settled: the first settled one; -1: it did not settle */
    double opening_rate,
        last_rate; /* of the first window; of the settled, else the last ones; NAN */
};

/* Whole windows of so many seconds and their rates, SUSTAIN_WINDOWS_MAX at most. */
int sustain_windows(const double *end_s, int64_t clips, double window_s, double *rate);
/* The first of the windows from which on the rate is flat; -1: it is not. */
int sustain_settled(const double *rate, int windows);

/* In place of run_case(). `timing` is then of the settled clips, of all where it did not settle, the
 * last SAMPLES_MAX at most. A run that is interrupted keeps what it measured. */
void run_sustained(struct outcome *o, const struct run_limits *limits);

bool sustained_lasted(const struct sustained *s); /* SUSTAIN_SECONDS and more; s may be NULL */
void sustained_json(const struct sustained *s, struct json *j, const char *key);
void sustained_row(const struct sustained *s, FILE *out);
void sustained_free(struct sustained *s);

#endif
