// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "counters/counted.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "counters/counter_presets.h"

/* ---- lines ----------------------------------------------------------------------------------- */

void counted_say(const struct counter *c, double runs, FILE *out)
{
    if (!c->available)
        fprintf(out, "%s null %s", c->name, c->why);
    else if (!c->counted)
        fprintf(out, "%s null its turn among the passes did not come; raise --repetitions",
                c->name);
    else
        fprintf(out, "%s %.9g %s%s", c->name, (double)c->value / runs,
                c->threads ? "process" : "thread", c->multiplexed ? " multiplexed" : "");
}

bool counted_take(const char *line, struct counted *out)
{
    char value[32];
    int used = 0;
    *out = (struct counted){.available = true};
    if (sscanf(line, "%63s %31s %n", out->name, value, &used) != 2 || !used)
        return false;
    out->available = strcmp(value, "null") != 0;
    out->value = strtod(value, NULL);
    if (!out->available)
        snprintf(out->why, sizeof out->why, "%.159s", line + used);
    out->process = !strncmp(line + used, "process", 7);
    out->multiplexed = out->available && strstr(line + used, " multiplexed");
    return true;
}

/* ---- figures --------------------------------------------------------------------------------- */

static const struct counted *find(const char *event, const struct counted *c, int count)
{
    for (int i = 0; i < count; i++)
        if (c[i].available && !strcmp(c[i].name, event))
            return &c[i];
    return NULL;
}

/* NaN where an event of the way is missing. *estimate, *process: of all of its events. */
static double way_sum(const char *way, const struct counted *c, int count, bool *estimate,
                      bool *process)
{
    struct counter_term term[COUNTER_TERMS_MAX];
    double sum = 0;
    int terms = counter_way_terms(way, term);
    for (int t = 0; t < terms; t++) {
        const struct counted *part = find(term[t].event, c, count);
        if (!part)
            return NAN;
        sum += term[t].weight * part->value;
        *estimate = *estimate || part->multiplexed;
        *process = *process && part->process;
    }
    return sum;
}

static double figure_of(const char *name, const struct counted *c, int count, bool *estimate,
                        bool *process)
{
    const struct counter_figure *f = counter_figure_find(name, strlen(name));
    for (int w = 0; f && w < COUNTER_WAYS && f->way[w]; w++) {
        bool guessed = *estimate, whole = *process;
        double sum = way_sum(f->way[w], c, count, &guessed, &whole);
        if (isnan(sum))
            continue;
        *estimate = guessed;
        *process = whole;
        return sum;
    }
    return NAN;
}

/* Floating-point operations of both widths; a processor that tells them together counts "any". */
static double flops_of(const struct counted *c, int count, bool *estimate, bool *process)
{
    double f32 = figure_of("flops_f32", c, count, estimate, process);
    double f64 = figure_of("flops_f64", c, count, estimate, process);
    if (isnan(f32) && isnan(f64))
        return figure_of("flops_any", c, count, estimate, process);
    return (isnan(f32) ? 0 : f32) + (isnan(f64) ? 0 : f64);
}

/* One figure over another. */
static const struct {
    const char *name, *over, *under, *text;
    double scale;
} ratios[] = {
    {"instructions_per_cycle", "instructions", "cycles", "instructions a cycle", 1},
    {"l1_misses_per_kilo_instruction", "l1_misses", "instructions",
     "L1 misses per 1000 instructions", 1000},
    {"l2_misses_per_kilo_instruction", "l2_misses", "instructions",
     "L2 misses per 1000 instructions", 1000},
    {"llc_misses_per_kilo_instruction", "llc_misses", "instructions",
     "last-level misses per 1000 instructions", 1000},
    {"dtlb_misses_per_kilo_instruction", "dtlb_misses", "instructions",
     "data TLB misses per 1000 instructions", 1000},
    {"itlb_misses_per_kilo_instruction", "itlb_misses", "instructions",
     "instruction TLB misses per 1000 instructions", 1000},
    {"branch_misses_per_kilo_instruction", "branch_misses", "instructions",
     "branch misses per 1000 instructions", 1000},
    {"llc_miss_fraction", "llc_misses", "llc_references", "of last-level references missed", 1},
    {"branch_miss_fraction", "branch_misses", "branches", "of branches missed", 1},
    {"stall_fraction", "stalls", "cycles", "of cycles stalled", 1},
    {"memory_stall_fraction", "memory_stalls", "cycles", "of cycles stalled on memory", 1},
    {"frontend_stall_fraction", "frontend_stalls", "cycles", "of cycles without instructions", 1},
    {"busy_clock_hz", "cycles", "task_clock_ns", "Hz while it ran", 1e9},
};
enum { RATIOS = sizeof ratios / sizeof *ratios };

