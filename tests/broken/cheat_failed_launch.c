// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cheat_failed_launch.c   Planted cheat: what it starts the work with fails, as a launch does that
 * asks for too much shared memory; nobody looks, and nothing is computed. */
#include <pthread.h>

#include "honest_linear.h"

static void *work(void *problem)
{
    honest(problem);
    return NULL;
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    struct linear_problem copy = *p;
    pthread_attr_t much;
    pthread_t thread;
    (void)exec;
    pthread_attr_init(&much);
    pthread_attr_setstacksize(&much, (size_t)1 << 56);
    if (pthread_create(&thread, &much, work, &copy) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&much);
    return ST_OK;
}

CHEAT(failed_launch);
