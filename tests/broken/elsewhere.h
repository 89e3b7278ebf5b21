// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elsewhere.h   Of several workers pinned side by side, is this one of those that may not use the
 * first processor of their supervisor? */
#ifndef PATCHMARK_BROKEN_ELSEWHERE_H
#define PATCHMARK_BROKEN_ELSEWHERE_H

#include <sched.h>
#include <unistd.h>

static inline bool is_elsewhere(void)
{
    cpu_set_t mine, all;
    int first = 0;
    if (sched_getaffinity(0, sizeof mine, &mine) || sched_getaffinity(getppid(), sizeof all, &all))
        return false;
    while (first < CPU_SETSIZE && !CPU_ISSET(first, &all))
        first++;
    return first < CPU_SETSIZE && !CPU_ISSET(first, &mine);
}

#endif
