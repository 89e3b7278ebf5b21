// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counter_presets.h   What a kernel engineer asks for, as events: a figure has several ways, PAPI's
 * own names first, then the kernel's, then a maker's, and the first one whose events can all be had
 * is taken. A way is a sum: "A+4*B". */
#ifndef PATCHMARK_COUNTER_PRESETS_H
#define PATCHMARK_COUNTER_PRESETS_H

#include "counters/counters.h"

#define COUNTER_WAYS 4
#define COUNTER_TERMS_MAX 8

struct counter_figure {
    const char *name; /* "l1_misses" */
    const char *way[COUNTER_WAYS];
};

struct counter_preset {
    const char *name, *figures; /* by blanks; NULL: every figure */
    const char *summary;
};
extern const struct counter_preset counter_presets[]; /* ends with a name of NULL */

const struct counter_preset *counter_preset_find(const char *name, size_t bytes);
/* The figure that a preset's list names at `*at`, which moves on; NULL at its end. */
const struct counter_figure *counter_preset_next(const struct counter_preset *p, const char **at,
                                                 int *index);
const struct counter_figure *counter_figure_find(const char *name, size_t bytes);

/* A way's terms; returns how many. */
struct counter_term {
    double weight;
    char event[COUNTERS_NAME_BYTES];
};
int counter_way_terms(const char *way, struct counter_term out[COUNTER_TERMS_MAX]);

#endif
