// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "counters/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "machine/gpu.h"

#define PERF_PATIENCE_MS 10000

struct perf {
    int control, answer; /* -1: no perf listens */
};

static enum status open_pipe(const char *path, int flags, int *fd, struct fault *fault)
{
    *fd = open(path, flags | O_CLOEXEC);
    if (*fd >= 0)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "--perf-control: %s cannot be opened: %s; is perf running with --control"
                     " fifo:CTL,ACK?",
                     path, errno == ENXIO ? "nobody reads it" : strerror(errno));
}

static enum status perf_open(const char *pipes, struct perf *p, struct fault *fault)
{
    char control[512];
    const char *comma = pipes ? strchr(pipes, ',') : NULL;
    *p = (struct perf){-1, -1};
    if (!pipes)
        return ST_OK;
    if (!comma || (size_t)(comma - pipes) >= sizeof control)
        return fault_set(fault, ST_BAD_INPUT, "--perf-control wants CTL,ACK: two named pipes");
    snprintf(control, sizeof control, "%.*s", (int)(comma - pipes), pipes);
    TRY(open_pipe(control, O_WRONLY | O_NONBLOCK, &p->control, fault));
    return open_pipe(comma + 1, O_RDONLY | O_NONBLOCK, &p->answer, fault);
}

static void perf_close(struct perf *p)
{
    if (p->control >= 0)
        close(p->control);
    if (p->answer >= 0)
        close(p->answer);
}

/* "enable" or "disable"; returns when perf has said that it did so. */
static enum status perf_say(const struct perf *p, const char *word, struct fault *fault)
{
    char line[16], answer[16] = "";
    struct pollfd ready = {p->answer, POLLIN, 0};
    if (p->control < 0)
        return ST_OK;
    int bytes = snprintf(line, sizeof line, "%s\n", word);
    bool said = write(p->control, line, (size_t)bytes) == bytes;
    bool heard = said && poll(&ready, 1, PERF_PATIENCE_MS) == 1 &&
                 read(p->answer, answer, sizeof answer - 1) >= 3 && !strncmp(answer, "ack", 3);
    return heard ? ST_OK
                 : fault_set(fault, ST_BAD_INPUT, "perf does not answer '%s' on its control pipe",
                             word);
}

static enum status begin(struct gpu *gpu, const char *name, const struct perf *p,
                         struct fault *fault)
{
    if (gpu)
        TRY(gpu_profile_begin(gpu, name, fault));
    return perf_say(p, "enable", fault);
}

static enum status end(struct gpu *gpu, const struct perf *p, struct fault *fault)
{
    TRY(perf_say(p, "disable", fault));
    return gpu ? gpu_profile_end(gpu, fault) : ST_OK;
}

enum status profile_marked(struct gpu *gpu, const char *name, const char *perf_control,
                           enum status (*work)(void *user), void *user, struct fault *fault)
{
    struct perf p;
    enum status s = perf_open(perf_control, &p, fault);
    if (s == ST_OK)
        s = begin(gpu, name, &p, fault);
    if (s == ST_OK) {
        s = work(user);
        if (s != ST_OK)
            fault_set(fault, s, "%s failed between the marks", name);
    }
    if (s == ST_OK)
        s = end(gpu, &p, fault);
    perf_close(&p);
    return s;
}
