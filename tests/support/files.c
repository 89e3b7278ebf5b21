// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "files.h"
#include "spawn.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void need(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

char *folder;

int folder_make(void **state)
{
    (void)state;
    folder = temporary_folder();
    return 0;
}

int folder_drop(void **state)
{
    (void)state;
    temporary_remove(folder);
    return 0;
}

int folder_count(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    need(dir != NULL, path);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

const char *at(const char *format, ...)
{
    static char ring[8][1024];
    static unsigned next;
    char *out = ring[next++ % 8];
    va_list args;
    va_start(args, format);
    vsnprintf(out, sizeof ring[0], format, args);
    va_end(args);
    return out;
}

void file_put(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    need(file && fwrite(data, 1, bytes, file) == bytes, path);
    need(fclose(file) == 0, path);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }
