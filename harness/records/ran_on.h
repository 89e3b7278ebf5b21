// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ran_on.h   On which hardware a variant has run, by the records that say so. That it could run
 * here is no evidence that it did. */
#ifndef PATCHMARK_RAN_ON_H
#define PATCHMARK_RAN_ON_H

#include "op.h"

enum ran { RAN_NOWHERE = 0, RAN_EMULATED, RAN_HARDWARE };

/* Looks through FOLDER/<machine>/<utc>-<commit>.jsonl for the newest record that the variant ran on
 * real hardware: a timed case, alone or in a pipeline's plan, or a passed check, alone or of a
 * whole plan; where there is none, for the newest check that it passed in emulation. Gives
 * "intel-xeon-627c8b at a7f1825abc". */
enum ran ran_on_find(const char *folder, const char *op, const char *variant, char *out,
                     size_t bytes);

/* Whether "op=one+two op2=three", the short form of a plan, has this variant for this op. */
bool ran_on_plan_has(const char *plan, const char *op, const char *variant);

/* The records that belong to this program: results/ beside its build folder, else ./results. */
const char *ran_on_folder(void);

#endif
