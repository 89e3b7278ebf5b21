// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_more_threads.c   Planted cheat: shares the work with threads that it was not given, wherever
 * there are processors. */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "honest_linear.h"

enum { HELPERS = 3 };

static pthread_barrier_t begin, end;
static struct linear_problem shared;

static void share(int part)
{
    for (int64_t s = part; s < shared.S; s += HELPERS + 1)
        honest_row(&shared, s);
}

static void *help(void *part)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    for (;;) {
        pthread_barrier_wait(&begin);
        share((int)(intptr_t)part);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    static bool started;
    pthread_t thread;
    (void)exec;
    if (!started) {
        pthread_barrier_init(&begin, NULL, HELPERS + 1);
        pthread_barrier_init(&end, NULL, HELPERS + 1);
        for (intptr_t i = 1; i <= HELPERS; i++)
            pthread_create(&thread, NULL, help, (void *)i);
        started = true;
    }
    shared = *p;
    pthread_barrier_wait(&begin);
    share(0);
    pthread_barrier_wait(&end);
    return ST_OK;
}

CHEAT(more_threads);
