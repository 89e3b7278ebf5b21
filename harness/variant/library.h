// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* library.h   Libraries that variants load when they run: whether the loader finds them here, and
 * the handles that variants opened. */
#ifndef PATCHMARK_LIBRARY_H
#define PATCHMARK_LIBRARY_H

#include "op.h"

/* Those LIB_* bits of `wanted` whose library can be loaded. Loads them, for the process's life. */
uint64_t library_features(uint64_t wanted);
/* "libcublasLt.so"; NULL for a bit that is no library's. */
const char *library_name(uint64_t bit);

/* Sets exec->handle for a variant that has open(), else does nothing. What has a close() is opened
 * once and kept, with all it has learned of its library, until library_close ends the process. */
enum status library_open(const struct variant *variant, struct exec *exec, struct fault *fault);
void library_close(void);

#endif
