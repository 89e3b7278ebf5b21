// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/cgroup.h"

#include "base/sysfile.h"

#include <math.h>
#include <string.h>

/* Calls visit for every folder from the process's own group up to the root of the hierarchy.
 * controller is NULL for v2. Inside a container the path of /proc/self/cgroup may be the host's and
 * then does not exist here; the root, which is always visited, is the container's own group. */
static void each_level(const char *root, const char *controller,
                       void (*visit)(const char *folder, void *user), void *user)
{
    char path[768], folder[1024], line[1024];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    char group[512] = "";
    while (file && fgets(line, sizeof line, file)) {
        /* "4:memory:/group", several controllers as "3:cpu,cpuacct:/", v2 as "0::/group" */
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':'), *where = list ? strchr(list + 1, ':') : NULL;
        if (!where || where[1] != '/')
            continue;
        *where++ = '\0';
        bool ours = controller == NULL && list[1] == '\0';
        for (char *rest = list + 1, *word; controller && (word = strsep(&rest, ",")) != NULL;)
            ours = ours || strcmp(word, controller) == 0;
        if (ours)
            snprintf(group, sizeof group, "%s", where);
    }
    if (file)
        fclose(file);
    for (;;) {
        while (group[0] && group[strlen(group) - 1] == '/')
            group[strlen(group) - 1] = '\0';
        snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s%s%s", root, controller ? "/" : "",
                 controller ? controller : "", group);
        visit(folder, user);
        if (!group[0])
            return;
        *strrchr(group, '/') = '\0';
    }
}

static void tighten(double *least, double quota, double period)
{
    if (quota > 0 && period > 0)
        *least = fmin(*least, quota / period);
}

static void cpu_v2(const char *folder, void *user)
{
    char line[64];
    double quota, period;
    if (sysfile_line(line, sizeof line, "%s/cpu.max", folder) &&
        sscanf(line, "%lf %lf", &quota, &period) == 2) /* "max 100000" does not match */
        tighten(user, quota, period);
}

static void cpu_v1(const char *folder, void *user)
{
    int64_t quota, period;
    if (sysfile_int(&quota, "%s/cpu.cfs_quota_us", folder) &&
        sysfile_int(&period, "%s/cpu.cfs_period_us", folder))
        tighten(user, (double)quota, (double)period);
}

double cgroup_cpu_quota(const char *root)
{
    double least = INFINITY;
    each_level(root, NULL, cpu_v2, &least);
    each_level(root, "cpu", cpu_v1, &least);
    return isinf(least) ? 0 : least;
}

/* Each level's own: a parent's quota stops its children too. Both versions write it alike. */
static void throttled(const char *folder, void *user)
{
    int64_t periods, *sum = user;
    char path[1100];
    snprintf(path, sizeof path, "%s/cpu.stat", folder);
    if (sysfile_field_int(path, "nr_throttled", &periods))
        *sum += periods;
}

int64_t cgroup_throttled(const char *root)
{
    int64_t sum = 0;
    each_level(root, NULL, throttled, &sum);
    each_level(root, "cpu", throttled, &sum);
    return sum;
}

/* The files that say the same in the two versions. */
struct memory_files {
    const char *limit, *use, *cache;
};
static const struct memory_files memory_v2 = {"memory.max", "memory.current", "inactive_file"};
static const struct memory_files memory_v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file"};

struct memory_level {
    const struct memory_files *files;
    uint64_t limit, free;
};

static void memory(const char *folder, void *user)
{
    struct memory_level *least = user;
    int64_t limit, use, cache;
    if (!sysfile_int(&limit, "%s/%s", folder, least->files->limit) || limit < 0)
        return; /* absent, or "max" */
    if ((uint64_t)limit < least->limit)
        least->limit = (uint64_t)limit;
    if (!sysfile_int(&use, "%s/%s", folder, least->files->use))
        return;
    char path[1100];
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (!sysfile_field_int(path, least->files->cache, &cache) || cache > use)
        cache = 0;
    use -= cache;
    uint64_t spare = limit > use ? (uint64_t)(limit - use) : 0;
    if (spare < least->free)
        least->free = spare;
}

static struct memory_level memory_levels(const char *root)
{
    struct memory_level least = {&memory_v2, UINT64_MAX, UINT64_MAX};
    each_level(root, NULL, memory, &least);
    least.files = &memory_v1;
    each_level(root, "memory", memory, &least);
    /* v1 writes "no limit" as the largest multiple of a page below 2^63. */
    if (least.limit > INT64_MAX - (1 << 24))
        least.limit = UINT64_MAX;
    return least;
}

uint64_t cgroup_memory_limit(const char *root) { return memory_levels(root).limit; }

uint64_t cgroup_memory_free(const char *root)
{
    struct memory_level least = memory_levels(root);
    return least.limit == UINT64_MAX ? UINT64_MAX : least.free;
}
