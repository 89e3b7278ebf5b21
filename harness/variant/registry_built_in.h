// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* registry_built_in.h   The generated table (harness/scripts/registry.sh), for registry.c alone. */
#ifndef PATCHMARK_REGISTRY_BUILT_IN_H
#define PATCHMARK_REGISTRY_BUILT_IN_H

#include "variant/registry.h"

extern const struct registry_entry registry_built_in[];
extern const int registry_built_in_count;

#endif
