// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* choice.h   Which variant serves a problem: the words of --kernels, or the lines of a plan file.
 *
 * --kernels is a comma list, later words win over earlier ones:
 *   auto                 the fastest target here by rank, highest number first (the default)
 *   base                 library variants (_00_) where they exist and accept, plain ones elsewhere
 *   reference            the double reference
 *   TARGET               the variants of that target, plain ones for what it does not serve
 *   OP=WORD              one op: a variant's name or any word above
 *   OP=VARIANT:KNOB=V,KNOB=V   and its knobs; those not given have their defaults
 *   OP@FIRST-LAST=WORD   one op in some denoising steps, counted from 1
 * A named variant that refuses a problem is an error, never replaced in silence. Under auto, where a
 * table of tuned kernels (tuned.h) has a line for the problem's bucket that still holds, that line
 * chooses; every other word says what it wants. */
#ifndef PATCHMARK_CHOICE_H
#define PATCHMARK_CHOICE_H

#include "engine/engine.h"

enum serve { SERVE_VARIANT, SERVE_REFERENCE, SERVE_EXPAND };

struct resolved {
    enum serve serve;
    const struct registry_entry *entry; /* with SERVE_VARIANT */
    int64_t knob[KNOB_MAX];
    struct need need;
    bool tuned; /* by a line of the table of tuned kernels */
};

struct choice;

/* Of the config: the words or the plan file, the threads that run() will have, the device. */
enum status choice_new(const struct engine_config *config, struct choice **out,
                       struct fault *fault);
void choice_free(struct choice *choice);
/* True where the answer for this op depends on the denoising step. */
bool choice_by_step(const struct choice *choice, enum op_id op);
/* step: 1-based denoising step, 0 outside of denoising. */
enum status choice_resolve(const struct choice *choice, const struct problem *problem, int step,
                           struct resolved *out, struct fault *fault);

/* What came of a trial run: from here on words pass over a variant that refused, and its name is
 * refused as by plan(). problem NULL: every one. */
enum status choice_note_trial(struct choice *choice, const struct registry_entry *entry,
                              const struct problem *problem, bool refused);
bool choice_tried(const struct choice *choice, const struct registry_entry *entry,
                  const struct problem *problem);
/* See engine_refused. */
bool choice_refused(const struct choice *choice, int index, char *line, size_t bytes);

/* The table of tuned kernels that auto reads, without counts of problems; see engine_tuned. */
void choice_tuned(const struct choice *choice, struct tuned_use *out);

/* Classes that the gate of a stored type holds: f32 and Winograd anywhere, half classes on their own
 * type. Words never choose a coarser one; it must be named. */
bool choice_is_exact(enum numerics n, enum elem type);

/* "avx2_01_flash", "reference", "expanded" */
const char *resolved_name(const struct resolved *r);
/* "rows=96,keys=128" or "-" */
void resolved_knobs(const struct resolved *r, char *out, size_t bytes);

#endif
