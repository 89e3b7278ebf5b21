// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchmark.c   Status names, exit codes, signals, and where this program lies. */
#include "patchmark.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

volatile int interrupted_by;

static const struct {
    const char *name;
    int exit_code;
} states[ST_COUNT] = {
    [ST_OK] = {"passed", EXIT_OK},
    [ST_REFUSED] = {"refused", EXIT_NOTHING},
    [ST_UNAVAILABLE] = {"unavailable", EXIT_NOTHING},
    [ST_NOT_BUILT] = {"not_built", EXIT_NOTHING},
    [ST_BAD_INPUT] = {"bad_input", EXIT_INPUT},
    [ST_NO_MEMORY] = {"out_of_memory", EXIT_INPUT},
    [ST_IO] = {"io_error", EXIT_INPUT},
    [ST_WRONG] = {"wrong", EXIT_CHECK},
    [ST_NONFINITE] = {"nonfinite", EXIT_CHECK},
    [ST_CRASHED] = {"crashed", EXIT_CHECK},
    [ST_TIMEOUT] = {"timeout", EXIT_CHECK},
    [ST_DEVICE] = {"crashed", EXIT_CHECK},
    [ST_INTERRUPTED] = {"interrupted", EXIT_CHECK},
};

const char *status_name(enum status status) { return states[status].name; }

int exit_code_of(enum status status) { return states[status].exit_code; }

/* A second signal of the same kind ends the program at once: the handler is reset on entry. */
static void on_signal(int number) { interrupted_by = number; }

void signals_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

const char *self_path(void)
{
    static char path[4096];
    if (!path[0]) {
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
    }
    return path;
}

const char *self_command_line(void)
{
    static char text[8192];
    char raw[4096];
    FILE *in = text[0] ? NULL : fopen("/proc/self/cmdline", "r");
    if (!in)
        return text;
    size_t n = fread(raw, 1, sizeof raw - 1, in), used = 0;
    fclose(in);
    raw[n] = 0;
    for (const char *word = raw; word < raw + n && used < sizeof text; word += strlen(word) + 1) {
        const char *quote = !*word || strpbrk(word, " *?[]\"'\\$&;|<>()") ? "'" : "";
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s%s", used ? " " : "", quote, word,
                                 quote);
    }
    return text;
}
