// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_cases.h   The cases of a sweep, from flags or from a suite.
 *
 * A suite is text. '#' begins a comment, [NAME] a section, and a section is the product of its
 * lists, one line each:
 *
 *   [defaults]                        # of all sections below, where they say nothing themselves
 *   model = tiny
 *   [long clips]                      # pipeline cases; keys are the flags of `run` (axes.h)
 *   size = 128x72, 192x112
 *   frames = 17-81+16
 *   threads = 1, all
 *   sample = yes                      # as --sample; no otherwise
 *   [kernels attention]               # kernel cases; keys are the flags of `kernels`
 *   shape = attention:Sq={1560,4096},N=12,D={64,128},type=f32
 *   variants = *                      # glob over the names of variants; so by default
 *
 * Lists are written as words.h says. `shape` may stand more than once; an op alone means its own
 * timing shape. Of flags, those given on the command line replace the suite's. */
#ifndef PATCHMARK_RUN_CASES_H
#define PATCHMARK_RUN_CASES_H

#include "engine/case.h"
#include "sweep/axes.h"

#define KERNEL_WORDS_MOST 40
#define CASES_MOST 10000 /* of one sweep */

struct run_case {
    struct case_spec
        spec;    /* of a pipeline case; its texts are owned by the list or older than it */
    bool sample; /* of a pipeline case: run parts and multiply out */
    const char *kernel[KERNEL_WORDS_MOST]; /* of a kernel case: words for `kernels`, NULL after the
                                              last; none: a pipeline case */
    const char *section;                   /* of its suite; NULL: from flags */
    int line;                              /* of that heading or shape */
    const char *key; /* the same for the same case, see cases_unique; NULL until then */
};

static inline bool case_is_kernel(const struct run_case *c) { return c->kernel[0] != NULL; }

struct case_list {
    struct run_case *item;
    int count, room;
    const char *suite; /* its name or file; NULL: from flags */
    char suite_sha256[65];
    struct words text;
};

/* base: what all cases share. */
enum status cases_from_axes(const struct case_spec *base, const struct axes *axes,
                            struct case_list *list, struct fault *fault);
/* A built-in suite's name or a file. */
enum status cases_from_suite(const char *suite, const struct case_spec *base,
                             const struct axes *axes, struct case_list *list, struct fault *fault);
/* --key=value for all kernel cases, in place of what their sections say. */
enum status cases_tell_kernels(struct case_list *list, const char *key, const char *value,
                               struct fault *fault);
/* A fault of the case, with the place in its suite in front where it has one. */
enum status case_fault(const struct case_list *list, const struct run_case *c, enum status status,
                       const struct fault *inner, struct fault *fault);
/* Once keys are set: a case that is listed twice stays where it stands first. Says how many went. */
int cases_unique(struct case_list *list);
void cases_free(struct case_list *list);

/* The suites that come with the program: harness/suites/NAME.txt. NULL after the last. */
struct suite {
    const char *name, *text;
};
extern const struct suite suites[];
const struct suite *suite_find(const char *name); /* NULL: none */
/* Its first comment line. */
void suite_summary(const struct suite *s, char *out, size_t bytes);

#endif
