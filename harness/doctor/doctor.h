// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor.h   What can and cannot be measured on a machine, why, and the cure: a list of findings.
 * Files of /proc and /sys are read below a root, so that another machine's can be looked at and
 * tests can plant theirs; what must run to be known (counters, timers, noise) runs only on this
 * machine. */
#ifndef PATCHMARK_DOCTOR_H
#define PATCHMARK_DOCTOR_H

#include "base/json.h"

enum finding_state { FINDING_OK = 0, FINDING_LIMITED, FINDING_MISSING, FINDING_STATES };
const char *finding_state_name(enum finding_state state); /* "ok", "limited", "missing" */

struct finding {
    enum finding_state state;
    char name[24];
    char what[256]; /* what was found, and why that matters where it limits */
    char cure[256]; /* "" where there is nothing to do */
};

#define FINDINGS_MAX 48

struct doctor {
    const char *root;    /* "" for this machine */
    const char *results; /* folder of result files */
    bool live;           /* root is "": programs may run */
    struct finding finding[FINDINGS_MAX];
    int count;
    /* What the verdict is made of; NaN where it is not known. */
    double noise; /* middle half of repeated FMA probes over their median, the worse of two */
    double dips;  /* share of them more than 5 % under the upper quartile */
    double steal; /* share of the processors' time that the hypervisor took, while we worked */
    double floor; /* noise floor of the newest calibration */
    bool has_cycles, has_joules, has_clock, virtualised;
    bool nothing; /* not even times can be had on the device asked for */
};

/* Looks at everything; about two seconds on this machine. The device is the one chosen. */
void doctor_look(struct doctor *d, const char *root, const char *results);

/* What figures of this machine may be trusted for, one sentence; and what to do first, "" for
 * nothing. */
void doctor_verdict(const struct doctor *d, char *out, size_t bytes);
const struct finding *doctor_first(const struct doctor *d); /* NULL: nothing to mend */

/* ---- the parts, in the order of their findings ----------------------------------------------- */

void doctor_counters(struct doctor *d); /* doctor_tools.c: PMU, software events, energy, GPU */
void doctor_clocks(struct doctor *d);   /* doctor_clocks.c */
void doctor_place(struct doctor *d);    /* doctor_place.c: processors, caches, memory */
void doctor_others(struct doctor *d);   /* doctor_others.c: load, steal, noise */
void doctor_software(struct doctor *d); /* doctor_tools.c: libraries, disk, calibration */

bool doctor_is_virtual(const char *root); /* as far as /proc/cpuinfo of an x86 tells */

/* Adds a finding; its cure follows where there is one. */
__attribute__((format(printf, 4, 5))) void doctor_find(struct doctor *d, enum finding_state state,
                                                       const char *name, const char *what, ...);
__attribute__((format(printf, 2, 3))) void doctor_cure(struct doctor *d, const char *cure, ...);

#endif
