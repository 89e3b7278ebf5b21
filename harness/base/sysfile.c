// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "base/sysfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool first_line(const char *path, char *out, size_t bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(out, (int)bytes, file) != NULL;
    fclose(file);
    if (read)
        out[strcspn(out, "\n")] = '\0';
    return read && out[0];
}

static bool format_path(char *out, size_t bytes, const char *format, va_list args)
{
    int n = vsnprintf(out, bytes, format, args);
    return n > 0 && (size_t)n < bytes;
}

bool sysfile_line(char *out, size_t bytes, const char *path, ...)
{
    char full[1024];
    va_list args;
    va_start(args, path);
    bool fits = format_path(full, sizeof full, path, args);
    va_end(args);
    return fits && first_line(full, out, bytes);
}

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno)
        return false;
    *out = value;
    return true;
}

bool sysfile_int(int64_t *out, const char *path, ...)
{
    char full[1024], line[128];
    va_list args;
    va_start(args, path);
    bool fits = format_path(full, sizeof full, path, args);
    va_end(args);
    return fits && first_line(full, line, sizeof line) && parse_int(line, out);
}

bool sysfile_field(const char *path, const char *key, char *out, size_t bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char line[4096]; /* "flags" lines of /proc/cpuinfo are the longest */
    size_t length = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) != 0 || !line[length] || !strchr(" \t:", line[length]))
            continue;
        char *value = line + length + strspn(line + length, " \t:");
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, bytes, "%s", value);
        found = out[0] != '\0';
    }
    fclose(file);
    return found;
}

bool sysfile_field_int(const char *path, const char *key, int64_t *out)
{
    char text[64];
    return sysfile_field(path, key, text, sizeof text) && parse_int(text, out);
}
