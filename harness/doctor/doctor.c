// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor.c   The list of findings, and what follows from all of them together. */
#include "doctor/doctor.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "compare/verdict.h"

static const char *const state_names[FINDING_STATES] = {"ok", "limited", "missing"};

const char *finding_state_name(enum finding_state state) { return state_names[state]; }

void doctor_find(struct doctor *d, enum finding_state state, const char *name, const char *what,
                 ...)
{
    if (d->count == FINDINGS_MAX)
        return;
    struct finding *f = &d->finding[d->count++];
    va_list args;
    *f = (struct finding){.state = state};
    snprintf(f->name, sizeof f->name, "%s", name);
    va_start(args, what);
    vsnprintf(f->what, sizeof f->what, what, args);
    va_end(args);
}

void doctor_cure(struct doctor *d, const char *cure, ...)
{
    if (!d->count)
        return;
    struct finding *f = &d->finding[d->count - 1];
    va_list args;
    va_start(args, cure);
    vsnprintf(f->cure, sizeof f->cure, cure, args);
    va_end(args);
}

void doctor_look(struct doctor *d, const char *root, const char *results)
{
    *d = (struct doctor){.root = root,
                         .results = results,
                         .live = !root[0],
                         .noise = NAN,
                         .dips = NAN,
                         .steal = NAN,
                         .floor = NAN};
    d->virtualised = doctor_is_virtual(root);
    doctor_counters(d);
    doctor_clocks(d);
    doctor_place(d);
    doctor_others(d);
    doctor_software(d);
}

/* ---- verdict --------------------------------------------------------------------------------- */

/* What helps most comes first: what disturbs every figure before what is merely not to be had. */
static const char *const order[] = {
    "device",   "timer",       "other processes",
    "load",     "steal",       "memory",
    "governor", "throttle",    "cpu quota",
    "noise",    "noise, all",  "calibration",
    "disk",     "OpenBLAS",    "smt",
    "numa",     "clocksource", "hardware events",
    "energy",
};

const struct finding *doctor_first(const struct doctor *d)
{
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (int i = 0; i < d->count; i++)
            if (!strcmp(d->finding[i].name, order[k]) && d->finding[i].state != FINDING_OK &&
                d->finding[i].cure[0])
                return &d->finding[i];
    return NULL;
}

static void add(char *out, size_t bytes, const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, used < bytes ? bytes - used : 0, "%s", text);
}

/* The smallest difference worth a word, in percent: the calibrated floor, but no less than compare tells
 * of; without a calibration what the probes say, and no less than compare then takes. */
static double least_difference(const struct doctor *d)
{
    if (isfinite(d->floor))
        return 100 * fmax(d->floor, VERDICT_LEAST_EFFECT);
    double noise = isfinite(d->noise) ? 100 * d->noise : 0;
    return fmax(ceil(noise), 100 * VERDICT_FLOOR);
}

/* "load, steal": what else takes this machine's time now. */
static void others(const struct doctor *d, char *out, size_t bytes)
{
    static const char *const names[] = {"other processes", "load", "steal"};
    out[0] = '\0';
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int i = 0; i < d->count; i++)
            if (!strcmp(d->finding[i].name, names[k]) && d->finding[i].state == FINDING_LIMITED) {
                add(out, bytes, out[0] ? ", " : "");
                add(out, bytes, names[k]);
            }
}

/* "cycles, joules" : what no figure of this machine can be of. */
static void lacking(const struct doctor *d, char *out, size_t bytes)
{
    const struct {
        bool has;
        const char *name;
    } kinds[] = {{d->has_cycles, "cycles or cache misses"},
                 {d->has_joules, "joules"},
                 {d->has_clock, "clock rates"}};
    out[0] = '\0';
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!kinds[i].has) {
            add(out, bytes, out[0] ? ", " : "");
            add(out, bytes, kinds[i].name);
        }
}

void doctor_verdict(const struct doctor *d, char *out, size_t bytes)
{
    char none[80], busy[80], text[200];
    if (d->nothing) {
        snprintf(out, bytes, "Nothing can be measured on the device that was asked for.");
        return;
    }
    lacking(d, none, sizeof none);
    others(d, busy, sizeof busy);
    if (!d->live) {
        snprintf(out, bytes, "By its files alone: times can be taken there");
    } else if (d->dips > 0.25 || d->noise > 0.25) {
        snprintf(out, bytes,
                 "Times of this machine, as busy as it is now, tell factors and not percents:"
                 " believe interleaved comparisons over %.0f %% alone",
                 least_difference(d));
    } else {
        snprintf(out, bytes,
                 "Times of this machine may be trusted for differences of %.2g %% and more, taken"
                 " interleaved%s%s%s",
                 least_difference(d),
                 isfinite(d->floor) ? " (its calibrated floor)" : " (not calibrated yet)",
                 busy[0] ? ", once it is idle; it is not now, by " : "", busy);
    }
    snprintf(text, sizeof text, "%s%s%s.", none[0] ? "; it has no figures of " : "", none,
             d->virtualised ? "; a virtual machine's times hold for it alone, not for its model"
                            : "");
    add(out, bytes, text);
}
