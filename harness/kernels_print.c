// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_print.c   What `kernels` found: as a table for people, as a case record. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "device.h"
#include "elem.h"
#include "kernels.h"
#include "record.h"

bool kernels_failed(const struct arm *a)
{
    static const char *const states[] = {"wrong", "nonfinite", "crashed", "timeout", "mistrusted"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!strcmp(a->state, states[i]))
            return true;
    return false;
}

static void repro(const struct contest *c, const struct arm *a, char *out, size_t bytes)
{
    bool plugin = a->entry->plugin_hash != 0;
    bool cuda = device_kind() == DEVICE_CUDA;
    struct arm_spec spec = a->spec;
    char name[1600];
    spec.threads = 0; /* said behind --threads */
    arm_spec_print(&spec, name, sizeof name);
    snprintf(out, bytes,
             "build/patchmark kernels '%s' --shape '%s' --threads %" PRId64 " --seed %" PRIu64
             " --cache %s %s %s%s%s",
             name, c->shape, a->spec.threads, c->options->seed, cache_state_name(c->cache.state),
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
const char *kernels_ratio_text(double ratio, char out[16])
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
        snprintf(out, bytes, "%s (%s to %s)", kernels_ratio_text(a->ratio[0], ratio),
                 kernels_ratio_text(a->ratio[1], lo), kernels_ratio_text(a->ratio[2], hi));
}

static double peak_fraction(const struct contest *c, const struct arm *a)
{
    double peak = roof_flops(c->roof, a->numerics);
    return a->flops > 0 && peak > 0 ? a->flops / a->summary.median / peak : NAN;
}

/* Of what the device's memory bus carries; not known of a CPU. */
static double bus_fraction(const struct contest *c, const struct arm *a)
{
    return c->roof->bus_bytes > 0 ? a->bytes / a->summary.median / c->roof->bus_bytes : NAN;
}

/* Of the units of its class, or of the bus where that is what holds it back. */
static const char *print_peak(const struct contest *c, const struct arm *a, char *out, size_t bytes)
{
    double units = peak_fraction(c, a), bus = bus_fraction(c, a);
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
    int told = 0;
    for (int i = 0; i < c->count; i++)
        if (ran_out(&c->arms[i]))
            fprintf(out, "%s%s", told++ ? ", " : "  unstable: ", c->arms[i].title);
    if (told)
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
            repro(c, a, line, sizeof line);
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
    kernels_ratio_text(c->ratio[0], ratio);
    snprintf(figures, sizeof figures, "interval %s-%s, %" PRId64 " and %" PRId64 " blocks",
             kernels_ratio_text(c->ratio[1], lo), kernels_ratio_text(c->ratio[2], hi), best->n,
             other->n);
    if (c->ratio[1] <= 1)
        snprintf(out, bytes, "no winner: %s and %s cannot be told apart, ratio %s, %s", best->title,
                 other->title, ratio, figures);
    else
        snprintf(out, bytes, "%s is %sx %s%s, %s, verified at worst %.2g of tolerance", best->title,
                 ratio, other->title, other == c->baseline ? "" : ", the next best", figures,
                 best->worst);
}

/* ---- record ---------------------------------------------------------------------------------- */

static void recipe(const struct contest *c, const struct arm *a, struct json *j, const char *key)
{
    json_open_object(j, key);
    json_text(j, "op", op_table[c->problem.op]->name);
    json_text(j, "shape", c->shape);
    json_text(j, "type", elem_name(problem_type(&c->problem)));
    json_text(j, "pattern", "random");
    json_int(j, "seed", (int64_t)c->options->seed);
    json_int(j, "threads", a->spec.threads);
    json_text(j, "device", device_text());
    json_text(j, "cache_state", cache_state_name(c->cache.state));
    if (a->spec.slow > 0)
        json_number(j, "planted_slowdown", a->spec.slow);
    json_end(j);
}

static void recipe_hash(const struct contest *c, const struct arm *a, char hash[65])
{
    struct json j;
    json_init(&j, false);
    recipe(c, a, &j, NULL);
    sha256_hex(j.text, j.used, hash);
    json_free(&j);
}

/* "rows=96,keys=128" as members */
static void knobs(const struct arm *a, struct json *j)
{
    const char *at = a->knobs;
    char name[64];
    int64_t value;
    int used;
    json_open_object(j, "knobs");
    while (sscanf(at, "%63[^=,]=%" SCNd64 "%n", name, &value, &used) == 2) {
        json_int(j, name, value);
        at += used + (at[used] == ',');
    }
    json_end(j);
}

static void json_known(struct json *j, const char *name, double value)
{
    json_number(j, name, value < 0 ? NAN : value);
}

static void launches(const struct arm *a, struct json *j)
{
    static const char *const axis[] = {"x", "y", "z"};
    int shown = a->launches < KERNELS_LAUNCHES_MAX ? a->launches : KERNELS_LAUNCHES_MAX;
    if (a->launches < 0) {
        json_unavailable(j, "launches", a->launches_why);
        return;
    }
    json_int(j, "launch_count", a->launches);
    json_open_array(j, "launches");
    for (int i = 0; i < shown; i++) {
        const struct gpu_launch *l = &a->launch[i];
        json_open_object(j, NULL);
        json_text(j, "kernel", l->kernel[0] ? l->kernel : NULL);
        json_open_object(j, "grid");
        for (int k = 0; k < 3; k++)
            json_int(j, axis[k], l->grid[k]);
        json_end(j);
        json_open_object(j, "block");
        for (int k = 0; k < 3; k++)
            json_int(j, axis[k], l->block[k]);
        json_end(j);
        json_int(j, "shared_bytes", (int64_t)l->shared_bytes);
        json_known(j, "registers", l->registers);
        json_known(j, "local_bytes", l->local_bytes);
        json_known(j, "blocks_per_processor", l->blocks_per_processor);
        json_known(j, "occupancy", l->occupancy);
        json_end(j);
    }
    json_end(j);
}

static void impl(const struct arm *a, struct json *j)
{
    const struct registry_entry *e = a->entry;
    char hash[20];
    json_open_object(j, "impl");
    json_text(j, "variant", e->name);
    json_text(j, "target", e->target);
    bool known = e->variant || a->planned_bytes; /* of another build's, once its worker said it */
    enum numerics numerics = a->planned_bytes || !known ? a->numerics : e->variant->numerics;
    json_text(j, "numerics", known ? numerics_name(numerics) : NULL);
    knobs(a, j);
    json_text(j, "requested", e->name);
    json_text(j, "resolved", e->name); /* run() never falls back to another kernel */
    snprintf(hash, sizeof hash, "%016" PRIx64, e->plugin_hash);
    json_text(j, "plugin_hash", e->plugin_hash ? hash : NULL);
    if (a->spec.program[0]) {
        json_text(j, "program_sha256", a->program_sha256);
        json_text(j, "program_commit", a->program_commit);
    }
    if (device_kind() == DEVICE_CUDA) {
        json_text(j, "algorithm", a->algorithm[0] ? a->algorithm : NULL);
        launches(a, j);
    }
    json_end(j);
}

static void correctness(const struct arm *a, struct json *j)
{
    if (!a->checked) {
        json_none(j, "correctness");
        return;
    }
    json_open_object(j, "correctness");
    json_number(j, "worst", a->worst);
    json_number(j, "l2_rel", a->l2);
    json_number(j, "max_abs", a->max_abs);
    json_number(j, "checked_ratio", a->checked_ratio);
    json_int(j, "nonfinite", a->nonfinite);
    json_end(j);
}

static void timing(const struct contest *c, const struct arm *a, struct json *j)
{
    const struct summary *s = &a->summary;
    if (!arm_timed(a)) {
        json_none(j, "timing");
        return;
    }
    const struct {
        const char *name;
        double value;
    } figures[] = {{"median", s->median * 1e9}, {"lo", s->lo * 1e9},   {"hi", s->hi * 1e9},
                   {"level", s->level},         {"min", s->min * 1e9}, {"max", s->max * 1e9},
                   {"mean", s->mean * 1e9},     {"cv", s->cv}};
    json_open_object(j, "timing");
    json_int(j, "n", a->n);
    json_text(j, "unit", "ns");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_number(j, figures[i].name, figures[i].value);
    json_open_array(j, "samples");
    for (int64_t i = 0; i < a->n; i++)
        json_number(j, NULL, a->samples[i] * 1e9);
    json_end(j);
    json_text(j, "stop_reason", a->stop_reason);
    json_int(j, "samples_n", a->raw.count);
    sidecar_json(&a->place, j);
    json_int(j, "outliers", a->outliers);
    guard_json(&a->guard, j);
    json_int(j, "processes_n", 1);
    json_text(j, "schedule", "interleaved");
    json_int(j, "warmup_n", a->warm_samples);
    json_number(j, "warmup_s", a->warm_seconds);
    if (c->nvml) {
        json_number(j, "settle_s", c->settle_seconds);
        json_bool(j, "settled", c->settled);
    }
    pinning_json(&a->pin, a->openmp, a->openblas, a->pinned, a->others, j);
    json_int(j, "copies", a->copies);
    json_int(j, "copy_bytes", (int64_t)a->turn_bytes);
    json_text(j, "cache_why", c->cache.why[0] ? c->cache.why : NULL);
    json_text(j, "backend", backend_name(c->options->backend));
    if (a->wall_seconds > 0)
        json_number(j, "events_over_wall", a->event_seconds / a->wall_seconds);
    json_int(j, "runs_per_sample", a->runs);
    json_open_array(j, "order"); /* place among the arms, round by round */
    for (int i = 0; i < a->rounds; i++)
        json_int(j, NULL, a->order[i]);
    json_end(j);
    json_end(j);
}

static void derived(const struct contest *c, const struct arm *a, struct json *j)
{
    double seconds = a->summary.median, flops = problem_flops(&c->problem);
    if (!arm_timed(a)) {
        json_none(j, "derived");
        return;
    }
    json_open_object(j, "derived");
    json_number(j, "flops_per_s_effective", flops > 0 ? flops / seconds : NAN);
    json_number(j, "flops_per_s_actual", a->flops > 0 ? a->flops / seconds : NAN);
    json_number(j, "bytes_per_s", a->bytes / seconds);
    json_number(j, "peak_fraction", peak_fraction(c, a));
    double peak = roof_flops(c->roof, a->numerics);
    json_number(j, "fma_peak_flops_per_s", c->roof->device && !(peak > 0) ? NAN : peak);
    json_text(j, "fma_peak_isa", c->roof->isa);
    if (c->roof->device) {
        json_number(j, "bus_fraction", bus_fraction(c, a));
        json_number(j, "bus_peak_bytes_per_s", c->roof->bus_bytes > 0 ? c->roof->bus_bytes : NAN);
        json_number(j, "copy_bytes_per_s", c->roof->copy_bytes > 0 ? c->roof->copy_bytes : NAN);
    }
    json_text(j, "baseline", c->baseline ? c->baseline->title : NULL);
    json_number(j, "ratio", a->ratio[0]);
    json_number(j, "ratio_lo", a->ratio[1]);
    json_number(j, "ratio_hi", a->ratio[2]);
    json_end(j);
}

static void work(const struct contest *c, const struct arm *a, struct json *j)
{
    json_open_object(j, "work");
    json_number(j, "flops_effective", problem_flops(&c->problem));
    json_number(j, "flops_actual", a->planned_bytes ? a->flops : NAN);
    json_number(j, "bytes", a->planned_bytes ? a->bytes : problem_bytes(&c->problem));
    json_end(j);
}

static void memory(const struct arm *a, struct json *j)
{
    static const char *const why = "the worker ended before it could say";
    json_open_object(j, "memory");
    if (a->planned_bytes)
        json_int(j, "planned_bytes", (int64_t)a->planned_bytes);
    else
        json_unavailable(j, "planned_bytes", why);
    if (a->peak_bytes)
        json_int(j, "host_peak_bytes", (int64_t)a->peak_bytes);
    else
        json_unavailable(j, "host_peak_bytes", why);
    json_end(j);
}

void kernels_case(const struct contest *c, const struct arm *a, struct json *j)
{
    char text[4096], hash[65];
    json_text(j, "case_kind", "kernel");
    json_text(j, "status", a->state);
    json_text(j, "status_reason", a->reason[0] ? a->reason : NULL);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", a->planned_bytes ? device_ran_on() : NULL);
    repro(c, a, text, sizeof text);
    json_text(j, "repro", text);
    recipe(c, a, j, "recipe");
    recipe_hash(c, a, hash);
    json_text(j, "recipe_sha256", hash);
    impl(a, j);
    correctness(a, j);
    timing(c, a, j);
    work(c, a, j);
    derived(c, a, j);
    memory(a, j);
    const struct counted_work work_done = {a->summary.median, a->flops};
    counted_json(a->counter, a->counters, "run", j);
    counted_figures_json(a->counter, a->counters, &work_done, j);
    kernels_energy_json(c, a, j);
    if (device_kind() == DEVICE_CUDA)
        nvml_window_json(c->nvml, &a->window, c->unwatched.text, j, "gpu");
}
