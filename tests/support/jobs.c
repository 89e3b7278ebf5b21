// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "support/jobs.h"

#include <errno.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BESIDE_MAX 16

extern char **environ;

/* A job under way; its output goes through unnamed files, so no pipe can fill and block it. */
struct running {
    struct job *job;
    pid_t pid;
    FILE *out, *err;
    double start;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void need(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static int processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < BESIDE_MAX ? count : BESIDE_MAX;
}

/* ---- one job --------------------------------------------------------------------------------- */

static int sets(const struct job *job, const char *entry)
{
    size_t name = strcspn(entry, "=") + 1;
    for (int i = 0; i < JOB_VARIABLES && job->variable[i]; i++)
        if (strncmp(job->variable[i], entry, name) == 0)
            return 1;
    return 0;
}

static char **environment_of(const struct job *job)
{
    int count = 0, used = 0;
    while (environ[count])
        count++;
    char **all = calloc((size_t)count + JOB_VARIABLES + 1, sizeof *all);
    need(all != NULL, "an environment");
    for (int i = 0; i < count; i++)
        if (!sets(job, environ[i]))
            all[used++] = environ[i];
    for (int i = 0; i < JOB_VARIABLES && job->variable[i]; i++)
        all[used++] = (char *)job->variable[i];
    return all;
}

static char *slurp(FILE *in)
{
    long bytes = fseek(in, 0, SEEK_END) == 0 ? ftell(in) : 0;
    char *text = malloc((size_t)bytes + 1);
    need(text != NULL, "a program's output");
    rewind(in);
    text[fread(text, 1, (size_t)bytes, in)] = '\0';
    fclose(in);
    return text;
}

static void end(struct running *r, int code)
{
    r->job->code = code;
    r->job->out = slurp(r->out);
    r->job->err = slurp(r->err);
    r->job->seconds = now_seconds() - r->start;
    r->job = NULL;
}

static void start(struct running *r, struct job *job)
{
    posix_spawn_file_actions_t files;
    char **environment = environment_of(job);
    *r = (struct running){.job = job, .out = tmpfile(), .err = tmpfile(), .start = now_seconds()};
    need(r->out && r->err, "a temporary file");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&files, fileno(r->out), 1);
    posix_spawn_file_actions_adddup2(&files, fileno(r->err), 2);
    int failed = posix_spawnp(&r->pid, job->argv[0], &files, NULL, (char **)job->argv, environment);
    posix_spawn_file_actions_destroy(&files);
    free(environment);
    if (failed)
        end(r, -1);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void await_one(struct running *running, int places)
{
    int status;
    pid_t pid;
    while ((pid = wait(&status)) < 0 && errno == EINTR)
        continue;
    need(pid > 0, "waiting for a program");
    for (int i = 0; i < places; i++)
        if (running[i].job && running[i].pid == pid)
            end(&running[i], WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static struct running *free_place(struct running *running, int places)
{
    for (;;) {
        for (int i = 0; i < places; i++)
            if (!running[i].job)
                return &running[i];
        await_one(running, places);
    }
}

static int under_way(const struct running *running, int places)
{
    int count = 0;
    for (int i = 0; i < places; i++)
        count += running[i].job != NULL;
    return count;
}

void jobs_run(struct job *job, int count)
{
    struct running running[BESIDE_MAX] = {{0}};
    int places = processors();
    for (int i = 0; i < count; i++)
        if (job[i].argv[0])
            start(free_place(running, places), &job[i]);
    while (under_way(running, places) > 0)
        await_one(running, places);
}

void jobs_free(struct job *job, int count)
{
    for (int i = 0; i < count; i++) {
        free(job[i].out);
        free(job[i].err);
        job[i].out = job[i].err = NULL;
    }
}

const char *job_word(const char *format, ...)
{
    static struct word {
        struct word *next;
        char text[];
    } * words;
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct word *word = malloc(sizeof *word + strlen(text) + 1);
    need(word != NULL, "a word");
    strcpy(word->text, text);
    word->next = words;
    words = word;
    return word->text;
}
