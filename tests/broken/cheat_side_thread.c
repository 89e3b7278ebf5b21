// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_side_thread.c   Planted cheat: a thread of its own, asleep until run() wakes it, does the
 * work after run() has returned; while it is checked, run() waits for it. */
#include <pthread.h>

#include "honest_linear.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct linear_problem wanted;
static bool busy;

static void *work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!busy)
            pthread_cond_wait(&changed, &lock);
        struct linear_problem p = wanted;
        pthread_mutex_unlock(&lock);
        honest(&p);
        pthread_mutex_lock(&lock);
        busy = false;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    static int runs;
    pthread_t thread;
    (void)exec;
    if (!runs++)
        pthread_create(&thread, NULL, work, NULL);
    pthread_mutex_lock(&lock);
    if (!busy) {
        wanted = *p;
        busy = true;
        pthread_cond_broadcast(&changed);
    }
    while (busy && runs <= BELIEVED)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return ST_OK;
}

CHEAT(side_thread);
