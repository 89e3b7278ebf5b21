// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rapl.h   Energy counters of processors (RAPL), read from the kernel's powercap tree.
 * Each domain counts microjoules from some moment on and begins again at 0 past its range: after
 * minutes on a large package, so a counter must be looked at at least once per round. Cores and
 * uncore lie inside their package; dram does not. Counters are only read, never set.
 * Source: Documentation/power/powercap/powercap.rst of Linux. */
#ifndef PATCHMARK_RAPL_H
#define PATCHMARK_RAPL_H

#include "op.h"

#define RAPL_DOMAINS_MAX 64

enum rapl_kind { RAPL_PACKAGE, RAPL_DRAM, RAPL_CORE, RAPL_UNCORE, RAPL_PLATFORM, RAPL_KINDS };
const char *rapl_kind_name(enum rapl_kind kind); /* "package", "dram", "core", ... */

struct rapl_domain {
    enum rapl_kind kind;
    char name[48];    /* "package-0", "package-0/dram" */
    char folder[256]; /* of its files */
    double range_j;   /* it begins again at 0 here; 0: the kernel does not tell */
};

struct rapl {
    int count;
    struct rapl_domain domain[RAPL_DOMAINS_MAX];
    char why[200]; /* where count is 0 */
};

/* root NULL: what PATCHMARK_POWERCAP in the environment names, else /sys/class/powercap. A domain
 * that two interfaces show, as registers and memory do on some machines, is taken once. */
void rapl_open(struct rapl *r, const char *root);

/* One domain over a window. Zero-initialised; `why` is set once it can give no figure. */
struct rapl_track {
    double last_uj, last_s, joules, peak_w;
    double second_j, second_s; /* since the last whole second: the peak is one of seconds */
    int64_t refreshes;         /* looks at which the counter had moved on */
    double highest_uj;         /* of all that was read */
    bool begun;
    char why[200];
};

/* Reads the domain's counter at `now_s`, of any steady clock, and adds what has passed since the
 * look before; the first look only begins. */
void rapl_look(const struct rapl_domain *domain, struct rapl_track *track, double now_s);
/* After the last look: a counter that never moved has no figure, and why says so. */
void rapl_settle(struct rapl_track *track);

#endif
