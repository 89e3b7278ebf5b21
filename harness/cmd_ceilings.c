// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_ceilings.c   patchmark ceilings: what this device's memory and buses reach, measured, for
 * rooflines to stand on. Products of matrices are measured as kernels are, by the library variants
 * of linear at a large shape. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "device.h"
#include "gpu.h"
#include "host.h"
#include "measure.h"
#include "nvml.h"
#include "record.h"
#include "stats.h"

#define SAMPLES 30
#define CPU_SAMPLES 6
#define SAMPLE_SECONDS 0.01
#define DEVICE_BYTES ((size_t)1 << 30) /* far over any last-level cache */
#define PINNED_BYTES ((size_t)256 << 20)

struct request {
    const char *device, *results;
    int64_t threads;
    bool facts;
    struct gpu_info gpu;
    struct record_file *record;
};

#define OPTIONS(r)                                                                                 \
    {                                                                                              \
        {"--device", "D", OPTION_TEXT, &(r)->device, "cpu or cuda:N (cpu)"},                       \
            {"--threads", "N", OPTION_COUNT, &(r)->threads, "threads on the CPU (all cores)"},     \
            {"--facts", NULL, OPTION_FLAG, &(r)->facts,                                            \
             "say what the device is, measure nothing"},                                           \
            {"--results", "DIR|none", OPTION_TEXT, &(r)->results,                                  \
             "where the record goes (results)"},                                                   \
            {0},                                                                                   \
    }

void help_ceilings(FILE *out)
{
    struct request r = {.device = NULL};
    const struct option options[] = OPTIONS(&r);
    options_help(options, out);
}

/* One figure: so many seconds for so much work. */
struct ceiling {
    const char *name, *unit; /* of the work: "bytes" or "flops" */
    double work;             /* of one run */
    enum status status;
    struct fault why;
    double samples[SAMPLES]; /* seconds per run */
    int64_t n;
    struct nvml *nvml;
    struct nvml_window window;
};

/* ---- measuring ------------------------------------------------------------------------------- */

struct copy {
    struct gpu *gpu;
    void *to, *from;
    size_t bytes;
};

/* Seconds of `runs` copies, by marks in the stream. */
static enum status copy_seconds(const struct copy *c, int64_t runs, double *seconds,
                                struct fault *fault)
{
    TRY(gpu_mark(c->gpu, 0, fault));
    for (int64_t i = 0; i < runs; i++)
        TRY(gpu_copy(c->gpu, c->to, c->from, c->bytes, fault));
    TRY(gpu_mark(c->gpu, 1, fault));
    return gpu_elapsed(c->gpu, 0, 1, seconds, fault);
}

/* The first stretch warms up and says how many copies make a sample. */
static enum status sample_copies(const struct copy *c, struct ceiling *out)
{
    double seconds;
    TRY(copy_seconds(c, 4, &seconds, &out->why));
    int64_t runs = 1 + (int64_t)(SAMPLE_SECONDS / fmax(seconds / 4, 1e-9));
    nvml_window_open(out->nvml, &out->window);
    for (out->n = 0; out->n < SAMPLES; out->n++) {
        enum status status = copy_seconds(c, runs, &seconds, &out->why);
        if (status != ST_OK) {
            nvml_window_close(out->nvml, &out->window);
            return status;
        }
        out->samples[out->n] = seconds / (double)runs;
    }
    nvml_window_close(out->nvml, &out->window);
    return ST_OK;
}

/* Memory of the device, two halves of it, and as much pinned memory of the host. */
static enum status cuda_ceilings(const struct request *r, struct gpu *gpu, struct ceiling out[3])
{
    size_t large = r->gpu.memory_bytes / 8 < DEVICE_BYTES ? r->gpu.memory_bytes / 8 : DEVICE_BYTES;
    size_t small = large < PINNED_BYTES ? large : PINNED_BYTES;
    struct fault *why = &out[0].why;
    void *device[2] = {NULL, NULL}, *host = NULL;
    enum status status = gpu_alloc(gpu, large, "a copy", &device[0], why);
    if (status == ST_OK)
        status = gpu_alloc(gpu, large, "a copy", &device[1], why);
    if (status == ST_OK)
        status = gpu_pinned(gpu, small, &host, why);
    if (status == ST_OK) {
        memset(host, 1, small);
        const struct copy copies[] = {{gpu, device[0], device[1], large},
                                      {gpu, device[0], host, small},
                                      {gpu, host, device[0], small}};
        out[0].work = 2.0 * (double)large; /* read and written */
        out[1].work = out[2].work = (double)small;
        for (int i = 0; i < 3; i++)
            out[i].status = sample_copies(&copies[i], &out[i]);
    } else {
        for (int i = 0; i < 3; i++)
            out[i].status = status, out[i].why = *why;
    }
    gpu_pinned_free(gpu, host);
    gpu_free(gpu, device[1]);
    gpu_free(gpu, device[0]);
    return status;
}

