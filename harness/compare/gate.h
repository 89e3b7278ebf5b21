// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gate.h   Has it become slower? For each recipe the newest case against the median of the last few
 * runs before it, all of one machine, claim, variant and knobs. */
#ifndef PATCHMARK_GATE_H
#define PATCHMARK_GATE_H

#include "records/results_read.h"

enum { GATE_WINDOW_MAX = 100, GATE_LEAST = 3 /* runs: the median of three bears one stray */ };

enum gate_verdict {
    GATE_OK,
    GATE_FASTER,      /* both limits are exceeded to the good side */
    GATE_REGRESSION,  /* both are exceeded */
    GATE_FAILED,      /* it passed before, and now it crashed, went wrong, ... */
    GATE_CALIBRATION, /* too little history: no pass */
    GATE_MISMATCH,    /* likewise, and an older case of another recipe asked the same */
    GATE_UNJUDGED,    /* the newest case is unstable, throttled, refused, ... */
    GATE_VERDICTS
};
const char *gate_verdict_name(enum gate_verdict verdict); /* "ok", "REGRESSION", ... */

/* Exceeded where the newest is over both. NAN: the default of the kind of case. */
struct gate_limits {
    double percent, absolute_s;
};

struct gate_row {
    const struct result *newest; /* of the set */
    double newest_ns, before_ns; /* NAN where it is not judged */
    double history_ns[GATE_WINDOW_MAX];
    int64_t runs; /* in history_ns, newest first */
    struct gate_limits limits;
    enum gate_verdict verdict;
    char reason[300]; /* "" or one clause */
};

struct gate {
    struct result **cases; /* owned */
    int64_t case_count, case_room;
    struct gate_row *rows; /* owned; one a recipe, in the order of their newest cases */
    int64_t row_count;
};

/* Takes a copy of a case of this build's own that has a recipe and is of a kind with times; passes
 * over others. */
enum status gate_add(struct gate *gate, const struct result *r, struct fault *fault);
/* Judges what was added; window: at most this many runs before the newest, 1 to GATE_WINDOW_MAX. */
enum status gate_judge(struct gate *gate, const struct gate_limits *limits, double floor,
                       int64_t window, struct fault *fault);
void gate_free(struct gate *gate);

#endif
