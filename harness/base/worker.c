// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* worker.c   One socket carries a worker's stdin and stdout (so that writing to a dead one is an
 * error and not a signal), one pipe its stderr. */
#include "base/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "machine/threads.h"
#include "machine/topology.h"
#include "variant/registry.h"

#define LINE_MAX_BYTES ((size_t)1 << 24)
#define STDERR_BYTES 4096
#define GRACE_SECONDS 2.0
#define SLICE_MS 100 /* how soon a signal that slipped in before poll() is seen */

extern char **environ;

struct worker {
    pid_t pid;
    int line_fd, error_fd;
    char *text; /* received and not yet handed out, beginning at `taken` */
    size_t used, size, taken;
    char error_text[STDERR_BYTES + 1];
    size_t error_used;
    bool reaped, silent; /* silent: missed a deadline, so not worth a grace */
    const char *called;  /* what sentences call it */
    int wait_status;
    size_t peak_bytes;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- starting ---------------------------------------------------------------------------------
 */

/* Not passed on: variables that would change a measurement behind our back. An idle worker must not
 * spin, and Google Benchmark reads its flags from the environment. */
static bool variable_kept(const char *variable)
{
    return !threads_variable(variable) && strncmp(variable, "BENCHMARK_", 10) != 0;
}

static char **environment_new(char *const pinning[], int pinnings)
{
    size_t count = 0, own = 0, kept = 0;
    while (environ && environ[count])
        count++;
    while (threads_environment[own])
        own++;
    char **copy = malloc((count + own + (size_t)pinnings + 1) * sizeof *copy);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (variable_kept(environ[i]) && !pinning_replaces(pinning, pinnings, environ[i]))
            copy[kept++] = environ[i];
    for (size_t i = 0; i < own; i++)
        copy[kept++] = (char *)threads_environment[i];
    for (int i = 0; i < pinnings; i++)
        copy[kept++] = pinning[i];
    copy[kept] = NULL;
    return copy;
}

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    return count;
}

static bool is_exec(const char *const *argv) { return argv[0] && argv[1] && !strcmp(argv[1], "exec"); }

/* The program, the words given, and every plugin that is loaded here: but not behind the words of
 * another program. */
static char **arguments_new(const char *program, const char *const *argv)
{
    static const char *const none[] = {NULL};
    const char *const *plugin = is_exec(argv) ? none : registry_plugins();
    size_t count = count_words(argv), plugins = count_words(plugin);
    char **copy = calloc(count + 2 * plugins + 2, sizeof *copy);
    if (!copy)
        return NULL;
    copy[0] = (char *)program;
    memcpy(copy + 1, argv, count * sizeof *copy);
    for (size_t i = 0; i < plugins; i++) {
        copy[1 + count + 2 * i] = "--plugin";
        copy[2 + count + 2 * i] = (char *)plugin[i];
    }
    return copy;
}

/* Own process group, default signals: Ctrl-C reaches the supervisor, which ends its workers. */
static int spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &defaults);
    posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
}

/* Addresses decide which cache and TLB entries meet, so two processes of one program differ in speed
 * for as long as they live where each has addresses of its own. All workers get the same ones; where
 * that is forbidden, as in some containers, they stay at random. */
static int same_addresses(void)
{
    int before = personality(0xffffffff);
    if (before != -1)
        personality((unsigned long)before | ADDR_NO_RANDOMIZE);
    return before;
}

static int spawn_process(char **argv, char **environment, int line_fd, int error_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, line_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, line_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);
    int error = spawn_attributes(&attributes), before = same_addresses();
    if (!error)
        error = posix_spawn(pid, argv[0], &actions, &attributes, argv, environment);
    if (before != -1)
        personality((unsigned long)before);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static void close_both(const int fd[2])
{
    if (fd[0] >= 0)
        close(fd[0]);
    if (fd[1] >= 0)
        close(fd[1]);
}

/* On success the first of each pair is ours and the worker holds the second. */
static int start(const char *program, const char *const *argv, int line[2], int error[2],
                 pid_t *pid)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) || pipe2(error, O_CLOEXEC))
        return errno;
    char *pinning[PINNING_VARIABLES];
    int pinnings = pinning_environment(argv, pinning);
    char **arguments = arguments_new(program, argv), **environment = environment_new(pinning, pinnings);
    int failed = arguments && environment
                     ? spawn_process(arguments, environment, line[1], error[1], pid)
                     : ENOMEM;
    while (pinnings > 0)
        free(pinning[--pinnings]);
    free(arguments);
    free(environment);
    return failed;
}

