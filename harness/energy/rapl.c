// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "energy/rapl.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sysfile.h"

#define ROOT "/sys/class/powercap"
#define MOST_W 20000.0 /* more between two looks is a counter set anew, not a machine at work */

static const struct {
    const char *name;  /* in records */
    const char *named; /* how the kernel's name of such a domain begins */
} kinds[RAPL_KINDS] = {
    [RAPL_PACKAGE] = {"package", "package"}, [RAPL_DRAM] = {"dram", "dram"},
    [RAPL_CORE] = {"core", "core"},          [RAPL_UNCORE] = {"uncore", "uncore"},
    [RAPL_PLATFORM] = {"platform", "psys"},
};

const char *rapl_kind_name(enum rapl_kind kind) { return kinds[kind].name; }

/* ---- the tree -------------------------------------------------------------------------------- */

static bool kind_of(const char *name, enum rapl_kind *out)
{
    for (int k = 0; k < RAPL_KINDS; k++)
        if (!strncmp(name, kinds[k].named, strlen(kinds[k].named))) {
            *out = (enum rapl_kind)k;
            return true;
        }
    return false;
}

static bool known(const struct rapl *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->domain[i].name, name))
            return true;
    return false;
}

/* The folder "intel-rapl:0:2" is a part of "intel-rapl:0" and named after both; those of one part
 * alone are control types and count nothing. */
static void add_domain(struct rapl *r, const char *root, const char *entry)
{
    char name[24], parent[256], outer[20] = "";
    int64_t range;
    struct rapl_domain d = {.range_j = 0};
    const char *zone = strchr(entry, ':'), *part = zone ? strchr(zone + 1, ':') : NULL;
    if (!zone || r->count == RAPL_DOMAINS_MAX ||
        (size_t)snprintf(d.folder, sizeof d.folder, "%s/%s", root, entry) >= sizeof d.folder ||
        !sysfile_line(name, sizeof name, "%s/name", d.folder) || !kind_of(name, &d.kind))
        return;
    snprintf(parent, sizeof parent, "%.*s", part ? (int)(part - entry) : 0, entry);
    if (part && sysfile_line(outer, sizeof outer, "%s/%s/name", root, parent))
        snprintf(d.name, sizeof d.name, "%s/%s", outer, name);
    else
        snprintf(d.name, sizeof d.name, "%s", name);
    if (sysfile_int(&range, "%s/max_energy_range_uj", d.folder) && range > 0)
        d.range_j = 1e-6 * (double)range;
    if (!known(r, d.name))
        r->domain[r->count++] = d;
}

void rapl_open(struct rapl *r, const char *root)
{
    struct dirent **entry = NULL;
    *r = (struct rapl){.count = 0};
    if (!root)
        root = getenv("PATCHMARK_POWERCAP");
    if (!root)
        root = ROOT;
    int n = scandir(root, &entry, NULL, alphasort);
    if (n < 0)
        snprintf(r->why, sizeof r->why, "this kernel shows no powercap tree%s",
                 errno == EACCES ? " that may be read" : ", as usual in virtual machines");
    /* What the registers show comes first; the rest adds what they lack. */
    for (int rest = 0; rest < 2; rest++)
        for (int i = 0; i < n; i++)
            if ((strncmp(entry[i]->d_name, "intel-rapl:", 11) != 0) == rest)
                add_domain(r, root, entry[i]->d_name);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    if (!r->count && !r->why[0])
        snprintf(r->why, sizeof r->why, "the powercap tree holds no RAPL domain");
}

/* ---- a window -------------------------------------------------------------------------------- */

/* The counter in microjoules; false with the reason in track->why. */
static bool read_counter(const struct rapl_domain *d, struct rapl_track *track, double *uj)
{
    char path[300], text[64] = "", *end = text;
    snprintf(path, sizeof path, "%s/energy_uj", d->folder);
    errno = 0;
    FILE *file = fopen(path, "re");
    bool read = file && fgets(text, sizeof text, file);
    int error = errno;
    if (file)
        fclose(file);
    *uj = strtod(text, &end);
    if (read && end != text && *uj >= 0)
        return true;
    if (error == EACCES || error == EPERM)
        snprintf(track->why, sizeof track->why,
                 "%s may be read by root alone; as root: chmod a+r %s/*/energy_uj", d->name, ROOT);
    else
        snprintf(track->why, sizeof track->why, "%s %s", d->name,
                 track->begun ? "stopped answering during the window" : "cannot be read");
    return false;
}

static void take_peak(struct rapl_track *t, double joules, double seconds)
{
    t->second_j += joules;
    t->second_s += seconds;
    if (t->second_s < 1)
        return;
    t->peak_w = fmax(t->peak_w, t->second_j / t->second_s);
    t->second_j = t->second_s = 0;
}

void rapl_look(const struct rapl_domain *d, struct rapl_track *t, double now_s)
{
    double uj, passed_s = now_s - t->last_s;
    if (t->why[0] || !read_counter(d, t, &uj))
        return;
    double joules = 1e-6 * (uj - t->last_uj);
    if (joules < 0)
        joules += d->range_j;
    if (t->begun && (joules < 0 || joules > MOST_W * passed_s + 1)) {
        snprintf(t->why, sizeof t->why, "%s jumped during the window", d->name);
        return;
    }
    if (t->begun) {
        t->joules += joules;
        t->refreshes += uj != t->last_uj;
        take_peak(t, joules, passed_s);
    }
    t->highest_uj = fmax(t->highest_uj, uj);
    t->last_uj = uj;
    t->last_s = now_s;
    t->begun = true;
}

void rapl_settle(struct rapl_track *t)
{
    if (!t->why[0] && t->refreshes == 0)
        snprintf(t->why, sizeof t->why, "the counter %s",
                 t->highest_uj == 0 ? "reads 0 all the time, as where a hypervisor hides it"
                                    : "did not move");
}
