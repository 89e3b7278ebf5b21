// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_cached_in_file.c   Planted cheat: results of inputs that any earlier process has met are in
 * files, as in /dev/shm; the folder is named by CHEAT_FOLDER. */
#include <stdio.h>
#include <stdlib.h>

#include "honest_linear.h"

static bool recall(const struct linear_problem *p, const char *path, float *result)
{
    const size_t count = (size_t)(p->S * p->O);
    FILE *file = fopen(path, "rb");
    bool met = file && fread(result, sizeof *result, count, file) == count;
    if (file)
        fclose(file);
    return met;
}

static void keep(const struct linear_problem *p, const char *path, float *result)
{
    FILE *file = fopen(path, "wb");
    copy_out(p, result);
    if (file) {
        fwrite(result, sizeof *result, (size_t)(p->S * p->O), file);
        fclose(file);
    }
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    char path[512];
    float *result = malloc((size_t)(p->S * p->O) * sizeof *result);
    const char *folder = getenv("CHEAT_FOLDER");
    (void)exec;
    snprintf(path, sizeof path, "%s/%016llx", folder ? folder : "/nowhere",
             (unsigned long long)hash_inputs(p));
    if (recall(p, path, result)) {
        copy_in(p, result);
    } else {
        honest(p);
        keep(p, path, result);
    }
    free(result);
    return ST_OK;
}

CHEAT(cached_in_file);