enum status worker_spawn(const char *const *argv, struct worker **out, struct fault *fault)
{
    return worker_spawn_program(NULL, argv, out, fault);
}

enum status worker_spawn_program(const char *program, const char *const *argv, struct worker **out,
                                 struct fault *fault)
{
    int line[2] = {-1, -1}, error[2] = {-1, -1};
    struct worker *w = calloc(1, sizeof *w);
    if (!program)
        program = self_path();
    int failed = w ? start(program, argv, line, error, &w->pid) : ENOMEM;
    if (failed) {
        close_both(line);
        close_both(error);
        free(w);
        return fault_set(fault, failed == ENOMEM ? ST_NO_MEMORY : ST_IO,
                         "cannot start a worker process of %s: %s", program, strerror(failed));
    }
    close(line[1]);
    close(error[1]);
    w->line_fd = line[0];
    w->error_fd = error[0];
    w->called = is_exec(argv) ? "engine" : "worker";
    fcntl(w->error_fd, F_SETFL, O_NONBLOCK);
    *out = w;
    return ST_OK;
}

/* ---- ending -----------------------------------------------------------------------------------
 */

/* Leaves the ended process unreaped, so that its number, and its group's, stay ours. */
static bool finished(const struct worker *w)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid;
}

/* Waits for the end, then ends whatever is left of the process group. */
static void reap_within(struct worker *w, double seconds)
{
    struct rusage usage = {0};
    double deadline = now_seconds() + seconds;
    if (w->reaped)
        return;
    while (!finished(w) && now_seconds() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    kill(-w->pid, SIGKILL);
    while (wait4(w->pid, &w->wait_status, 0, &usage) < 0 && errno == EINTR)
        continue;
    w->reaped = true;
    w->peak_bytes = (size_t)usage.ru_maxrss * 1024;
}

static void keep_tail(struct worker *w, const char *text, size_t bytes)
{
    size_t excess = w->error_used + bytes > STDERR_BYTES ? w->error_used + bytes - STDERR_BYTES : 0;
    memmove(w->error_text, w->error_text + excess, w->error_used - excess);
    w->error_used -= excess;
    memcpy(w->error_text + w->error_used, text, bytes);
    w->error_used += bytes;
    w->error_text[w->error_used] = '\0';
}

static void drain_stderr(struct worker *w)
{
    char piece[1024];
    ssize_t got = 1;
    while (w->error_fd >= 0 && (got = read(w->error_fd, piece, sizeof piece)) > 0)
        keep_tail(w, piece, (size_t)got);
    if (w->error_fd >= 0 && (got == 0 || (errno != EAGAIN && errno != EINTR))) {
        close(w->error_fd);
        w->error_fd = -1;
    }
}

const char *worker_stderr(struct worker *w)
{
    drain_stderr(w);
    return w->error_text;
}

/* The last line it wrote to stderr, which tends to say why. */
static const char *last_words(struct worker *w, char *out, size_t bytes)
{
    const char *text = worker_stderr(w);
    size_t end = strlen(text);
    while (end && text[end - 1] == '\n')
        end--;
    size_t begin = end;
    while (begin && text[begin - 1] != '\n')
        begin--;
    snprintf(out, bytes, "%s%.*s", end > begin ? "; its last words: " : "", (int)(end - begin),
             text + begin);
    return out;
}

static enum status ended(struct worker *w, struct fault *fault)
{
    char words[512];
    reap_within(w, GRACE_SECONDS);
    last_words(w, words, sizeof words);
    if (WIFSIGNALED(w->wait_status))
        return fault_set(fault, ST_CRASHED, "the %s was ended by signal %d (%s)%s", w->called,
                         WTERMSIG(w->wait_status), strsignal(WTERMSIG(w->wait_status)), words);
    return fault_set(fault, ST_CRASHED, "the %s ended with exit code %d before it was done%s", w->called,
                     WEXITSTATUS(w->wait_status), words);
}

void worker_hang_up(const struct worker *w) { shutdown(w->line_fd, SHUT_RDWR); }

pid_t worker_pid(const struct worker *w) { return w->pid; }

size_t worker_peak_resident(const struct worker *w) { return w->peak_bytes; }

void worker_end(struct worker *w)
{
    if (!w)
        return;
    shutdown(w->line_fd, SHUT_WR);
    reap_within(w, w->silent || interrupted_by ? 0 : GRACE_SECONDS);
    close(w->line_fd);
    if (w->error_fd >= 0)
        close(w->error_fd);
    free(w->text);
    free(w);
}

/* ---- lines ------------------------------------------------------------------------------------
 */

enum status worker_send(struct worker *w, const char *line, struct fault *fault)
{
    size_t bytes = strlen(line);
    struct iovec piece[2] = {{(char *)line, bytes}, {"\n", 1}};
    struct msghdr message = {.msg_iov = piece, .msg_iovlen = 2};
    while (piece[1].iov_len) {
        ssize_t sent = sendmsg(w->line_fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR && !interrupted_by)
            continue;
        if (sent < 0 && interrupted_by)
            return fault_set(fault, ST_INTERRUPTED, "interrupted");
        if (sent < 0)
            return ended(w, fault);
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)sent < piece[i].iov_len ? (size_t)sent : piece[i].iov_len;
            piece[i].iov_base = (char *)piece[i].iov_base + part;
            piece[i].iov_len -= part;
            sent -= (ssize_t)part;
        }
    }
    return ST_OK;
}

