// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_late_write.c   Planted cheat: run() only makes its output unreadable; who first reads it,
 * when no clock runs any more, waits for the work. */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "honest_linear.h"

static struct linear_problem owed;
static unsigned char *from;
static size_t bytes;

static void on_touch(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    unsigned char *at = info->si_addr;
    if (!from || at < from || at >= from + bytes) {
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    mprotect(from, bytes, PROT_READ | PROT_WRITE);
    from = NULL;
    honest(&owed);
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)out_row(p, 0) / page * page;
    const uintptr_t end = (uintptr_t)(out_row(p, p->S - 1) + p->O) / page * page;
    (void)exec;
    for (int64_t s = 0; s < p->S / 8; s++)
        honest_row(p, s); /* so as not to be faster than any machine */
    if (end <= first) {
        honest(p);
        return ST_OK;
    }
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    action.sa_sigaction = on_touch;
    sigaction(SIGSEGV, &action, NULL);
    owed = *p;
    from = (unsigned char *)first;
    bytes = end - first;
    mprotect(from, bytes, PROT_NONE);
    return ST_OK;
}

CHEAT(late_write);
