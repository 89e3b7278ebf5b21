// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "run/replica_place.h"

#include <stdlib.h>
#include <string.h>

#include "base/sysfile.h"
#include "machine/gpu.h"

#define CPUS_MAX TOPOLOGY_MAX
#define NODES_MAX 256
#define LIST_BYTES 1024

/* ---- lists of numbers, "0-3,8" --------------------------------------------------------------- */

/* Marks the numbers of a list; false where it is none. */
static bool list_read(const char *text, bool *in, int most)
{
    char *end;
    for (const char *at = text; *at; at = *end == ',' ? end + 1 : end) {
        long first = strtol(at, &end, 10), last = first;
        if (end == at)
            return false;
        if (*end == '-') {
            at = end + 1;
            last = strtol(at, &end, 10);
        }
        if (end == at || first < 0 || last < first || last >= most || (*end && *end != ','))
            return false;
        for (long i = first; i <= last; i++)
            in[i] = true;
    }
    return *text;
}

/* ---- processors ------------------------------------------------------------------------------ */

static bool node_has(const char *root, int node, int cpu)
{
    bool in[CPUS_MAX] = {false};
    char text[LIST_BYTES];
    return sysfile_line(text, sizeof text, "%s/sys/devices/system/node/node%d/cpulist", root,
                        node) &&
           list_read(text, in, CPUS_MAX) && (cpu < 0 || in[cpu]);
}

int replica_nodes(const char *root)
{
    int nodes = 0;
    for (int node = 0; node < NODES_MAX; node++)
        nodes += node_has(root, node, -1);
    return nodes ? nodes : 1;
}

static int node_of(const char *root, int cpu)
{
    for (int node = 0; node < NODES_MAX; node++)
        if (node_has(root, node, cpu))
            return node;
    return 0;
}

static void pin(struct pinning *p, const int *cpu, int count)
{
    size_t used = 0;
    p->count = count;
    for (int i = 0; i < count && used < sizeof p->list; i++) {
        p->cpu[i] = cpu[i];
        used +=
            (size_t)snprintf(p->list + used, sizeof p->list - used, "%s%d", i ? "," : "", cpu[i]);
    }
}

/* The order of `t` has a processor of every core before the second of any. */
enum status replica_places_cpu(const struct topology *t, const char *root, int replicas,
                               int threads, struct replica_place *place, struct fault *fault)
{
    const int cores = t->cores > 0 ? t->cores : t->count;
    const int64_t wanted = (int64_t)replicas * threads;
    const int each = wanted <= cores ? cores / replicas : threads;
    if (wanted > t->count)
        return fault_set(fault, ST_UNAVAILABLE,
                         "%d replicas of %d thread%s want %lld processors of their own, and this"
                         " process may use %d; ask for fewer --replicas or --threads",
                         replicas, threads, threads == 1 ? "" : "s", (long long)wanted, t->count);
    for (int i = 0; i < replicas; i++) {
        const int *cpu = t->cpu + i * each;
        place[i] =
            (struct replica_place){.device = "cpu", .visible = -1, .node = node_of(root, cpu[0])};
        pin(&place[i].pinning, cpu, threads);
    }
    return ST_OK;
}

/* ---- CUDA devices ---------------------------------------------------------------------------- */

const char *replica_device_first(const char *word)
{
    static char first[REPLICAS_MAX][16];
    if (strncmp(word, "cuda:", 5) || !(strpbrk(word, "-+") || !strcmp(word, "cuda:all")))
        return NULL;
    const int number = atoi(word + 5); /* "all": 0 */
    const int at = number < 0 ? 0 : number % REPLICAS_MAX;
    snprintf(first[at], sizeof first[at], "cuda:%d", number);
    return first[at];
}

/* Entries of CUDA_VISIBLE_DEVICES where they are MIG slices; 0: they are not. A process sees one of
 * them at most. */
static int visible_slices(void)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    int count = text && !strncmp(text, "MIG-", 4);
    for (; count && (text = strchr(text, ',')) != NULL; text++)
        count++;
    return count;
}

static enum status slices(int count, struct replica_place *place)
{
    for (int i = 0; i < count && place; i++)
        place[i] = (struct replica_place){.device = "cuda:0", .visible = i, .node = i};
    return ST_OK;
}

enum status replica_places_cuda(const char *word, struct replica_place *place, int *count,
                                struct fault *fault)
{
    bool in[REPLICAS_MAX] = {false};
    char list[LIST_BYTES];
    const bool all = !strcmp(word, "cuda:all");
    int devices;
    *count = 0;
    if (all && visible_slices() > 1 && visible_slices() <= REPLICAS_MAX)
        return slices(*count = visible_slices(), place);
    TRY(gpu_count(&devices, fault));
    snprintf(list, sizeof list, "%s", word + 5);
    for (char *plus = list; (plus = strchr(plus, '+')) != NULL;)
        *plus = ',';
    if (all)
        for (int i = 0; i < devices && i < REPLICAS_MAX; i++)
            in[i] = true;
    else if (!list_read(list, in, REPLICAS_MAX))
        return fault_set(fault, ST_BAD_INPUT,
                         "--device '%s' should be cuda:N, cuda:0-3, cuda:0+2 or cuda:all", word);
    for (int i = 0; i < REPLICAS_MAX; i++) {
        if (!in[i])
            continue;
        if (i >= devices)
            return fault_set(fault, ST_UNAVAILABLE,
                             "--device %s: this machine's CUDA devices end at cuda:%d", word,
                             devices - 1);
        ++*count;
        if (!place)
            continue;
        struct replica_place *p = &place[*count - 1];
        *p = (struct replica_place){.visible = -1, .node = i};
        snprintf(p->device, sizeof p->device, "cuda:%d", i);
    }
    return ST_OK;
}

/* ---- in the worker --------------------------------------------------------------------------- */

enum status replica_see(int visible, struct fault *fault)
{
    const char *at = getenv("CUDA_VISIBLE_DEVICES");
    char one[128];
    if (visible < 0)
        return ST_OK;
    for (int i = 0; at && i < visible; i++)
        at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
    if (!at)
        return fault_set(fault, ST_UNAVAILABLE, "CUDA_VISIBLE_DEVICES has no entry %d", visible);
    snprintf(one, sizeof one, "%.*s", (int)strcspn(at, ","), at);
    setenv("CUDA_VISIBLE_DEVICES", one, true);
    return ST_OK;
}
