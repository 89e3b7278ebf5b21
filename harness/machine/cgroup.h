// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cgroup.h   Limits that a container or batch system sets, cgroup v1 and v2. A limit may stand at
 * any level between this process's group and the root, so the tightest of all levels counts. */
#ifndef PATCHMARK_CGROUP_H
#define PATCHMARK_CGROUP_H

#include "op.h"

/* root: "" for this machine; a test gives a folder that holds proc/ and sys/. */
double cgroup_cpu_quota(const char *root);      /* CPUs' worth of time; 0: no limit */
int64_t cgroup_throttled(const char *root);     /* periods whose quota was used up, so far */
uint64_t cgroup_memory_limit(const char *root); /* bytes; UINT64_MAX: no limit */
uint64_t cgroup_memory_free(const char *root);  /* limit - use, cache that can go counted as free */

#endif