/* These probes give rates, so that a run is a fixed amount of work at each. */
static void cpu_ceilings(const struct request *r, struct ceiling out[2])
{
    const char *isa;
    for (int64_t i = 0; i < CPU_SAMPLES; i++) {
        out[0].samples[i] = out[0].work / measure_copy_bandwidth((int)r->threads);
        out[1].samples[i] = out[1].work / measure_fma_peak((int)r->threads, &isa);
    }
    out[0].n = out[1].n = CPU_SAMPLES;
}

/* ---- record ---------------------------------------------------------------------------------- */

static void recipe(const struct request *r, const struct ceiling *c, struct json *j,
                   const char *key)
{
    json_open_object(j, key);
    json_text(j, "ceiling", c->name);
    json_text(j, "device", r->device);
    json_int(j, "threads", r->threads);
    json_end(j);
}

static void timing(const struct ceiling *c, struct json *j)
{
    struct summary s = stats_summary(c->samples, c->n);
    const struct {
        const char *name;
        double value;
    } figures[] = {{"median", s.median * 1e9}, {"lo", s.lo * 1e9},   {"hi", s.hi * 1e9},
                   {"level", s.level},         {"min", s.min * 1e9}, {"max", s.max * 1e9},
                   {"mean", s.mean * 1e9},     {"cv", s.cv}};
    json_open_object(j, "timing");
    json_int(j, "n", c->n);
    json_text(j, "unit", "ns");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_number(j, figures[i].name, figures[i].value);
    json_open_array(j, "samples");
    for (int64_t i = 0; i < c->n; i++)
        json_number(j, NULL, c->samples[i] * 1e9);
    json_end(j);
    json_text(j, "stop_reason", "count");
    json_text(j, "schedule", "sequential");
    json_int(j, "warmup_n", 1);
    json_text(j, "backend", device_kind() == DEVICE_CUDA ? "events" : "loop");
    json_end(j);
    json_open_object(j, "derived");
    json_number(j, !strcmp(c->unit, "bytes") ? "bytes_per_s" : "flops_per_s", c->work / s.median);
    json_end(j);
}

static void write_case(const struct request *r, const struct ceiling *c, struct json *j)
{
    struct json own;
    char hash[65], text[160];
    bool timed = c->status == ST_OK;
    json_text(j, "case_kind", "ceiling");
    json_text(j, "status", status_name(c->status));
    json_text(j, "status_reason", timed ? NULL : c->why.text);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", timed ? device_ran_on() : NULL);
    snprintf(text, sizeof text, "build/patchmark ceilings --device %s --threads %" PRId64,
             r->device, r->threads);
    json_text(j, "repro", text);
    recipe(r, c, j, "recipe");
    json_init(&own, false);
    recipe(r, c, &own, NULL);
    sha256_hex(own.text, own.used, hash);
    json_free(&own);
    json_text(j, "recipe_sha256", hash);
    json_open_object(j, "impl");
    json_text(j, "requested", c->name);
    json_end(j);
    json_none(j, "correctness");
    if (timed)
        timing(c, j);
    else {
        json_none(j, "timing");
        json_none(j, "derived");
    }
    json_open_object(j, "work");
    json_number(j, c->unit, timed ? c->work : NAN);
    json_end(j);
    json_open_object(j, "memory");
    json_unavailable(j, "planned_bytes", "nothing is planned for a ceiling");
    json_int(j, "host_peak_bytes", (int64_t)host_peak_resident());
    json_end(j);
    json_open_object(j, "counters");
    json_end(j);
    if (device_kind() == DEVICE_CUDA)
        nvml_window_json(c->nvml, &c->window, "it was not watched", j, "gpu");
}

