// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* profile_command.c   Command lines of profilers. Each is told to wait for the marks: perf by its
 * control pipes, the CUDA tools by cudaProfilerStart. The latter two never met a GPU with us. */
#include "counters/profile.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/patchmark.h"

#define PERF_PIPES "patchmark.ctl,patchmark.ack"

static const struct line {
    enum device_kind device;
    const char *program, *words; /* before the worker's; program NULL: the line is these alone */
    bool pipes;                  /* the worker is told of them too */
} lines[] = {
    {DEVICE_CPU, NULL, "mkfifo patchmark.ctl patchmark.ack", false},
    {DEVICE_CPU, "perf", "record -g -o patchmark.perf -D -1 --control fifo:" PERF_PIPES " --",
     true},
    {DEVICE_CPU, "perf", "stat -d -D -1 --control fifo:" PERF_PIPES " --", true},
    {DEVICE_CUDA, "ncu", "--profile-from-start off --nvtx --set full -f -o patchmark", false},
    {DEVICE_CUDA, "nsys",
     "profile --capture-range=cudaProfilerApi --capture-range-end=stop --trace=cuda,nvtx"
     " --force-overwrite=true -o patchmark",
     false},
};

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[1024];
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static const struct line *find(enum device_kind device, int index)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].device == device && index-- == 0)
            return &lines[i];
    return NULL;
}

bool profile_command(enum device_kind device, int index, const char *program,
                     const char *const *words, const char *const *plugins,
                     char out[PROFILE_LINE_BYTES], const char **missing)
{
    const struct line *l = find(device, index);
    if (!l)
        return false;
    snprintf(out, PROFILE_LINE_BYTES, "%s%s%s", l->program ? l->program : "", l->program ? " " : "",
             l->words);
    if (!l->program)
        return true;
    if (!in_path(l->program))
        *missing = l->program;
    command_append(out, PROFILE_LINE_BYTES, program);
    for (; *words; words++)
        command_append(out, PROFILE_LINE_BYTES, *words);
    if (l->pipes) {
        command_append(out, PROFILE_LINE_BYTES, "--perf-control");
        command_append(out, PROFILE_LINE_BYTES, PERF_PIPES);
    }
    for (; plugins && *plugins; plugins++) {
        command_append(out, PROFILE_LINE_BYTES, "--plugin");
        command_append(out, PROFILE_LINE_BYTES, *plugins);
    }
    return true;
}
