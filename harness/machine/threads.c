// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/threads.h"
#include "base/patchmark.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const threads_environment[] = {
    "OMP_WAIT_POLICY=passive",
    "GOMP_SPINCOUNT=5000",
    "OPENBLAS_THREAD_TIMEOUT=14", /* the binary logarithm of cycles; 26 where it is not set */
    NULL,
};

bool threads_variable(const char *variable)
{
    for (const char *const *own = threads_environment; *own; own++)
        if (!strncmp(variable, *own, strcspn(*own, "=") + 1))
            return true;
    return false;
}

void threads_settle(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    for (const char *const *own = threads_environment; *own; own++)
        putenv((char *)*own);
    execv(self_path(), argv);
}
