// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* axes.h   What may differ between the pipeline cases of a sweep: one row per axis is its flag of
 * `run`, its key in suites, its list and its help. A new axis is a field of struct case_spec, a row
 * of axes.c, and a line in run_words.c, by which workers are told of it. */
#ifndef PATCHMARK_AXES_H
#define PATCHMARK_AXES_H

#include "base/words.h"
#include "engine/case.h"

/* How a word enters the field. */
enum axis_type { AXIS_TEXT, AXIS_WHOLE, AXIS_REAL, AXIS_SIZE, AXIS_PAIR, AXIS_SEED };

struct axis {
    const char *flag; /* "--size"; the key of suites is the same without its dashes */
    const char *argument, *help;
    const char *separators; /* between the words of its list; NULL: the text is one word */
    enum axis_type type;
    size_t offset; /* of the field in struct case_spec */
    double least;  /* of AXIS_WHOLE; of AXIS_REAL: what it must exceed, -INFINITY: nothing */
};

#define AXES_MOST 40
extern const struct axis axis_table[];
int axes_count(void);
/* Row number of a suite's key; -1: none. */
int axis_find(const char *key);
static inline const char *axis_key(const struct axis *a) { return a->flag + 2; }
enum word_kind axis_words(const struct axis *a);

/* "default", of any axis that is a list, and "all" of threads, mean the model's or machine's own. */
enum status axis_enter(const struct axis *a, struct case_spec *spec, const char *word,
                       struct fault *fault);

/* A list for each axis, NULL where none was given; where it stands in a suite, 0: on the command
 * line. */
struct axes {
    const char *text[AXES_MOST];
    int line[AXES_MOST];
};

/* Rows of an option table that fill `axes`, and how many. */
int axes_options(struct axes *axes, struct option *out);

#endif
