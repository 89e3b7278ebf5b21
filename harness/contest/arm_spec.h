// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* arm_spec.h   One side of a comparison as people write it:
 *     OP/VARIANT[:knob=v,...][@threads=N][@bin=PATH][@slow=PERCENT]
 * Knobs that are not named keep their defaults. @bin runs another build of this program; @slow plants
 * a slowdown, to see whether a comparison finds it: the worker idles that share of each run's time
 * behind it, and the clock counts it. */
#ifndef PATCHMARK_ARM_SPEC_H
#define PATCHMARK_ARM_SPEC_H

#include "variant/registry.h"

struct arm_spec {
    char op[32], variant[96];
    char knobs[256];    /* "rows=96,keys=128"; "": defaults */
    int64_t threads;    /* 0: not said */
    double slow;        /* share of a run's time, 0.02 for @slow=2; 0: none */
    char program[1024]; /* "": this one */
};

/* ST_BAD_INPUT with the place that is wrong; whether op, variant and knobs exist is not asked. */
enum status arm_spec_parse(const char *text, struct arm_spec *out, struct fault *fault);
/* The text again, words in the order above. */
void arm_spec_print(const struct arm_spec *spec, char *out, size_t bytes);

/* The variant and its knobs are looked up here; ST_BAD_INPUT where one is not known. With another
 * program they are its own affair, and *entry is NULL where this build does not know the variant;
 * the op must be known either way. */
enum status arm_spec_find(const struct arm_spec *spec, const struct registry_entry **entry,
                          struct fault *fault);

/* "rows=96,keys=128" over the defaults; ST_BAD_INPUT where the variant has no such knob or the knob
 * no such value. */
enum status knobs_parse(const struct variant *variant, const char *text, int64_t knob[KNOB_MAX],
                        struct fault *fault);
/* The same as text, every knob named; "-" where the variant has none. */
void knobs_print(const struct variant *variant, const int64_t *knob, char *out, size_t bytes);

#endif
