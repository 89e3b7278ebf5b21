// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* host.h   What machine this is: CPU features, topology, memory, software. Never host or user
 * names. */
#ifndef PATCHMARK_HOST_H
#define PATCHMARK_HOST_H

#include "base/json.h"

uint64_t host_cpu_features(void); /* CPU_* bits this machine and its kernel really have */
const char *host_feature_name(uint64_t bit);
const char *host_cpu_model(void);
int host_cores(void);                /* cores this process may use: affinity and cgroup */
size_t host_memory_available(void);  /* bytes free for us: MemAvailable and cgroup limit */
size_t host_last_level_cache(void);  /* bytes, 0 where unknown */
size_t host_peak_resident(void);     /* this process's high-water mark, bytes */
const char *host_machine_slug(void); /* "nvidia-h200-1a2b3c": model + short hash */
void host_describe(struct json *j);  /* members of host.json, missing ones null with reason */

/* Build facts baked in by the Makefile: git commit (+ "-dirty"), compiler, flags, features off. */
const char *build_version(void); /* of the program, "0.1" */
const char *build_commit(void);
const char *build_compiler(void);
const char *build_flags(void);
const char *build_without(void); /* "gnuplot jansson" or "" */

#endif
