// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_pipeline.h   Parity above single ops: blocks, steps, final latent and frames with plans
 * swapped in, against the gates of design section 3. */
#ifndef PATCHMARK_VERIFY_PIPELINE_H
#define PATCHMARK_VERIFY_PIPELINE_H

#include "op.h"

/* glob: variants as in verify, NULL for all; devices: "cpu", "cuda:0", NULL-terminated, a table
 * each; prints to out; returns an exit code. text false: prints exactly one JSON value, null where
 * it fails early; verify puts it into its document. */
int verify_pipeline(const char *glob, const char *const *devices, int threads, bool text, FILE *out,
                    struct fault *fault);

#endif