static enum status write_records(struct request *r, const struct ceiling *c, int count,
                                 struct fault *fault)
{
    const char *path = NULL;
    if (!strcmp(r->results, "none"))
        return ST_OK;
    TRY(record_open(r->results, self_command_line(), &r->record, fault));
    for (int i = 0; i < count; i++) {
        struct json j;
        record_begin(r->record, &j, "case");
        write_case(r, &c[i], &j);
        TRY(record_write(r->record, &j, fault));
    }
    TRY(record_close(r->record, &path, fault));
    printf("record: %s\n", path);
    return ST_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_facts(const struct request *r)
{
    const struct gpu_info *g = &r->gpu;
    if (device_kind() == DEVICE_CPU) {
        printf("cpu: %s, %" PRId64 " threads\n", host_cpu_model(), r->threads);
        return;
    }
    printf("%s: %s%s, compute capability %d.%d, %d multiprocessors, %.1f GiB\n", r->device, g->name,
           g->emulated ? " (emulated)" : "", g->major, g->minor, g->processors,
           (double)g->memory_bytes / (double)(1 << 30));
    printf("  CUDA %d.%d, its driver serves %d.%d, %.0f MHz, memory bus %.0f GB/s\n",
           g->runtime / 1000, g->runtime % 1000 / 10, g->driver / 1000, g->driver % 1000 / 10,
           (double)g->clock_hz / 1e6, gpu_peak_bytes(g) / 1e9);
    struct json j;
    struct nvml *n = NULL;
    struct fault why = {{0}};
    nvml_open(g->uuid, &n, &why);
    json_init(&j, false);
    json_open_object(&j, NULL);
    nvml_describe(n, why.text, &j);
    json_end(&j);
    printf("  NVML: %s\n", n ? j.text : why.text);
    json_free(&j);
    nvml_close(n);
}

static void print_ceiling(const struct ceiling *c)
{
    if (c->status != ST_OK) {
        printf("  %-9s %s: %s\n", c->name, status_name(c->status), c->why.text);
        return;
    }
    struct summary s = stats_summary(c->samples, c->n);
    printf("  %-9s %9.1f %s/s  (%.1f to %.1f, %" PRId64 " samples)\n", c->name,
           c->work / s.median / 1e9, strcmp(c->unit, "bytes") ? "GFLOP" : "GB",
           c->work / s.hi / 1e9, c->work / s.lo / 1e9, c->n);
}

/* ---- command --------------------------------------------------------------------------------- */

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    const struct option options[] = OPTIONS(r);
    int words = 0;
    *r = (struct request){.device = "cpu", .results = "results", .threads = host_cores()};
    TRY(options_parse(options, argc, argv, NULL, &words, fault));
    if (r->threads < 1 || r->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %" PRId64,
                         r->threads);
    return ST_OK;
}

/* Nothing could be measured: that is an answer too, and goes into the record. */
static enum status none(struct ceiling *c, int count, enum status status, const struct fault *why)
{
    for (int i = 0; i < count; i++) {
        c[i].status = status;
        c[i].why = *why;
    }
    return status;
}

static enum status measure(struct request *r, struct ceiling *c, int count, struct fault *fault)
{
    struct gpu *gpu = NULL;
    struct fault unwatched = {{0}};
    if (device_kind() == DEVICE_CPU) {
        cpu_ceilings(r, c);
        return ST_OK;
    }
    enum status status = gpu_open(device_index(), &gpu, fault);
    if (status != ST_OK)
        return none(c, count, status, fault);
    nvml_open(r->gpu.uuid, &c[0].nvml, &unwatched);
    for (int i = 1; i < count; i++)
        c[i].nvml = c[0].nvml;
    cuda_ceilings(r, gpu, c);
    gpu_close(gpu);
    return ST_OK;
}

static enum status choose(struct request *r, struct fault *fault)
{
    TRY(device_choose(r->device, fault));
    if (device_kind() == DEVICE_CPU)
        return ST_OK;
    TRY(gpu_describe(device_index(), &r->gpu, fault));
    if (r->gpu.emulated && !r->facts)
        return fault_set(fault, ST_UNAVAILABLE, "%s is emulated: nothing is timed there",
                         r->device);
    return ST_OK;
}

int cmd_ceilings(int argc, char **argv, struct fault *fault)
{
    static struct ceiling cuda[] = {{.name = "copy", .unit = "bytes"},
                                    {.name = "upload", .unit = "bytes"},
                                    {.name = "download", .unit = "bytes"}};
    static struct ceiling cpu[] = {{.name = "copy", .unit = "bytes", .work = 1e9},
                                   {.name = "fma", .unit = "flops", .work = 1e9}};
    struct request r;
    enum status status = parse(argc, argv, &r, fault);
    if (status != ST_OK)
        return exit_code_of(status);
    bool on_cpu = !strcmp(r.device, "cpu");
    struct ceiling *c = on_cpu ? cpu : cuda;
    int count = on_cpu ? 2 : 3;
    status = choose(&r, fault);
    if (status == ST_BAD_INPUT)
        return exit_code_of(status);
    if (status == ST_OK)
        print_facts(&r);
    if (r.facts)
        return exit_code_of(status);
    status = status == ST_OK ? measure(&r, c, count, fault) : none(c, count, status, fault);
    for (int i = 0; i < count && status == ST_OK; i++)
        print_ceiling(&c[i]);
    for (int i = 0; i < count && status == ST_OK; i++)
        status = c[i].status;
    struct fault lost = {{0}};
    enum status written = write_records(&r, c, count, &lost);
    if (written != ST_OK && status == ST_OK) {
        *fault = lost;
        status = written;
    }
    record_free(r.record);
    for (int i = 0; i < count; i++)
        nvml_window_free(&c[i].window);
    nvml_close(c[0].nvml);
    return exit_code_of(status);
}