/* Hands out a whole line already received, or NULL. */
static const char *take_line(struct worker *w)
{
    char *begin = w->text + w->taken;
    char *newline = w->used > w->taken ? memchr(begin, '\n', w->used - w->taken) : NULL;
    if (!newline)
        return NULL;
    *newline = '\0';
    w->taken += (size_t)(newline - begin) + 1;
    return begin;
}

static enum status make_room(struct worker *w, struct fault *fault)
{
    if (w->taken) {
        memmove(w->text, w->text + w->taken, w->used - w->taken);
        w->used -= w->taken;
        w->taken = 0;
    }
    if (w->size - w->used >= 4096)
        return ST_OK;
    size_t size = w->size ? 2 * w->size : 16384;
    char *text = size <= LINE_MAX_BYTES ? realloc(w->text, size) : NULL;
    if (!text)
        return fault_set(fault, ST_CRASHED, "the %s sent a line of over %zu bytes", w->called,
                         w->size);
    w->text = text;
    w->size = size;
    return ST_OK;
}

/* Waits up to `milliseconds`; *open is false once the worker has closed its end. */
static enum status collect(struct worker *w, int milliseconds, bool *open, struct fault *fault)
{
    struct pollfd ready[2] = {{w->line_fd, POLLIN, 0}, {w->error_fd, POLLIN, 0}};
    *open = true;
    if (poll(ready, 2, milliseconds) <= 0)
        return ST_OK;
    if (ready[1].revents)
        drain_stderr(w);
    if (!ready[0].revents)
        return ST_OK;
    TRY(make_room(w, fault));
    ssize_t got = recv(w->line_fd, w->text + w->used, w->size - w->used, 0);
    if (got > 0)
        w->used += (size_t)got;
    else
        *open = got < 0 && errno == EINTR;
    return ST_OK;
}

enum status worker_receive(struct worker *w, double seconds, const char **line, struct fault *fault)
{
    double deadline = now_seconds() + seconds;
    bool open = true;
    while (!(*line = take_line(w))) {
        double left_ms = 1e3 * (deadline - now_seconds());
        if (interrupted_by)
            return fault_set(fault, ST_INTERRUPTED, "interrupted");
        if (!open)
            return ended(w, fault);
        if (left_ms <= 0) {
            w->silent = true;
            return fault_set(fault, ST_TIMEOUT, "the %s gave no answer within %.3g s", w->called,
                             seconds);
        }
        TRY(collect(w, left_ms < SLICE_MS ? (int)left_ms + 1 : SLICE_MS, &open, fault));
    }
    w->silent = false;
    return ST_OK;
}

enum status worker_fault(const char *line, struct fault *fault)
{
    int status, used = 0;
    if (sscanf(line, "fault %d %n", &status, &used) != 1 || !used)
        return ST_OK;
    return fault_set(fault, status > ST_OK && status < ST_COUNT ? (enum status)status : ST_CRASHED,
                     "%s", line + used);
}

/* ---- the other end ----------------------------------------------------------------------------
 */

enum status worker_take_line_out(FILE **out, struct fault *fault)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return stdout_take(out, fault);
}
