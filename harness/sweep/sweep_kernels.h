// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sweep_kernels.h   Kernel cases among the cases of a sweep. */
#ifndef PATCHMARK_SWEEP_KERNELS_H
#define PATCHMARK_SWEEP_KERNELS_H

#include "contest/kernels.h"
#include "records/record.h"
#include "sweep/run_cases.h"

/* A text that two cases share where they are the same; owned by the caller, NULL: no memory. */
char *kernel_case_key(const struct run_case *c);
/* "linear/avx2_* at linear:S=32,K=64,O=64,type=f32, 2 threads" */
void kernel_case_name(const struct run_case *c, char *out, size_t bytes);

/* Runs it; a case that this machine or build has nothing for becomes a row and a record of its own.
 * *state: of the case as a whole, of the worst of its variants. ST_OK but where the sweep must end:
 * a signal, a file that cannot be written. */
enum status kernel_case_run(const struct run_case *c, struct record_file *record,
                            struct json *document, const char **state, struct fault *fault);

#endif
