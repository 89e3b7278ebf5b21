// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline_record.c   Figures of `roofline` as records: one case of kind `ceiling` each. */
#include <math.h>
#include <string.h>

#include "base/patchmark.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"
#include "roofline/roofline.h"
#include "timing/measure.h"

static void recipe(const struct roofline *r, const struct roof_figure *f, struct json *j,
                   const char *key)
{
    json_open_object(j, key);
    json_text(j, "ceiling", f->name);
    json_text(j, "device", r->device);
    json_int(j, "threads", f->threads);
    if (f->type)
        json_text(j, "type", f->type);
    if (f->kind == ROOF_PEAK)
        json_text(j, "unit", f->unit);
    if (f->kind == ROOF_MATMUL)
        json_text(j, "shape", f->shape);
    if (f->kind == ROOF_MEMORY) {
        json_text(j, "level", f->place.name);
        json_int(j, "bytes_per_thread", (int64_t)f->place.bytes);
        json_bool(j, "capped", f->place.capped);
    }
    json_end(j);
}

static void timing(const struct roofline *r, const struct roof_figure *f, struct json *j)
{
    struct summary s = stats_summary(f->samples, f->n);
    const struct {
        const char *name;
        double value;
    } figures[] = {{"median", s.median * 1e9}, {"lo", s.lo * 1e9},   {"hi", s.hi * 1e9},
                   {"level", s.level},         {"min", s.min * 1e9}, {"max", s.max * 1e9},
                   {"mean", s.mean * 1e9},     {"cv", s.cv}};
    json_open_object(j, "timing");
    json_int(j, "n", f->n);
    json_text(j, "unit", "ns");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_number(j, figures[i].name, figures[i].value);
    json_open_array(j, "samples");
    for (int64_t i = 0; i < f->n; i++)
        json_number(j, NULL, f->samples[i] * 1e9);
    json_end(j);
    json_text(j, "stop_reason", "count");
    json_int(j, "samples_n", f->n);
    json_int(j, "processes_n", 1);
    json_text(j, "schedule", device_kind() == DEVICE_CUDA ? "sequential" : "interleaved");
    json_int(j, "warmup_n", 1);
    json_text(j, "backend", device_kind() == DEVICE_CUDA ? "events" : "loop");
    if (device_kind() == DEVICE_CPU) {
        json_int(j, "rounds_redone", r->redone);
        json_bool(j, "clock_settled", !r->unsettled);
        pinning_json(&r->pinning, f->threads, r->pinned.openblas, r->pinned.cpus,
                     r->pinned.other_cpus, j);
    }
    json_end(j);
}

static void derived(const struct roofline *r, const struct roof_figure *f, struct json *j)
{
    struct summary s = stats_summary(f->samples, f->n);
    bool bytes = roof_is_bytes(f);
    json_open_object(j, "derived");
    json_number(j, bytes ? "bytes_per_s" : "flops_per_s", f->work / s.median);
    json_number(j, bytes ? "bytes_per_s_best" : "flops_per_s_best", f->work / s.min);
    json_number(j, "spread", (s.q3 - s.q1) / s.median);
    const struct roof_figure *peak = roof_best(r, ROOF_PEAK, f->type, NULL, f->threads);
    if (f->kind == ROOF_MATMUL && peak)
        json_number(j, "peak_fraction", roof_rate_best(f) / roof_rate_best(peak));
    if (f->units_rate > 0)
        json_number(j, "peak_fraction", roof_rate_best(f) / f->units_rate);
    json_end(j);
}

static void identify(const struct roofline *r, const struct roof_figure *f, struct json *j)
{
    struct json own;
    char hash[65], text[160];
    snprintf(text, sizeof text, "build/patchmark roofline --device %s --threads %d", r->device,
             f->threads);
    json_text(j, "repro", text);
    recipe(r, f, j, "recipe");
    json_init(&own, false);
    recipe(r, f, &own, NULL);
    sha256_hex(own.text, own.used, hash);
    json_free(&own);
    json_text(j, "recipe_sha256", hash);
    json_open_object(j, "impl");
    json_text(j, "requested", f->name);
    json_text(j, "resolved", f->unit);
    json_end(j);
}

static void write_case(const struct roofline *r, const struct roof_figure *f, struct json *j)
{
    bool timed = f->status == ST_OK && f->n > 0;
    json_text(j, "case_kind", "ceiling");
    json_text(j, "status", status_name(f->status));
    json_text(j, "status_reason", timed ? NULL : f->why.text);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", timed ? device_ran_on() : NULL);
    identify(r, f, j);
    json_none(j, "correctness");
    if (timed) {
        timing(r, f, j);
        derived(r, f, j);
    } else {
        json_none(j, "timing");
        json_none(j, "derived");
    }
    json_open_object(j, "work");
    json_number(j, roof_is_bytes(f) ? "bytes" : "flops", timed ? f->work : NAN);
    json_end(j);
    json_open_object(j, "memory");
    json_unavailable(j, "planned_bytes", "nothing is planned for a ceiling");
    json_int(j, "host_peak_bytes", (int64_t)host_peak_resident());
    json_end(j);
    json_open_object(j, "counters");
    json_end(j);
    if (device_kind() == DEVICE_CUDA)
        nvml_window_json(r->nvml, &f->window, "it was not watched", j, "gpu");
}

enum status roof_write_records(struct roofline *r, struct record_file *file, struct fault *fault)
{
    for (int i = 0; i < r->count; i++) {
        struct json j;
        record_begin(file, &j, "case");
        write_case(r, &r->figure[i], &j);
        TRY(record_write(file, &j, fault));
    }
    return record_close(file, &r->record, fault);
}