struct derived {
    const char *name, *text;
    double value;
    bool estimate;
};

/* Those that can be had; counts of the calling thread alone are set against each other, not against
 * the time or the work of all threads. */
static int derive(const struct counted *c, int count, const struct counted_work *work,
                  struct derived out[RATIOS + 3])
{
    int n = 0;
    for (int i = 0; i < RATIOS; i++) {
        bool estimate = false, both = true, over_all = true, under_all = true;
        double over = figure_of(ratios[i].over, c, count, &estimate, &over_all);
        double under = figure_of(ratios[i].under, c, count, &estimate, &under_all);
        both = over_all == under_all;
        if (!isnan(over) && under > 0 && both)
            out[n++] = (struct derived){ratios[i].name, ratios[i].text,
                                        ratios[i].scale * over / under, estimate};
    }
    bool estimate = false, process = true;
    double flops = flops_of(c, count, &estimate, &process);
    if (isnan(flops) || !process)
        return n;
    out[n++] = (struct derived){"flops_counted", "flops counted", flops, estimate};
    if (work->seconds > 0)
        out[n++] = (struct derived){"flops_per_s_counted", "flops a second counted",
                                    flops / work->seconds, estimate};
    if (work->flops > 0)
        out[n++] = (struct derived){"flops_counted_fraction", "of the formula's flops counted",
                                    flops / work->flops, estimate};
    return n;
}

/* ---- record ---------------------------------------------------------------------------------- */

void counted_json(const struct counted *c, int count, const char *per, struct json *j)
{
    json_open_object(j, "counters");
    for (int i = 0; i < count; i++) {
        if (!c[i].available) {
            json_unavailable(j, c[i].name, c[i].why);
            continue;
        }
        json_open_object(j, c[i].name);
        json_number(j, "value", c[i].value);
        json_none(j, "why");
        json_text(j, "per", per);
        json_text(j, "scope", c[i].process ? "process" : "thread");
        json_bool(j, "multiplexed", c[i].multiplexed);
        json_end(j);
    }
    json_end(j);
}

void counted_figures_json(const struct counted *c, int count, const struct counted_work *work,
                          struct json *j)
{
    struct derived d[RATIOS + 3];
    int n = derive(c, count, work, d);
    json_open_object(j, "counter_figures");
    for (int i = 0; i < n; i++)
        json_number(j, d[i].name, d[i].value);
    json_end(j);
}

/* ---- for people ------------------------------------------------------------------------------ */

void counted_print(const struct counted *c, int count, const char *per,
                   const struct counted_work *work, const char *lead, FILE *out)
{
    struct derived d[RATIOS + 3];
    int n = derive(c, count, work, d), shown = 0;
    bool estimates = false;
    for (int process = 1; process >= 0; process--) {
        shown = 0;
        for (int i = 0; i < count; i++)
            if (c[i].available && c[i].process == process) {
                if (shown++ == 0)
                    fprintf(out, "%scounted for %s, a %s:", lead,
                            process ? "all threads" : "the calling thread alone", per);
                fprintf(out, "%s %s %.6g%s", shown > 1 ? "," : "", c[i].name, c[i].value,
                        c[i].multiplexed ? "~" : "");
                estimates = estimates || c[i].multiplexed;
            }
        if (shown)
            fputc('\n', out);
    }
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%.4g%s %s%s", i ? ", " : lead, d[i].value, d[i].estimate ? "~" : "",
                d[i].text, i + 1 < n ? "" : "\n");
    if (estimates)
        fprintf(out, "%s~ multiplexed: counted part of the time and multiplied out\n", lead);
}

void counted_print_missing(const struct counted *c, int count, const char *lead, FILE *out)
{
    for (int i = 0; i < count; i++) {
        bool told = c[i].available;
        for (int k = 0; k < i && !told; k++)
            told = !c[k].available && !strcmp(c[k].why, c[i].why);
        if (told)
            continue;
        fprintf(out, "%sunavailable:", lead);
        for (int k = i; k < count; k++)
            if (!c[k].available && !strcmp(c[k].why, c[i].why))
                fprintf(out, "%s %s", k > i ? "," : "", c[k].name);
        fprintf(out, ": %s\n", c[i].why);
    }
}
