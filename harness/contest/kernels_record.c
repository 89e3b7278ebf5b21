// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_record.c   What `kernels` found, as the members of a case record (results/SCHEMA.md). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "contest/kernels.h"
#include "elem.h"
#include "machine/device.h"
#include "records/record.h"

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
    if (device_kind() == DEVICE_CPU && c->options->pin && !strcmp(c->options->pin, "none"))
        json_text(j, "pin", "none");
    if (c->options->cache_bytes > 0 && c->cache.state != CACHE_HOT)
        json_int(j, "llc_bytes", c->options->cache_bytes);
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

static void correctness(const struct contest *c, const struct arm *a, struct json *j)
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
    json_int(j, "timed_seed", (int64_t)(c->data_seed + c->options->seed + 1));
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
    json_int(j, "processes_n", a->processes);
    json_text(j, "schedule", c->apart ? "blocked" : "interleaved");
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
    json_number(j, "peak_fraction", kernels_peak_fraction(c, a));
    double peak = roof_flops(c->roof, a->numerics);
    json_number(j, "fma_peak_flops_per_s", c->roof->device && !(peak > 0) ? NAN : peak);
    json_text(j, "fma_peak_isa", c->roof->isa);
    if (c->roof->device) {
        json_number(j, "bus_fraction", kernels_bus_fraction(c, a));
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
    kernels_repro(c, a, text, sizeof text);
    json_text(j, "repro", text);
    recipe(c, a, j, "recipe");
    recipe_hash(c, a, hash);
    json_text(j, "recipe_sha256", hash);
    impl(a, j);
    correctness(c, a, j);
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
