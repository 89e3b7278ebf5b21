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

/* Line `index` of what profiles a worker on such a device, for a shell: its words and plugins are
 * quoted where they must be. False past the last line. *missing: a program of the line that is not
 * in the search path, else left alone. */
#define PROFILE_LINE_BYTES 4096
bool profile_command(enum device_kind device, int index, const char *program,
                     const char *const *words, const char *const *plugins,
                     char out[PROFILE_LINE_BYTES], const char **missing);

#endif
