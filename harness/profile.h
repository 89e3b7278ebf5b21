// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* profile.h   Marks around a stretch of work, so that a profiler sees it and nothing else: on a CUDA
 * device the profiler's own start and stop and an NVTX range, on the CPU perf's control pipe. */
#ifndef PATCHMARK_PROFILE_H
#define PATCHMARK_PROFILE_H

#include "op.h"

struct gpu;

/* Runs work(user) between the marks. gpu NULL: it runs on the CPU. perf_control: "CTL,ACK", the two
 * named pipes of perf's --control; NULL: no perf listens. ST_BAD_INPUT where they cannot be used. */
enum status profile_marked(struct gpu *gpu, const char *name, const char *perf_control,
                           enum status (*work)(void *user), void *user, struct fault *fault);

#endif
