// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchmark.c   Status names, exit codes, signals, and where this program lies. */
#include "base/patchmark.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

const char *tflop_text(double flops, char out[TFLOP_BYTES])
{
    const double tflop = flops * 1e-12;
    snprintf(out, TFLOP_BYTES, tflop < 1 ? "%.4g" : tflop < 1e3 ? "%.2f" : "%.1f", tflop);
    return out;
}

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
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error of write(), as a full disk is */
}

void progress_line(const char *format, ...)
{
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    if (format) {
        va_list args;
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
    }
    fflush(stderr);
}

enum status stdout_take(FILE **out, struct fault *fault)
{
    fflush(stdout);
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!*out || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return fault_set(fault, ST_IO, "standard output cannot be set apart");
    return ST_OK;
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

void command_append(char *line, size_t bytes, const char *word)
{
    size_t used = strlen(line);
    if (used && used + 1 < bytes)
        line[used++] = ' ';
    if (*word && !strpbrk(word, " \t\n*?[]{}\"'\\$&;|<>()#~!`")) {
        snprintf(line + used, bytes - used, "%s", word);
        return;
    }
    snprintf(line + used, bytes - used, "'");
    for (const char *c = word; *c; c++) {
        used = strlen(line);
        snprintf(line + used, bytes - used, *c == '\'' ? "'\\''" : "%c", *c);
    }
    used = strlen(line);
    snprintf(line + used, bytes - used, "'");
}

const char *models_shown(const char *list)
{
    static char shown[4096];
    size_t used = 0;
    shown[0] = 0;
    for (const char *word = list; *word && used < sizeof shown;) {
        size_t n = strcspn(word, ","), from;
        while (n && word[n - 1] == '/') /* a folder's name may end in slashes */
            n--;
        for (from = n; from && word[from - 1] != '/';)
            from--;
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%.*s", used ? "," : "",
                                 (int)(n - from), word + from);
        word += strcspn(word, ",");
        word += *word == ',';
    }
    return shown;
}

const char *command_shown(const char *command)
{
    static char shown[4096];
    size_t used = 0;
    for (const char *c = command; *c && used + 1 < sizeof shown;) {
        const bool begins = c == command || strchr(" \t;'\"=:,", c[-1]);
        const size_t n = strcspn(c, " \t;'\"");
        for (size_t from = n; begins && *c == '/' && from; from--)
            if (c[from - 1] == '/') {
                c += from;
                break;
            }
        shown[used++] = *c;
        c += *c != 0;
    }
    shown[used] = 0;
    return shown;
}

/* Flags whose values are places on somebody's disk, told by their last names alone. */
static const struct {
    const char *flag;
    const char *(*shown)(const char *value);
} place_flags[] = {{"--model", models_shown},
                   {"--image", models_shown},
                   {"--last-image", models_shown},
                   {"--engine", command_shown}};

/* The flag that a word is, or begins as in --model=DIR; -1: none of them. */
static int place_flag(const char *word, bool *both)
{
    const size_t n = strcspn(word, "=");
    *both = word[n] == '=';
    int i = (int)(sizeof place_flags / sizeof *place_flags) - 1;
    while (i >= 0 && (strlen(place_flags[i].flag) != n || strncmp(place_flags[i].flag, word, n)))
        i--;
    return i;
}

const char *self_command_line(void)
{
    static char text[8192];
    int before = -1; /* the flag whose value the word is */
    bool both;
    char raw[4096];
    FILE *in = text[0] ? NULL : fopen("/proc/self/cmdline", "r");
    if (!in)
        return text;
    size_t n = fread(raw, 1, sizeof raw - 1, in);
    fclose(in);
    raw[n] = 0;
    for (const char *word = raw; word < raw + n; word += strlen(word) + 1) {
        char joined[4096 + 32] = "";
        const int flag = before < 0 ? place_flag(word, &both) : -1;
        if (flag >= 0 && both)
            snprintf(joined, sizeof joined, "%s=%s", place_flags[flag].flag,
                     place_flags[flag].shown(strchr(word, '=') + 1));
        command_append(text, sizeof text,
                       joined[0]     ? joined
                       : before >= 0 ? place_flags[before].shown(word)
                                     : word);
        before = flag >= 0 && !both ? flag : -1;
    }
    return text;
}
