// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/cache_levels.h"

#include <stdlib.h>
#include <string.h>

#include "base/sysfile.h"

#define CPU_DIR "%s/sys/devices/system/cpu"
#define CPUS_MAX 4096
#define LAST_LEVEL_SHARE 8 /* times the level below, to each thread */
#define DRAM_LEAST ((size_t)128 << 20)

/* ---- what is reported ------------------------------------------------------------------------ */

int cpu_list_count(const char *list)
{
    int count = 0;
    for (const char *at = list; *at;) {
        char *end;
        long first = strtol(at, &end, 10), last = first;
        if (end == at)
            return 0;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        count += last >= first ? (int)(last - first) + 1 : 0;
        at = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            return 0;
    }
    return count;
}

/* Each cache counts once, by the first of its CPUs. */
static int count_caches(const char *root, int index)
{
    char list[256];
    int count = 0;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!sysfile_line(list, sizeof list, CPU_DIR "/cpu%d/cache/index%d/shared_cpu_list", root,
                          cpu, index))
            break;
        count += strtol(list, NULL, 10) == cpu;
    }
    return count > 0 ? count : 1;
}

static void insert(struct cache_level *level, int *count, struct cache_level one)
{
    int at = *count;
    for (; at > 0 && level[at - 1].level > one.level; at--)
        level[at] = level[at - 1];
    level[at] = one;
    ++*count;
}

int cache_levels(const char *root, struct cache_level level[CACHE_LEVELS_MAX])
{
    int64_t number, kib;
    char type[32], list[256];
    int count = 0;
    for (int i = 0; count < CACHE_LEVELS_MAX &&
                    sysfile_int(&number, CPU_DIR "/cpu0/cache/index%d/level", root, i);
         i++) {
        if (sysfile_line(type, sizeof type, CPU_DIR "/cpu0/cache/index%d/type", root, i) &&
            !strcmp(type, "Instruction"))
            continue;
        if (!sysfile_int(&kib, CPU_DIR "/cpu0/cache/index%d/size", root, i) || kib <= 0)
            continue; /* sizes are written as "480K" */
        struct cache_level one = {(int)number, (size_t)kib * 1024, 1, count_caches(root, i)};
        if (sysfile_line(list, sizeof list, CPU_DIR "/cpu0/cache/index%d/shared_cpu_list", root, i))
            one.shared_by = cpu_list_count(list) > 0 ? cpu_list_count(list) : 1;
        insert(level, &count, one);
    }
    return count;
}

/* ---- what is measured ------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static struct memory_place in_cache(const struct cache_level *level, int at, bool last, int threads)
{
    const struct cache_level *c = &level[at];
    int sharers = threads < c->shared_by ? threads : c->shared_by;
    struct memory_place p = {.bytes = c->bytes / 2 / (size_t)sharers, .reported = c->bytes};
    snprintf(p.name, sizeof p.name, "L%d", c->level % 100);
    if (at > 0 && p.bytes < 2 * level[at - 1].bytes)
        p.bytes = 2 * level[at - 1].bytes; /* else it would be the level below */
    if (at > 0 && last && p.bytes > LAST_LEVEL_SHARE * level[at - 1].bytes) {
        p.bytes = LAST_LEVEL_SHARE * level[at - 1].bytes;
        p.capped = true;
    }
    return p;
}

int memory_places(const struct cache_level *level, int levels, int threads, size_t most,
                  struct memory_place place[CACHE_LEVELS_MAX + 1])
{
    const struct cache_level *last = levels ? &level[levels - 1] : NULL;
    for (int i = 0; i < levels; i++)
        place[i] = in_cache(level, i, i + 1 == levels && i >= 2, threads);
    struct memory_place dram = {.name = "DRAM",
                                .reported = last ? last->bytes * (size_t)last->count : 0};
    size_t wanted = dram.reported < DRAM_LEAST / 2 ? DRAM_LEAST : 2 * dram.reported;
    dram.capped = wanted > most;
    dram.bytes = least(wanted, most) / (size_t)threads;
    place[levels] = dram;
    return levels + 1;
}
