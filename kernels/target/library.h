// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* library.h   A vendor's library loaded when a variant opens it, so that one build runs with and
 * without it. Loaded once, it stays until the process ends: unloading a CUDA library under a living
 * context is not safe. */
#ifndef PATCHMARK_TARGET_LIBRARY_H
#define PATCHMARK_TARGET_LIBRARY_H

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

/* A function of the library and where its address goes in the table of the caller. */
struct library_symbol {
    const char *name;
    size_t offset;
};

/* Where the loader looks by itself, then where the CUDA Toolkit puts its libraries. */
static inline void *library_find(const char *name)
{
    const char *const folder[] = {"", getenv("CUDA_HOME"), "/usr/local/cuda"};
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++) {
        char path[1024];
        if (!folder[i])
            continue;
        snprintf(path, sizeof path, "%s%s%s", folder[i], i ? "/lib64/" : "", name);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    return NULL;
}

/* Fills `table` from the first of the names (NULL ends them) that is there with every symbol. */
static inline enum status library_load(const char *const *name, const struct library_symbol *symbol,
                                       int symbols, void *table)
{
    for (; *name; name++) {
        void *library = library_find(*name);
        int found = 0;
        for (; library && found < symbols; found++) {
            void *address = dlsym(library, symbol[found].name);
            if (!address)
                break;
            memcpy((char *)table + symbol[found].offset, &address, sizeof address);
        }
        if (library && found == symbols)
            return ST_OK;
        if (library)
            dlclose(library);
    }
    return ST_UNAVAILABLE;
}

#endif
