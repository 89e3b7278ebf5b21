// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/library.h"

#include <dlfcn.h>
#include <stdlib.h>

static struct library {
    uint64_t bit;
    const char *name, *file[4]; /* newest first; the plain name comes with development packages */
    void *handle;
} libraries[] = {
    {LIB_CUBLASLT,
     "libcublasLt.so",
     {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"},
     NULL},
    {LIB_CUDNN, "libcudnn.so", {"libcudnn.so.9", "libcudnn.so"}, NULL},
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

/* Where the loader looks by itself, then where the CUDA Toolkit puts its libraries. */
static void *find(const char *file)
{
    const char *const folder[] = {"", getenv("CUDA_HOME"), "/usr/local/cuda"};
    void *handle = NULL;
    for (size_t i = 0; !handle && i < sizeof folder / sizeof *folder; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s%s%s", folder[i] ? folder[i] : "", i ? "/lib64/" : "", file);
        if (folder[i])
            handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    }
    return handle;
}

uint64_t library_features(uint64_t wanted)
{
    uint64_t found = 0;
    for (int i = 0; i < LIBRARIES; i++) {
        struct library *l = &libraries[i];
        if (!(l->bit & wanted))
            continue;
        for (int k = 0; !l->handle && l->file[k]; k++)
            l->handle = find(l->file[k]);
        found |= l->handle ? l->bit : 0;
    }
    return found;
}

const char *library_name(uint64_t bit)
{
    for (int i = 0; i < LIBRARIES; i++)
        if (libraries[i].bit == bit)
            return libraries[i].name;
    return NULL;
}

/* ---- handles --------------------------------------------------------------------------------- */

static struct opened {
    const struct variant *variant;
    void *handle;
    int threads;
} opened[32];
static int opened_count;

/* A variant without close() holds nothing but its library's number of threads. */
static bool is_open(const struct opened *o, const struct variant *v, const struct exec *exec)
{
    return o->variant == v && (v->close || o->threads == exec->threads);
}

enum status library_open(const struct variant *variant, struct exec *exec, struct fault *fault)
{
    const int most = sizeof opened / sizeof *opened;
    int i = 0;
    if (!variant->open)
        return ST_OK;
    while (i < opened_count && opened[i].variant != variant)
        i++;
    if (i < opened_count && is_open(&opened[i], variant, exec)) {
        exec->handle = opened[i].handle;
        return ST_OK;
    }
    if (i == most)
        return fault_set(fault, ST_NO_MEMORY, "more than %d library variants in one process", most);
    enum status s = variant->open(exec, &exec->handle);
    if (s != ST_OK)
        return fault_set(fault, s, "%s/%s could not open its library", variant->op, variant->name);
    opened[i] = (struct opened){variant, exec->handle, exec->threads};
    opened_count += i == opened_count;
    return ST_OK;
}

void library_close(void)
{
    while (opened_count > 0) {
        const struct opened *o = &opened[--opened_count];
        if (o->variant->close)
            o->variant->close(o->handle);
    }
}
