// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_totals.h   What has come out of a sweep so far: counts for the exit code, times to set plans side
 * by side. */
#ifndef PATCHMARK_RUN_TOTALS_H
#define PATCHMARK_RUN_TOTALS_H

#include "run/run_case.h"

struct timed_plan {
    char name[96], plan[96];
    double median_ns;
};

struct totals {
    int timed, timed_alone, failed, other;
    int scenarios, bursts; /* bursts: of the timed, whole clips for a short while */
    enum status first_other;
    struct timed_plan *plan; /* `timed` of them; the rest are unstable or approximate */
};

enum status totals_add(struct totals *t, const struct outcome *o);
/* A case that ended in this state, in this process or in one before it; "failed": part of it was. */
void totals_add_state(struct totals *t, const char *state);
/* For each case that ran under several plans, the others' speed as a multiple of the first one's. */
void totals_compare_plans(const struct totals *t, FILE *out);
/* Of a sweep that came to its end. Frees what the totals hold. */
int totals_exit_code(struct totals *t);

#endif
