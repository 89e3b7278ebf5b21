// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "base/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Largest single write(); the kernel cuts longer ones a little below 2 GiB. */
#define WRITE_MAX_BYTES (UINT32_C(1) << 30)

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "out of memory for a file name");
}

enum status out_file_check(const char *path, struct fault *fault)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return fault_set(fault, ST_BAD_INPUT, "%s is a folder; give the name of a file in it",
                         path);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s is a device or pipe; output needs an ordinary file", path);
    char *folder = folder_of(path);
    if (!folder)
        return no_memory(fault);
    enum status status = ST_OK;
    if (stat(folder, &info) != 0)
        status =
            fault_set(fault, ST_BAD_INPUT, "cannot write %s: the folder %s: %s; create it first",
                      path, folder, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        status =
            fault_set(fault, ST_BAD_INPUT, "cannot write %s: %s is not a folder", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = fault_set(fault, ST_BAD_INPUT, "cannot write %s: the folder %s: %s", path, folder,
                           strerror(errno));
    free(folder);
    return status;
}

/* Opens f->temporary; errno stays set where that fails. */
static bool create(struct out_file *f)
{
    do
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (f->fd < 0 && errno == EINTR);
    return f->fd >= 0;
}

static enum status cannot_create(struct out_file *f, struct fault *fault)
{
    enum status status =
        fault_set(fault, ST_IO, "cannot create %s: %s", f->temporary, strerror(errno));
    free(f->path);
    free(f->temporary);
    *f = (struct out_file){.fd = -1};
    return status;
}

enum status out_file_open(struct out_file *f, const char *path, struct fault *fault)
{
    *f = (struct out_file){.fd = -1};
    TRY(out_file_check(path, fault));
    f->path = realpath(path, NULL);
    if (!f->path)
        f->path = strdup(path);
    uint32_t tag = 0;
    if (getrandom(&tag, sizeof tag, GRND_NONBLOCK) != sizeof tag)
        tag = (uint32_t)getpid();
    if (!f->path || asprintf(&f->temporary, "%s.%08x.part", f->path, tag) < 0) {
        free(f->path);
        *f = (struct out_file){.fd = -1};
        return no_memory(fault);
    }
    return create(f) ? ST_OK : cannot_create(f, fault);
}

enum status out_file_reserve(struct out_file *f, const char *path, struct fault *fault)
{
    *f = (struct out_file){.fd = -1, .path = strdup(path)};
    if (!f->path || asprintf(&f->temporary, "%s.part", path) < 0) {
        free(f->path);
        *f = (struct out_file){.fd = -1};
        return no_memory(fault);
    }
    if (!create(f)) {
        if (errno != EEXIST)
            return cannot_create(f, fault);
        free(f->path);
        free(f->temporary);
        *f = (struct out_file){.fd = -1};
        return ST_REFUSED;
    }
    /* Looked at only now: whoever held the temporary name before us has renamed it by now. */
    struct stat info;
    if (lstat(path, &info) == 0) {
        out_file_discard(f);
        return ST_REFUSED;
    }
    return ST_OK;
}

static enum status cannot_resume(struct out_file *f, const char *why, struct fault *fault)
{
    enum status status = fault_set(fault, ST_BAD_INPUT, "cannot go on with %s: %s", f->temporary, why);
    out_file_leave(f);
    return status;
}

enum status out_file_resume(struct out_file *f, const char *path, int64_t bytes,
                            struct fault *fault)
{
    struct stat info;
    *f = (struct out_file){.fd = -1, .path = strdup(path)};
    if (!f->path || asprintf(&f->temporary, "%s.part", path) < 0) {
        free(f->path);
        *f = (struct out_file){.fd = -1};
        return no_memory(fault);
    }
    f->fd = open(f->temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 || fstat(f->fd, &info))
        return cannot_resume(f, strerror(errno), fault);
    if (!S_ISREG(info.st_mode) || info.st_size < bytes)
        return cannot_resume(f, "it is shorter than what was written to it", fault);
    if (ftruncate(f->fd, bytes) || lseek(f->fd, bytes, SEEK_SET) != bytes)
        return cannot_resume(f, strerror(errno), fault);
    return ST_OK;
}

enum status out_file_sync(struct out_file *f, int64_t *bytes, struct fault *fault)
{
    *bytes = lseek(f->fd, 0, SEEK_CUR);
    if (*bytes < 0 || fsync(f->fd))
        return fault_set(fault, ST_IO, "cannot write %s: %s", f->path, strerror(errno));
    return ST_OK;
}

void out_file_leave(struct out_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->temporary);
    *f = (struct out_file){.fd = -1};
}

enum status out_file_write(struct out_file *f, const void *data, size_t bytes, struct fault *fault)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = write(f->fd, at, bytes < WRITE_MAX_BYTES ? bytes : WRITE_MAX_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_set(fault, ST_IO, "cannot write %s: %s", f->path, strerror(errno));
        at += n;
        bytes -= (size_t)n;
    }
    return ST_OK;
}

/* A rename is durable once the folder is. Some file systems cannot sync a folder; the rename has
 * happened all the same, so that is no failure. */
static void sync_folder(const char *path)
{
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

enum status out_file_commit(struct out_file *f, struct fault *fault)
{
    /* After a failed fsync the kernel may call lost pages clean, so there is no second try. */
    bool synced = fsync(f->fd) == 0;
    int why = errno;
    if (close(f->fd) != 0 && synced) {
        synced = false;
        why = errno;
    }
    f->fd = -1;
    if (synced && rename(f->temporary, f->path) != 0) {
        synced = false;
        why = errno;
    }
    if (!synced) {
        enum status status =
            fault_set(fault, ST_IO, "cannot finish %s: %s", f->path, strerror(why));
        out_file_discard(f);
        return status;
    }
    sync_folder(f->path);
    free(f->path);
    free(f->temporary);
    *f = (struct out_file){.fd = -1};
    return ST_OK;
}

void out_file_discard(struct out_file *f)
{
    if (!f->temporary)
        return;
    if (f->fd >= 0)
        close(f->fd);
    unlink(f->temporary);
    free(f->path);
    free(f->temporary);
    *f = (struct out_file){.fd = -1};
}

enum status folder_create(const char *path, struct fault *fault)
{
    char *part = strdup(path);
    if (!part || !part[0]) {
        free(part);
        return fault_set(fault, ST_BAD_INPUT, "a folder needs a name");
    }
    enum status status = ST_OK;
    for (char *slash = part; slash && status == ST_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        struct stat info;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            status =
                fault_set(fault, ST_IO, "cannot create the folder %s: %s", part, strerror(errno));
        else if (stat(part, &info) != 0 || !S_ISDIR(info.st_mode))
            status = fault_set(fault, ST_IO,
                               "cannot create the folder %s: %s is in the way, and it "
                               "is not a folder",
                               path, part);
        if (slash)
            *slash = '/';
    }
    free(part);
    return status;
}
