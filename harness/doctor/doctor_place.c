// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor_place.c   Where threads run and where their memory is. */
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "base/sysfile.h"
#include "doctor/doctor.h"
#include "machine/cache_levels.h"
#include "machine/cgroup.h"
#include "machine/host.h"
#include "machine/topology.h"

#define CPU_DIR "%s/sys/devices/system/cpu"
#define MEMORY_LEAST_KIB ((int64_t)2 << 20)

static int list_at(const char *root, const char *file)
{
    char list[1024];
    return sysfile_line(list, sizeof list, "%s%s", root, file) ? cpu_list_count(list) : 0;
}

static void affinity(struct doctor *d)
{
    char path[1024], list[1024];
    int online = list_at(d->root, "/sys/devices/system/cpu/online"), allowed = 0;
    snprintf(path, sizeof path, "%s/proc/self/status", d->root);
    if (sysfile_field(path, "Cpus_allowed_list", list, sizeof list))
        allowed = cpu_list_count(list);
    if (!allowed || !online)
        doctor_find(d, FINDING_MISSING, "processors", "this kernel does not tell which are ours");
    else if (allowed >= online)
        doctor_find(d, FINDING_OK, "processors", "all %d may be used", online);
    else {
        doctor_find(d, FINDING_LIMITED, "processors",
                    "%d of %d may be used (affinity or cpuset): figures are of these alone",
                    allowed, online);
        doctor_cure(d, "for the whole machine: start it without taskset and outside of the cpuset");
    }
}

static void quota(struct doctor *d)
{
    double cpus = cgroup_cpu_quota(d->root);
    if (cpus <= 0) {
        doctor_find(d, FINDING_OK, "cpu quota", "none: no cgroup throttles our threads");
        return;
    }
    doctor_find(d, FINDING_LIMITED, "cpu quota",
                "the time of %.3g processors: past it threads are stopped for the rest of a period",
                cpus);
    doctor_cure(d, "start the container without a CPU limit, or stay below it with --threads");
}

/* Where threads are put before a clock runs; a planted machine has none to put. */
static void pinning(struct doctor *d)
{
    static struct topology t;
    static struct pinning p;
    if (!d->live)
        return;
    topology_read(&t);
    pinning_choose("cores", host_cores(), &p);
    if (p.count)
        doctor_find(d, FINDING_OK, "pinning",
                    "threads go to processors %.100s, a core each (by %s)", p.list, t.by);
    else
        doctor_find(d, FINDING_MISSING, "pinning", "threads may wander: %s", p.why);
}

static void smt(struct doctor *d)
{
    int64_t active;
    if (!sysfile_int(&active, CPU_DIR "/smt/active", d->root))
        doctor_find(d, FINDING_MISSING, "smt", "this kernel does not tell");
    else if (!active)
        doctor_find(d, FINDING_OK, "smt", "off: a processor is a core, as far as is shown");
    else {
        doctor_find(d, FINDING_LIMITED, "smt",
                    "on: two threads may share a core and slow each other down");
        doctor_cure(d, "use one thread per core (--threads), or as root: echo off >"
                       " /sys/devices/system/cpu/smt/control");
    }
}

static void numa(struct doctor *d)
{
    int nodes = list_at(d->root, "/sys/devices/system/node/online");
    int64_t balancing = 0;
    sysfile_int(&balancing, "%s/proc/sys/kernel/numa_balancing", d->root);
    if (!nodes)
        doctor_find(d, FINDING_MISSING, "numa", "this kernel does not tell");
    else if (nodes == 1)
        doctor_find(d, FINDING_OK, "numa", "one node");
    else if (!balancing)
        doctor_find(d, FINDING_OK, "numa", "%d nodes; pages stay where they were first touched",
                    nodes);
    else {
        doctor_find(d, FINDING_LIMITED, "numa", "%d nodes, and the kernel moves pages meanwhile",
                    nodes);
        doctor_cure(d, "as root: sysctl kernel.numa_balancing=0");
    }
}

static void huge_pages(struct doctor *d)
{
    char line[128], path[1024], *from = NULL;
    int64_t reserved = 0;
    snprintf(path, sizeof path, "%s/proc/meminfo", d->root);
    sysfile_field_int(path, "HugePages_Total", &reserved);
    if (sysfile_line(line, sizeof line, "%s/sys/kernel/mm/transparent_hugepage/enabled", d->root))
        from = strchr(line, '[');
    if (!from) {
        doctor_find(d, FINDING_MISSING, "huge pages", "this kernel has no transparent ones");
        return;
    }
    from[strcspn(from, "]")] = '\0';
    bool never = !strcmp(from + 1, "never");
    doctor_find(d, never ? FINDING_LIMITED : FINDING_OK, "huge pages",
                "transparent ones: %s%s; %lld reserved", from + 1,
                never ? ", so that large tensors pay for TLB misses" : "", (long long)reserved);
    if (never)
        doctor_cure(d, "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

static void memory(struct doctor *d)
{
    char path[1024];
    int64_t available, swap = 0, swap_free = 0;
    snprintf(path, sizeof path, "%s/proc/meminfo", d->root);
    if (!sysfile_field_int(path, "MemAvailable", &available)) {
        doctor_find(d, FINDING_MISSING, "memory", "this kernel does not tell what is free");
        return;
    }
    sysfile_field_int(path, "SwapTotal", &swap);
    sysfile_field_int(path, "SwapFree", &swap_free);
    uint64_t limit = cgroup_memory_free(d->root);
    if (limit / 1024 < (uint64_t)available)
        available = (int64_t)(limit / 1024);
    bool short_of = available < MEMORY_LEAST_KIB;
    doctor_find(d, short_of ? FINDING_LIMITED : FINDING_OK, "memory", "%.1f GiB free for us%s",
                (double)available / (1 << 20), swap > swap_free ? ", swap is in use" : "");
    if (short_of)
        doctor_cure(d, "end what holds it; runs that do not fit are refused before they begin");
}

/* The hypervisor's own name for itself; only the machine we run on can be asked. */
static void hypervisor(const struct doctor *d, char out[16])
{
    snprintf(out, 16, "unknown");
#ifdef __x86_64__
    unsigned eax, ebx, ecx, edx;
    if (!d->live)
        return;
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    memcpy(out, &ebx, 4);
    memcpy(out + 4, &ecx, 4);
    memcpy(out + 8, &edx, 4);
    out[12] = '\0';
#else
    (void)d;
#endif
}

static bool cpu_flags(const char *root, char *out, size_t bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    return sysfile_field(path, "flags", out, bytes);
}

bool doctor_is_virtual(const char *root)
{
    char flags[4096];
    return cpu_flags(root, flags, sizeof flags) && strstr(flags, " hypervisor");
}

static void bare_metal(struct doctor *d)
{
    char flags[4096], name[16];
    if (!cpu_flags(d->root, flags, sizeof flags))
        doctor_find(d, FINDING_MISSING, "bare metal", "this architecture does not tell");
    else if (!d->virtualised)
        doctor_find(d, FINDING_OK, "bare metal", "no hypervisor");
    else {
        hypervisor(d, name);
        doctor_find(d, FINDING_LIMITED, "bare metal",
                    "a virtual machine (%s): others may share cores, caches and memory unseen",
                    name);
        doctor_cure(d, "for figures of the hardware, measure on the machine itself");
    }
}

void doctor_place(struct doctor *d)
{
    affinity(d);
    quota(d);
    pinning(d);
    smt(d);
    numa(d);
    huge_pages(d);
    memory(d);
    bare_metal(d);
}
