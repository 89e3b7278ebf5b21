// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/duel_stores.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/host.h"

#define SHARE 4 /* of free memory, one part may stay taken */

static struct {
    int file; /* 0: none */
    char path[64];
} stores[DUEL_STORES];

const char *duel_store(int which)
{
    if (!stores[which].file) {
        int file = memfd_create("copies", MFD_CLOEXEC);
        if (file <= 0)
            return NULL;
        stores[which].file = file;
        snprintf(stores[which].path, sizeof stores[which].path, "/proc/%d/fd/%d", (int)getpid(),
                 file);
    }
    return stores[which].path;
}

void duel_stores_spare(void)
{
    struct stat has;
    double held = 0;
    for (int i = 0; i < DUEL_STORES; i++)
        if (stores[i].file && fstat(stores[i].file, &has) == 0)
            held += (double)has.st_size;
    if (held * SHARE <= (double)host_memory_available())
        return;
    for (int i = 0; i < DUEL_STORES; i++)
        if (stores[i].file)
            close(stores[i].file);
    memset(stores, 0, sizeof stores);
}
