// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* threads.h   How OpenMP threads wait for each other. libgomp spins for long by default, and on a
 * machine that others use too, a thread that spins keeps off the very one it waits for: a clip of
 * many short parallel loops then takes many times longer. A short spin, then sleep, costs little
 * when alone. OpenBLAS's own threads spin likewise, into whatever runs after the library's call. */
#ifndef PATCHMARK_THREADS_H
#define PATCHMARK_THREADS_H

#include <stdbool.h>

/* NAME=VALUE, NULL-terminated: what every process that computes runs with. */
extern const char *const threads_environment[];

/* True for "OMP_WAIT_POLICY=..." and the like: variables that threads_environment decides. */
bool threads_variable(const char *variable);

/* libgomp reads its environment when it is loaded: starts this program anew with ours, unless the
 * caller's environment decides already. Returns where nothing was to be done or exec failed. */
void threads_settle(char **argv);

#endif
