// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/topology.h"

#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

/* ---- choosing -------------------------------------------------------------------------------- */

bool pinning_is_wish(const char *wish) { return !strcmp(wish, "cores") || !strcmp(wish, "none"); }

static void list_print(const int *cpu, int count, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, "-");
    for (int i = 0; i < count && used + 8 < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%d", i ? "," : "", cpu[i]);
}

static int list_parse(const char *list, int cpu[TOPOLOGY_MAX])
{
    int count = 0;
    char *end;
    for (const char *at = list; *at && count < TOPOLOGY_MAX; at = *end ? end + 1 : end) {
        long value = strtol(at, &end, 10);
        if (end == at || value < 0 || value >= CPU_SETSIZE)
            return 0;
        cpu[count++] = (int)value;
    }
    return count;
}

void pinning_choose(const char *wish, int threads, struct pinning *out)
{
    struct topology t;
    *out = (struct pinning){.list = "-"};
    topology_read(&t);
    if (!wish || !strcmp(wish, "none"))
        snprintf(out->why, sizeof out->why, "--pin none");
    else if (threads > t.count)
        snprintf(out->why, sizeof out->why, "%d threads are more than the %d processors here",
                 threads, t.count);
    else if ((size_t)threads * 5 > sizeof out->list)
        snprintf(out->why, sizeof out->why, "a list of %d processors is too long", threads);
    else {
        out->count = threads;
        memcpy(out->cpu, t.cpu, (size_t)threads * sizeof *out->cpu);
        list_print(out->cpu, out->count, out->list, sizeof out->list);
    }
}

void pinning_json(const struct pinning *p, int openmp, int openblas, const char *cpus,
                  const char *others, struct json *j)
{
    json_int(j, "openmp_threads", openmp);
    json_number(j, "openblas_threads", openblas ? openblas : NAN);
    if (p->count)
        json_text(j, "pinned_cpus", cpus);
    else
        json_unavailable(j, "pinned_cpus", p->why);
    if (p->count && strcmp(others, "-") != 0)
        json_text(j, "pinned_others", others);
}

/* ---- the worker's environment ---------------------------------------------------------------- */

static const char *behind(const char *const *words, const char *option)
{
    for (; *words; words++)
        if (!strcmp(*words, option))
            return words[1];
    return NULL;
}

bool pinning_replaces(char *const own[], int count, const char *variable)
{
    for (int i = 0; i < count; i++)
        if (!strncmp(variable, own[i], strcspn(own[i], "=") + 1))
            return true;
    return count > 2 && !strncmp(variable, "GOMP_CPU_AFFINITY=", 18);
}

/* "0,2" as places "{0},{2}": OpenMP binds a thread of every team to the place of its number. */
static char *places_of(const char *list)
{
    const size_t bytes = 4 * strlen(list) + 32;
    char *text = malloc(bytes);
    int used = text ? snprintf(text, bytes, "OMP_PLACES={") : 0;
    for (; text && *list; list++)
        used += snprintf(text + used, bytes - (size_t)used, *list == ',' ? "},{" : "%c", *list);
    if (text)
        snprintf(text + used, bytes - (size_t)used, "}");
    return text;
}

int pinning_environment(const char *const *words, char *out[PINNING_VARIABLES])
{
    static const char *const counts[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"};
    const char *list = behind(words, "--cpus"), *threads = behind(words, "--threads");
    int n = 0;
    if (!list || !threads)
        return 0;
    for (int i = 0; i < 2; i++)
        n += asprintf(&out[n], "%s=%s", counts[i], threads) > 0;
    if (*list == '-')
        return n;
    n += (out[n] = strdup("OMP_PROC_BIND=true")) != NULL;
    n += (out[n] = places_of(list)) != NULL;
    return n;
}

/* ---- in the worker --------------------------------------------------------------------------- */

#define TASKS_MAX 1024

static bool put(pid_t task, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(task, sizeof set, &set) == 0;
}

/* The one processor that a thread may run on, or -1. */
static int place_of(pid_t task)
{
    cpu_set_t set;
    if (sched_getaffinity(task, sizeof set, &set) != 0 || CPU_COUNT(&set) != 1)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            return cpu;
    return -1;
}

static int by_number(const void *a, const void *b)
{
    return (*(const pid_t *)a > *(const pid_t *)b) - (*(const pid_t *)a < *(const pid_t *)b);
}

static int tasks_of_this_process(pid_t task[TASKS_MAX])
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && count < TASKS_MAX && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            task[count++] = (pid_t)atol(e->d_name);
    if (dir)
        closedir(dir);
    qsort(task, (size_t)count, sizeof *task, by_number);
    return count;
}

/* OpenMP's threads, each from within, so that they exist and are known by their numbers. */
static int pin_team(const struct pinning *p, int threads, pid_t team[TASKS_MAX])
{
    threads = threads < TASKS_MAX ? threads : TASKS_MAX;
#pragma omp parallel num_threads(threads)
    {
        int i = omp_get_thread_num();
        team[i] = gettid();
        if (i < p->count)
            put(0, p->cpu[i]);
    }
    return threads;
}

static bool among(const pid_t *task, int count, pid_t wanted)
{
    for (int i = 0; i < count; i++)
        if (task[i] == wanted)
            return true;
    return false;
}

/* The caller computes too, so a library's threads share the processors behind the first; the same
 * thread gets the same one every time. */
static void pin_others(struct pinned *out, const pid_t *team, int members)
{
    const struct pinning *p = &out->wish;
    pid_t task[TASKS_MAX];
    int cpu[TASKS_MAX], count = tasks_of_this_process(task);
    out->others = 0;
    for (int i = 0; i < count; i++) {
        if (among(team, members, task[i]))
            continue;
        int place = p->count > 1 ? 1 + out->others % (p->count - 1) : 0;
        if (p->count && put(task[i], p->cpu[place]))
            cpu[out->others++] = place_of(task[i]);
    }
    list_print(cpu, out->others, out->other_cpus, sizeof out->other_cpus);
}

void pinning_apply(const char *list, int threads, struct pinned *out)
{
    pid_t team[TASKS_MAX];
    int cpu[TASKS_MAX];
    *out = (struct pinned){.cpus = "-", .other_cpus = "-"};
    if (list && *list != '-')
        out->wish.count = list_parse(list, out->wish.cpu);
#ifdef HAVE_OPENBLAS
    openblas_set_num_threads(threads);
    out->openblas = openblas_get_num_threads();
#endif
    out->openmp = pin_team(&out->wish, threads, team);
    if (!out->wish.count)
        return;
    for (int i = 0; i < out->openmp; i++)
        cpu[i] = place_of(team[i]);
    list_print(cpu, out->openmp, out->cpus, sizeof out->cpus);
    pin_others(out, team, out->openmp);
}
