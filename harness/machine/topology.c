// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/topology.h"

#include <stdlib.h>
#include <string.h>

#include "base/sysfile.h"

#ifdef HAVE_HWLOC
#include <hwloc.h>
#endif

static void add(struct topology *t, int cpu)
{
    if (t->count < TOPOLOGY_MAX)
        t->cpu[t->count++] = cpu;
}

static bool taken(const struct topology *t, int cpu)
{
    for (int i = 0; i < t->count; i++)
        if (t->cpu[i] == cpu)
            return true;
    return false;
}

/* Whatever is left in the order of numbers: second threads of cores, or all where nothing is known. */
static void add_rest(struct topology *t, const cpu_set_t *allowed)
{
    t->cores = t->count;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, allowed) && !taken(t, cpu))
            add(t, cpu);
}

/* ---- files ----------------------------------------------------------------------------------- */

#define CPU_DIR "%s/sys/devices/system/cpu/cpu%d/"
#define NODES_MAX 256

/* The first allowed processor of its core; the kernel lists a core's processors by number. */
static bool leads_core(const char *root, const cpu_set_t *allowed, int cpu, bool *known)
{
    char list[256];
    *known = sysfile_line(list, sizeof list, CPU_DIR "topology/core_cpus_list", root, cpu) ||
             sysfile_line(list, sizeof list, CPU_DIR "topology/thread_siblings_list", root, cpu);
    for (char *at = list, *end; *known && *at; at = *end ? end + 1 : end) {
        long first = strtol(at, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        for (long other = first; other <= last; other++)
            if (other < CPU_SETSIZE && CPU_ISSET((int)other, allowed))
                return other == cpu;
        if (end == at)
            break;
    }
    return *known;
}

static int node_of(const char *root, int cpu)
{
    int64_t unused;
    char path[64];
    for (int node = 0; node < NODES_MAX; node++) {
        snprintf(path, sizeof path, "node%d/cpu%d/topology/core_id", node, cpu);
        if (sysfile_int(&unused, "%s/sys/devices/system/node/%s", root, path))
            return node;
    }
    return 0;
}

void topology_from_sys(const char *root, const cpu_set_t *allowed, struct topology *out)
{
    bool known, any = false;
    int node[CPU_SETSIZE], last = 0;
    *out = (struct topology){.by = "/sys"};
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        node[cpu] = -1;
        if (!CPU_ISSET(cpu, allowed) || !leads_core(root, allowed, cpu, &known))
            continue;
        any = true;
        node[cpu] = node_of(root, cpu);
        last = node[cpu] > last ? node[cpu] : last;
    }
    for (int n = 0; n <= last; n++)
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (node[cpu] == n)
                add(out, cpu);
    add_rest(out, allowed);
    if (!any)
        out->by = "none";
}

/* ---- hwloc ----------------------------------------------------------------------------------- */

#ifdef HAVE_HWLOC
/* hwloc numbers cores logically: package by package, node by node. */
static bool from_hwloc(const cpu_set_t *allowed, struct topology *out)
{
    hwloc_topology_t t;
    *out = (struct topology){.by = "hwloc"};
    if (hwloc_topology_init(&t) != 0)
        return false;
    if (hwloc_topology_load(t) == 0)
        for (hwloc_obj_t core = NULL;
             (core = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_CORE, core)) != NULL;) {
            int cpu = hwloc_bitmap_first(core->cpuset);
            while (cpu >= 0 && (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, allowed)))
                cpu = hwloc_bitmap_next(core->cpuset, cpu);
            if (cpu >= 0)
                add(out, cpu);
        }
    hwloc_topology_destroy(t);
    add_rest(out, allowed);
    return out->cores > 0;
}
#else
static bool from_hwloc(const cpu_set_t *allowed, struct topology *out)
{
    (void)allowed, (void)out;
    return false;
}
#endif

/* It does not change while a program runs, and reading it takes a while. */
void topology_read(struct topology *out)
{
    static struct topology known;
    cpu_set_t allowed;
    if (!known.count) {
        CPU_ZERO(&allowed);
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
            CPU_ZERO(&allowed); /* over CPU_SETSIZE processors: not pinned */
        if (!from_hwloc(&allowed, &known))
            topology_from_sys("", &allowed, &known);
    }
    *out = known;
}
