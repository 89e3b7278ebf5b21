// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_prune.c   What need not be run to be ruled out: tiles that the problem cuts to the same size,
 * tiles that no cache holds, memory that is not there, plain loops over too much work. */
#include <string.h>

#include "base/sysfile.h"
#include "machine/host.h"
#include "tune/tune.h"

#define DIMS_OF_A_TILE 4

/* Which extent of the problem a knob cuts into tiles: the product of these dims. Knobs that are not
 * here (a library's choice, the order of blocks) are no tiles. */
static const struct {
    enum op_id op;
    const char *knob, *dim[DIMS_OF_A_TILE];
} cuts[] = {
    {OP_linear, "rows", {"S"}},   {OP_linear, "cols", {"O"}},        {OP_linear, "columns", {"O"}},
    {OP_linear, "depth", {"K"}},  {OP_attention, "rows", {"Sq"}},    {OP_attention, "keys", {"Sk"}},
    {OP_conv3d, "pixels", {"W"}}, {OP_conv3d, "depth", {"C", "kw"}},
};

static int64_t dim_value(const struct problem *p, const char *name)
{
    int64_t value = 0;
    for (const struct op_dim *d = op_table[p->op]->dim; d->name; d++)
        if (!strcmp(d->name, name))
            problem_dim(p, d, 0, &value);
    return value;
}

/* 0 where the knob cuts nothing that is known here. */
static int64_t extent_of(const struct problem *p, const char *knob)
{
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        int64_t extent = 1;
        if (cuts[i].op != p->op || strcmp(cuts[i].knob, knob) != 0)
            continue;
        for (int k = 0; k < DIMS_OF_A_TILE && cuts[i].dim[k]; k++)
            extent *= dim_value(p, cuts[i].dim[k]);
        return extent;
    }
    return 0;
}

/* A tile past the problem's end is cut to it, so of all values that reach so far the least will do
 * (the default, where it is one of them). */
static bool is_past_the_end(const struct knob *k, int64_t value, int64_t extent)
{
    if (value < extent || value == k->values[0])
        return false;
    for (int i = 0; i < k->count; i++)
        if (k->values[i] >= extent && (i == 0 || k->values[i] < value))
            return true;
    return false;
}

/* Two operands' tiles and the sums, of 4 bytes each, are met again and again; in no second-level
 * cache that is smaller than half of them do they stay. Of two tiled knobs at least. */
static double tiles_bytes(const struct problem *p, const struct candidate *c)
{
    const struct variant *v = c->entry->variant;
    int64_t tile[KNOB_MAX];
    int n = 0;
    double bytes = 0;
    for (int k = 0; k < KNOB_MAX && v->knob[k].name; k++) {
        const int64_t extent = extent_of(p, v->knob[k].name);
        if (extent > 0)
            tile[n++] = c->knob[k] < extent ? c->knob[k] : extent;
    }
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++)
            bytes += 4.0 * (double)tile[i] * (double)tile[k];
    return bytes;
}

/* Bytes, 0 where unknown: "2048K" */
static double second_cache_bytes(void)
{
    char text[32], unit = 0;
    double size = 0;
    if (!sysfile_line(text, sizeof text, "/sys/devices/system/cpu/cpu0/cache/index2/size") ||
        sscanf(text, "%lf%c", &size, &unit) < 1)
        return 0;
    return size * (unit == 'K' ? 1024 : unit == 'M' ? 1024 * 1024 : 1);
}

/* A plain loop is known to do at least this, and seldom ten times as much. */
#define PLAIN_FLOPS_PER_THREAD 2e9
#define MOST_OF_BUDGET 0.05 /* what one run of a plain loop may take: it is run several times */

void tune_prune(const struct problem *p, const struct candidate *c, const struct need *need,
                double budget_s, int threads, char *why, size_t bytes)
{
    const struct variant *v = c->entry->variant;
    const double wanted =
        (double)(need->scratch_bytes + need->packed_bytes + need->state_bytes) + problem_bytes(p);
    const double free_bytes = (double)host_memory_available();
    const double cache = second_cache_bytes(), tiles = tiles_bytes(p, c);
    const double plain_s = problem_flops(p) / (PLAIN_FLOPS_PER_THREAD * threads);
    why[0] = '\0';
    for (int k = 0; k < KNOB_MAX && v->knob[k].name && !why[0]; k++) {
        const int64_t extent = extent_of(p, v->knob[k].name);
        if (extent > 0 && is_past_the_end(&v->knob[k], c->knob[k], extent))
            snprintf(why, bytes, "%s=%lld is past the problem's %lld, as a smaller one is",
                     v->knob[k].name, (long long)c->knob[k], (long long)extent);
    }
    if (!why[0] && needs_device(v->needs) == DEVICE_CPU && wanted > 0.5 * free_bytes)
        snprintf(why, bytes, "it wants %.3g GB and %.3g GB are free", wanted * 1e-9,
                 free_bytes * 1e-9);
    if (!why[0] && cache > 0 && c->distance && tiles > 2 * cache)
        snprintf(why, bytes, "its tiles take %.0f KiB, the second-level cache has %.0f",
                 tiles / 1024, cache / 1024);
    if (!why[0] && !strcmp(c->entry->target, "c") && plain_s > MOST_OF_BUDGET * budget_s)
        snprintf(why, bytes, "a plain loop would take about %.2g s a run", plain_s);
}
