// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external_exec.c   The last of our own between supervisor and engine: takes back what workers are
 * given, sees that the engine dies with its supervisor, and becomes it. */
#include "base/json.h"
#include "cmd/commands.h"
#include "machine/threads.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

/* Idle threads that sleep at once suit alternating workers, not a stack that runs alone. What the
 * user has set otherwise stays. */
static void restore_environment(void)
{
    char **to = environ;
    for (char **from = environ; from && *from; from++) {
        bool ours = false;
        for (const char *const *own = threads_environment; *own; own++)
            ours = ours || !strcmp(*own, *from);
        if (!ours)
            *to++ = *from;
    }
    if (to)
        *to = NULL;
}

int worker_exec(int argc, char **argv, struct fault *fault)
{
    const int place = personality(0xffffffff);
    char reason[512];
    struct json j;
    if (argc < 1)
        return exit_code_of(fault_set(fault, ST_BAD_INPUT, "no program named"));
    if (place != -1)
        personality((unsigned long)place & ~(unsigned long)ADDR_NO_RANDOMIZE);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    restore_environment();
    execvp(argv[0], argv);
    snprintf(reason, sizeof reason, "%.300s cannot be started: %s", argv[0], strerror(errno));
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_text(&j, "event", "fail");
    json_text(&j, "status", "unavailable");
    json_text(&j, "reason", reason);
    json_end(&j);
    printf("%s\n", j.failed ? "" : j.text);
    json_free(&j);
    return EXIT_CHECK;
}
