// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_plan.h   What can be said of a list of cases before the first one runs. */
#ifndef PATCHMARK_RUN_PLAN_H
#define PATCHMARK_RUN_PLAN_H

#include "run/run_case.h"
#include "sweep/run_cases.h"

/* The limits of one case: budgets are of its kind, where --budget names none. */
struct run_limits run_limits_of(const struct run_limits *limits, const struct run_case *c);

/* Resolves every case and sets its key, so that a slip at the end of a long list costs nothing.
 * ST_BAD_INPUT; a case that this machine or build cannot run is none: it costs its row. */
enum status run_check_cases(struct case_list *list, const struct run_limits *limits,
                            struct fault *fault);

/* Tokens, flops, memory and expected time of each, and of all; `results`: the folder whose records
 * times are expected from, NULL: none. */
enum status run_plan_cases(const struct case_list *list, const struct run_limits *limits,
                           const char *results, bool json, struct fault *fault);

#endif
