// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy_sources.c   Which sensors of energy this machine has, each tried and not only listed. */
#include <string.h>
#include <time.h>

#include "energy/energy.h"
#include "energy/rapl.h"
#include "machine/gpu.h"
#include "machine/nvml.h"
#include "timing/measure.h"

#define TRIAL_NS 100000000 /* processors count every millisecond, boards about every 100 */

struct list {
    struct energy_source *out;
    int count, room;
};

static struct energy_source *add(struct list *l, const char *sensor, const char *scope)
{
    static struct energy_source no_room;
    struct energy_source *s = l->count < l->room ? &l->out[l->count++] : &no_room;
    *s = (struct energy_source){.usable = true};
    snprintf(s->sensor, sizeof s->sensor, "%s", sensor);
    snprintf(s->scope, sizeof s->scope, "%s", scope);
    return s;
}

static void refuse(struct energy_source *s, const char *why)
{
    s->usable = false;
    if (!s->why[0])
        snprintf(s->why, sizeof s->why, "%.255s", why);
}

static void wait_a_trial(void) { nanosleep(&(struct timespec){.tv_nsec = TRIAL_NS}, NULL); }

/* ---- processors ------------------------------------------------------------------------------ */

/* All domains of one kind are one source; one that fails makes the sum worthless. */
static void add_kind(struct list *l, const struct rapl *r, const struct rapl_track *track,
                     enum rapl_kind kind)
{
    struct energy_source *s = NULL;
    for (int i = 0; i < r->count; i++) {
        if (r->domain[i].kind != kind)
            continue;
        if (!s)
            s = add(l, "powercap", rapl_kind_name(kind));
        size_t used = strlen(s->detail);
        snprintf(s->detail + used, sizeof s->detail - used, "%s%s", used ? ", " : "",
                 r->domain[i].name);
        if (track[i].why[0])
            refuse(s, track[i].why);
    }
}

static void add_processors(struct list *l)
{
    struct rapl r;
    struct rapl_track track[RAPL_DOMAINS_MAX] = {{.begun = false}};
    rapl_open(&r, NULL);
    if (!r.count) {
        refuse(add(l, "powercap", rapl_kind_name(RAPL_PACKAGE)), r.why);
        return;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < r.count; i++)
            rapl_look(&r.domain[i], &track[i], clock_seconds());
        if (pass == 0)
            wait_a_trial();
    }
    for (int i = 0; i < r.count; i++)
        rapl_settle(&track[i]);
    for (int kind = 0; kind < RAPL_KINDS; kind++)
        add_kind(l, &r, track, (enum rapl_kind)kind);
}

/* ---- boards ---------------------------------------------------------------------------------- */

static void try_board(struct energy_source *s, const struct gpu_info *info)
{
    struct fault why = {{0}};
    struct nvml *n = NULL;
    struct nvml_sample look;
    snprintf(s->detail, sizeof s->detail, "%s", info->name);
    if (info->emulated) {
        refuse(s, "the CPU stands in for this device");
        return;
    }
    if (nvml_open(info->uuid, &n, &why) != ST_OK) {
        refuse(s, why.text);
        return;
    }
    nvml_look(n, &look);
    if (look.figure[NVML_POWER] != look.figure[NVML_POWER])
        refuse(s, "the driver does not tell this board's power");
    nvml_close(n);
}

static void add_boards(struct list *l)
{
    struct gpu_info info;
    struct fault why = {{0}};
    int devices = 0;
    if (gpu_count(&devices, &why) != ST_OK || devices == 0) {
        refuse(add(l, "nvml", "board"), why.text[0] ? why.text : "no CUDA device is here");
        return;
    }
    for (int i = 0; i < devices; i++) {
        struct energy_source *s = add(l, "nvml", "board");
        if (gpu_describe(i, &info, &why) == ST_OK)
            try_board(s, &info);
        else
            refuse(s, why.text);
    }
}

int energy_sources(struct energy_source *out, int room)
{
    struct list l = {out, 0, room};
    add_processors(&l);
    add_boards(&l);
    return l.count;
}
