// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "contest/other_build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/worker.h"
#include "cmd/commands.h"
#include "machine/host.h"
#include "records/record.h"

#define ANSWER_SECONDS 10

int worker_hello(int argc, char **argv, struct fault *fault)
{
    (void)argc, (void)argv, (void)fault;
    printf("hello %d %s\n", KERNELS_PROTOCOL, build_commit());
    return EXIT_OK;
}

static enum status hash_program(const char *path, char sha256[65], struct fault *fault)
{
    struct stat info;
    void *bytes = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool plain = fd >= 0 && !fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_size > 0;
    if (plain)
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int why = fd < 0 || plain ? errno : EINVAL;
    if (fd >= 0)
        close(fd);
    if (bytes == MAP_FAILED)
        return fault_set(fault, ST_BAD_INPUT, "@bin: '%s' is no program: %s", path, strerror(why));
    sha256_hex(bytes, (size_t)info.st_size, sha256);
    munmap(bytes, (size_t)info.st_size);
    return access(path, X_OK) == 0
               ? ST_OK
               : fault_set(fault, ST_BAD_INPUT, "@bin: '%s' may not be run", path);
}

enum status other_build_meet(const char *path, struct other_build *out, struct fault *fault)
{
    static const char *const argv[] = {"worker", "hello", NULL};
    struct worker *worker = NULL;
    struct fault unheard = {""};
    const char *line = "";
    int protocol = 1; /* before programs could be asked */
    TRY(hash_program(path, out->sha256, fault));
    if (worker_spawn_program(path, argv, &worker, &unheard) != ST_OK)
        return fault_set(fault, ST_BAD_INPUT, "@bin: %s", unheard.text);
    enum status status = worker_receive(worker, ANSWER_SECONDS, &line, &unheard);
    bool heard = status == ST_OK && sscanf(line, "hello %d %63s", &protocol, out->commit) == 2;
    worker_end(worker);
    if (status == ST_INTERRUPTED)
        return fault_set(fault, status, "%s", unheard.text);
    if (!heard)
        return fault_set(fault, ST_BAD_INPUT,
                         "@bin: '%s' is no patchmark, or one too old to be asked; build it from a "
                         "newer commit",
                         path);
    if (protocol != KERNELS_PROTOCOL)
        return fault_set(fault, ST_BAD_INPUT,
                         "@bin: the workers of '%s' (commit %s) speak protocol %d, ours %d; build "
                         "one of the two anew",
                         path, out->commit, protocol, KERNELS_PROTOCOL);
    return ST_OK;
}
