// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_print.c   What `kernels` found: as a table for people, as a case record. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "contest/kernels.h"
#include "machine/device.h"

bool kernels_failed(const struct arm *a)
{
    static const char *const states[] = {"wrong", "nonfinite", "crashed", "timeout", "mistrusted"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!strcmp(a->state, states[i]))
            return true;
    return false;
}

void kernels_repro(const struct contest *c, const struct arm *a, char *out, size_t bytes)
{
    bool plugin = a->entry->plugin_hash != 0;
    bool cuda = device_kind() == DEVICE_CUDA;
    struct arm_spec spec = a->spec;
    char name[1600], llc[40] = "";
    spec.threads = 0; /* said behind --threads */
    if (c->options->cache_bytes)
        snprintf(llc, sizeof llc, " --llc-bytes %" PRId64, c->options->cache_bytes);
    arm_spec_print(&spec, name, sizeof name);
    snprintf(out, bytes,
             "build/patchmark kernels '%s' --shape '%s' --threads %" PRId64 " --seed %" PRIu64
             " --cache %s%s%s %s %s%s%s",
             name, c->shape, a->spec.threads, c->options->seed, cache_state_name(c->cache.state),
             llc, c->options->pin && !strcmp(c->options->pin, "none") ? " --pin none" : "",
             cuda ? "--device" : "--backend",
             cuda ? device_text() : backend_name(c->options->backend), plugin ? " --plugin " : "",
             plugin ? a->entry->origin : "");
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Four significant digits in a unit that keeps them near the point; half NaN: no interval. */
void kernels_time_text(double seconds, double half, char *out, size_t bytes)
{
    static const struct {
        const char *unit;
        double scale;
    } units[] = {{"s", 1}, {"ms", 1e3}, {"us", 1e6}, {"ns", 1e9}};
    int u = 0;
    while (u < 3 && seconds * units[u].scale < 1)
        u++;
    double value = seconds * units[u].scale;
    int digits = value < 10 ? 3 : value < 100 ? 2 : 1;
    int used = snprintf(out, bytes, "%.*f %s", digits, value, units[u].unit);
    if (!isnan(half))
        snprintf(out + used, bytes - (size_t)used, " +-%.*f", digits, half * units[u].scale);
}

/* A rate in units of 1e9 with three digits, "-" where the op has none of it. */
static const char *print_rate(double amount, double seconds, char *out, size_t bytes)
{
    double rate = amount / seconds / 1e9;
    if (!(amount > 0))
        snprintf(out, bytes, "-");
    else
        snprintf(out, bytes, "%.*f", rate < 10 ? 2 : rate < 100 ? 1 : 0, rate);
    return out;
}

/* Three digits, the zeros too: 1.00 is not 1. */
static const char *ratio_text(double ratio, char out[16])
{
    snprintf(out, 16, ratio < 99.95 ? "%#.3g" : "%.4g", ratio);
    return out;
}

static void print_ratio(const struct contest *c, const struct arm *a, char *out, size_t bytes)
{
    char ratio[16], lo[16], hi[16];
    if (a == c->baseline)
        snprintf(out, bytes, "1 (baseline)");
    else if (isnan(a->ratio[0]))
        snprintf(out, bytes, "-");
    else
        snprintf(out, bytes, "%s (%s to %s)", ratio_text(a->ratio[0], ratio),
                 ratio_text(a->ratio[1], lo), ratio_text(a->ratio[2], hi));
}

double kernels_peak_fraction(const struct contest *c, const struct arm *a)
{
    double peak = roof_flops(c->roof, a->numerics);
    return a->flops > 0 && peak > 0 ? a->flops / a->summary.median / peak : NAN;
}

/* Of what the device's memory bus carries; not known of a CPU. */
double kernels_bus_fraction(const struct contest *c, const struct arm *a)
{
    return c->roof->bus_bytes > 0 ? a->bytes / a->summary.median / c->roof->bus_bytes : NAN;
}

/* Of the units of its class, or of the bus where that is what holds it back. */
static const char *print_peak(const struct contest *c, const struct arm *a, char *out, size_t bytes)
{
    double units = kernels_peak_fraction(c, a), bus = kernels_bus_fraction(c, a);
    bool by_bus = !isnan(bus) && (isnan(units) || bus > units);
    if (by_bus)
        snprintf(out, bytes, "%.1f %% bus", 100 * bus);
    else
        snprintf(out, bytes, isnan(units) ? "-" : "%.1f %%", 100 * units);
    return out;
}

static void print_row(const struct contest *c, const struct arm *a, int width, FILE *out)
{
    char time[48], effective[24], actual[24], moved[24], ratio[64], peak[24];
    fprintf(out, "  %-*s  %-11s ", width, a->title, a->state);
    if (!arm_timed(a)) {
        fprintf(out, "%s\n", a->reason);
        return;
    }
    double seconds = a->summary.median;
    bool interval = a->n >= MEASURE_LEAST_SAMPLES;
    kernels_time_text(seconds, interval ? (a->summary.hi - a->summary.lo) / 2 : NAN, time,
                      sizeof time);
    print_ratio(c, a, ratio, sizeof ratio);
    fprintf(out, "%-20s %9s %9s %8s %8s  %-24s %s%s\n", time,
            print_rate(problem_flops(&c->problem), seconds, effective, sizeof effective),
            print_rate(a->flops, seconds, actual, sizeof actual),
            print_rate(a->bytes, seconds, moved, sizeof moved), print_peak(c, a, peak, sizeof peak),
            ratio, numerics_name(a->numerics), numerics_exact(a->numerics) ? "" : " (approximate)");
}

/* What one run launches, and which of its algorithms a library took. */
static void print_launches(const struct arm *a, FILE *out)
{
    int shown = a->launches < KERNELS_LAUNCHES_MAX ? a->launches : KERNELS_LAUNCHES_MAX;
    if (a->algorithm[0])
        fprintf(out, "  %s: %s\n", a->title, a->algorithm);
    if (a->launches < 0)
        fprintf(out, "  %s: launches unknown: %s\n", a->title, a->launches_why);
    for (int i = 0; i < shown; i++) {
        const struct gpu_launch *l = &a->launch[i];
        fprintf(out, "  %s: %.60s <%u %u %u> x <%u %u %u>, %zu shared bytes", a->title,
                l->kernel[0] ? l->kernel : "a kernel", l->grid[0], l->grid[1], l->grid[2],
                l->block[0], l->block[1], l->block[2], l->shared_bytes);
        if (l->registers >= 0)
            fprintf(out, ", %d registers, %d local bytes", l->registers, l->local_bytes);
        if (l->occupancy >= 0)
            fprintf(out, ", %d blocks an SM, occupancy %.0f %%", l->blocks_per_processor,
                    100 * l->occupancy);
        fputc('\n', out);
    }
    if (a->launches > shown)
        fprintf(out, "  %s: %d launches in all\n", a->title, a->launches);
}

static void print_counters(const struct arm *a, FILE *out)
{
    const struct counted_work done = {a->summary.median, a->flops};
    char lead[240];
    snprintf(lead, sizeof lead, "  %s: ", a->title);
    counted_print(a->counter, a->counters, "run", &done, lead, out);
}

/* Its interval has the width that its row shows, and time was up: said once for all of them. */
static bool ran_out(const struct arm *a)
{
    return arm_timed(a) && !strcmp(a->state, "unstable") && a->n >= MEASURE_LEAST_SAMPLES &&
           !strcmp(a->stop_reason, stop_name(STOP_BUDGET));
}

static void print_unstable(const struct contest *c, FILE *out)
{
    int told = 0, out_of_time = 0, timed = 0;
    for (int i = 0; i < c->count; i++) {
        timed += arm_timed(&c->arms[i]);
        out_of_time += ran_out(&c->arms[i]);
    }
    const bool all = out_of_time == timed && timed > 1;
    for (int i = 0; i < c->count && !all; i++)
        if (ran_out(&c->arms[i]))
            fprintf(out, "%s%s", told++ ? ", " : "  unstable: ", c->arms[i].title);
    if (all)
        fputs("  all are unstable", out);
    if (out_of_time)
        fprintf(out,
                ": +- above %.0f %% when time was up; a larger --budget or a quieter machine"
                " may help\n",
                100 * STOP_NARROW_KERNEL);
}

/* Below the table: how to see a failure again, which times are not steady, and counters. */
static void print_notes(const struct contest *c, FILE *out)
{
    char line[4096];
    for (int i = 0; i < c->count; i++) {
        const struct arm *a = &c->arms[i];
        if (kernels_failed(a)) {
            kernels_repro(c, a, line, sizeof line);
            fprintf(out, "  to see %s again: %s\n", a->title, line);
        }
        if (arm_timed(a) && a->reason[0] && !ran_out(a))
            fprintf(out, "  %s: %s\n", a->title, a->reason);
        if (arm_timed(a) && c->roof->device)
            print_launches(a, out);
        guard_describe(&a->guard, "block", "blocks", line, sizeof line);
        if (arm_timed(a) && line[0])
            fprintf(out, "  %s: %s\n", a->title, line);
        if (arm_timed(a) && a->energy_line[0])
            fprintf(out, "  %s: %s\n", a->title, a->energy_line);
        print_counters(a, out);
    }
    for (int i = 0; i < c->count; i++)
        if (c->arms[i].counters) { /* what is missing is missing for all of them */
            counted_print_missing(c->arms[i].counter, c->arms[i].counters, "  ", out);
            break;
        }
}

static int name_width(const struct contest *c)
{
    size_t width = strlen("variant");
    for (int i = 0; i < c->count; i++) {
        size_t length = strlen(c->arms[i].title);
        width = length > width ? length : width;
    }
    return (int)width;
}

/* Peaks of the classes of this table's variants, each once, and of the memory. */
static void print_peaks(const struct contest *c, FILE *out)
{
    bool told[NUM_COUNT] = {false};
    const struct roof *roof = c->roof;
    fputs("  at its highest clock:", out);
    for (int i = 0; i < c->count; i++) {
        enum numerics n = c->arms[i].numerics;
        if (!told[n] && roof->class_flops[n] > 0)
            fprintf(out, " %.1f TFLOP/s %s,", roof->class_flops[n] / 1e12, numerics_name(n));
        told[n] = true;
    }
    fprintf(out, " memory bus %.0f GB/s", roof->bus_bytes / 1e9);
    if (roof->copy_bytes > 0)
        fprintf(out, "; a copy reached %.0f GB/s", roof->copy_bytes / 1e9);
    fputc('\n', out);
}

static const char *cache_text(const struct contest *c)
{
    static const char *const texts[CACHE_STATES] = {
        [CACHE_HOT] = "caches hot",
        [CACHE_COLD_ROTATE] = "all operands cold",
        [CACHE_COLD_WEIGHTS] = "weights cold",
    };
    return texts[c->cache.state];
}

static void print_device(const struct contest *c, FILE *out)
{
    fprintf(out, "  %s, %s, %s, timed by %s\n", device_text(), c->roof->device_name, cache_text(c),
            backend_name(c->options->backend));
    if (c->roof->bus_bytes > 0)
        print_peaks(c, out);
}

static void print_host(const struct contest *c, FILE *out)
{
    fprintf(out, "  %" PRId64 " thread%s, %s, back end %s, ", c->options->threads,
            c->options->threads == 1 ? "" : "s", cache_text(c), backend_name(c->options->backend));
    fprintf(out, "FMA peak %.1f GFLOP/s (%s)\n", c->roof->flops / 1e9, c->roof->isa);
}

void kernels_table(const struct contest *c, FILE *out)
{
    char line[1024];
    int width = name_width(c);
    fprintf(out, "%s\n", c->shape);
    if (c->roof->device)
        print_device(c, out);
    else
        print_host(c, out);
    if (c->cache.why[0])
        fprintf(out, "  weights are not cold: %s\n", c->cache.why);
    fprintf(out, "  %-*s  %-11s %-20s %9s %9s %8s %8s  %-24s %s\n", width, "variant", "status",
            "median", "GFLOP/s", "actual", "GB/s", "of peak", "times the baseline", "class");
    for (int i = 0; i < c->count; i++)
        print_row(c, &c->arms[i], width, out);
    print_notes(c, out);
    print_unstable(c, out);
    kernels_winner(c, line, sizeof line);
    fprintf(out, "  %s\n\n", line);
}

void kernels_winner(const struct contest *c, char *out, size_t bytes)
{
    const struct arm *best = c->best, *other = c->against;
    char figures[80], ratio[16], lo[16], hi[16];
    if (!best) {
        snprintf(out, bytes, "nothing was timed");
        return;
    }
    if (!other) {
        snprintf(out, bytes,
                 "%s is the only one timed: %" PRId64 " block%s, verified at worst %.2g of"
                 " tolerance",
                 best->title, best->n, best->n == 1 ? "" : "s", best->worst);
        return;
    }
    if (isnan(c->ratio[0])) {
        snprintf(out, bytes,
                 "no verdict: %s and %s have %" PRId64 " and %" PRId64 " blocks, %d are the"
                 " least; raise --budget",
                 best->title, other->title, best->n, other->n, MEASURE_LEAST_SAMPLES);
        return;
    }
    ratio_text(c->ratio[0], ratio);
    snprintf(figures, sizeof figures, "interval %s-%s, %" PRId64 " and %" PRId64 " blocks",
             ratio_text(c->ratio[1], lo), ratio_text(c->ratio[2], hi), best->n,
             other->n);
    if (c->ratio[1] <= 1)
        snprintf(out, bytes, "no winner: %s and %s cannot be told apart, ratio %s, %s", best->title,
                 other->title, ratio, figures);
    else
        snprintf(out, bytes, "%s is %sx %s%s, %s, verified at worst %.2g of tolerance", best->title,
                 ratio, other->title, other == c->baseline ? "" : ", the next best", figures,
                 best->worst);
}
