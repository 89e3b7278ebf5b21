// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_cases.h   The cross product of lists that `run` times, from flags or from a suite.
 *
 * A suite is text: sections in [brackets], each a cross product of its own, with lines `key =
 * list`; '#' begins a comment. Keys are the flags' names without dashes: model, size, frames,
 * seconds, steps, threads, dtype, scheduler, kernels, prompt, class. Lists are comma-separated, kernels'
 * plans by '/'. */
#ifndef PATCHMARK_RUN_CASES_H
#define PATCHMARK_RUN_CASES_H

#include "case.h"

struct axes {
    const char *model, *size, *frames, *seconds, *steps, *threads, *dtype, *kernels, *device,
        *launch;
};

struct run_case {
    struct case_spec spec; /* its texts are owned by the list or older than it */
};

struct case_list {
    struct run_case *item;
    int count, room;
    char **text; /* owned pieces */
    int texts, text_room;
};

/* base: what all cases share. */
enum status cases_from_axes(const struct case_spec *base, const struct axes *axes,
                            struct case_list *list, struct fault *fault);
/* A built-in suite's name or a file; axes given on the command line replace the suite's. */
enum status cases_from_suite(const char *suite, const struct case_spec *base,
                             const struct axes *axes, struct case_list *list, struct fault *fault);
void cases_free(struct case_list *list);

/* Names and texts of the built-in suites; NULL-terminated. */
struct suite {
    const char *name, *summary, *text;
};
extern const struct suite suites[];

#endif
