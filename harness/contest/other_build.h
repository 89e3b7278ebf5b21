// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* other_build.h   Another build of this program, whose workers are to be measured by ours. */
#ifndef PATCHMARK_OTHER_BUILD_H
#define PATCHMARK_OTHER_BUILD_H

#include "op.h"

/* The lines between supervisor and kernels worker (kernels_worker.c): raised whenever one of them,
 * or an argument of the worker, changes. */
#define KERNELS_PROTOCOL 3

struct other_build {
    char sha256[65]; /* of the file */
    char commit[64]; /* it says it was built from */
};

/* Asks `path` what it is. ST_BAD_INPUT where it is no program that can be run, no patchmark, or one
 * whose workers speak another protocol. */
enum status other_build_meet(const char *path, struct other_build *out, struct fault *fault);

#endif
