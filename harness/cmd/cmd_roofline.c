// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_roofline.c   patchmark roofline: what this device's arithmetic, memory and buses reach,
 * measured, for other figures to be held against. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"
#include "roofline/roofline.h"

struct request {
    const char *device, *threads, *results;
    bool json;
    int64_t rounds;
    bool facts;
};

#define OPTIONS(r)                                                                                 \
    {                                                                                              \
        {"--device", "D", OPTION_TEXT, &(r)->device, "cpu or cuda:N (cpu)"},                       \
            {"--threads", "LIST", OPTION_TEXT, &(r)->threads,                                      \
             "threads on the CPU, as 1,8 (1 and all cores)"},                                      \
            {"--rounds", "N", OPTION_COUNT, &(r)->rounds,                                          \
             "samples of each figure of the CPU, one a round (12)"},                               \
            {"--facts", NULL, OPTION_FLAG, &(r)->facts,                                            \
             "say what the device is, measure nothing"},                                           \
            FORMAT_OPTION(&(r)->json),                                                             \
            {"--results", "DIR|none", OPTION_TEXT, &(r)->results,                                  \
             "where the record goes (results)"},                                                   \
            {0},                                                                                   \
    }

void help_roofline(FILE *out)
{
    struct request r = {.device = NULL};
    const struct option options[] = OPTIONS(&r);
    options_help(options, out);
}

struct roof_figure *roof_add(struct roofline *r, enum roof_kind kind, const char *name, int threads)
{
    if (r->count == ROOF_FIGURES_MAX)
        return NULL;
    struct roof_figure *f = &r->figure[r->count++];
    *f = (struct roof_figure){.kind = kind, .name = name, .threads = threads};
    return f;
}

/* ---- the request ----------------------------------------------------------------------------- */

static enum status parse_threads(const char *text, struct roofline *r, struct fault *fault)
{
    for (const char *at = text; *at;) {
        char *end;
        long n = strtol(at, &end, 10);
        bool ascending = !r->thread_counts || n > r->threads[r->thread_counts - 1];
        if (end == at || (*end && *end != ',') || n < 1 || n > 4096 || !ascending ||
            r->thread_counts == ROOF_THREADS_MAX)
            return fault_set(fault, ST_BAD_INPUT,
                             "--threads wants up to %d ascending numbers from 1 to 4096 as 1,8,"
                             " not '%s'",
                             ROOF_THREADS_MAX, text);
        r->threads[r->thread_counts++] = (int)n;
        at = *end ? end + 1 : end;
    }
    return r->thread_counts ? ST_OK : fault_set(fault, ST_BAD_INPUT, "--threads names no number");
}

static enum status parse(int argc, char **argv, struct request *q, struct roofline *r,
                         struct fault *fault)
{
    const struct option options[] = OPTIONS(q);
    int words = 0;
    *q = (struct request){.device = "cpu", .results = "results", .rounds = 12, .threads = NULL};
    TRY(options_parse(options, argc, argv, NULL, &words, fault));
    if (q->rounds < 1 || q->rounds > ROOF_SAMPLES_MAX / 2)
        return fault_set(fault, ST_BAD_INPUT, "--rounds wants 1 to %d, not %" PRId64,
                         ROOF_SAMPLES_MAX / 2, q->rounds);
    r->device = q->device;
    r->rounds = q->rounds;
    if (q->threads)
        return parse_threads(q->threads, r, fault);
    r->threads[r->thread_counts++] = 1;
    if (host_cores() > 1)
        r->threads[r->thread_counts++] = host_cores();
    return ST_OK;
}

static enum status choose(struct roofline *r, bool facts, struct fault *fault)
{
    TRY(device_choose(r->device, fault));
    if (device_kind() == DEVICE_CPU)
        return ST_OK;
    TRY(gpu_describe(device_index(), &r->gpu, fault));
    if (r->gpu.emulated && !facts)
        return fault_set(fault, ST_UNAVAILABLE, "%s is emulated: nothing is timed there",
                         r->device);
    return ST_OK;
}

/* ---- what the device is ---------------------------------------------------------------------- */

static void print_gpu(const struct roofline *r)
{
    const struct gpu_info *g = &r->gpu;
    struct json j;
    struct nvml *n = NULL;
    struct fault why = {{0}};
    printf("%s: %s%s, compute capability %d.%d, %d multiprocessors, %.1f GiB\n", r->device, g->name,
           g->emulated ? " (emulated)" : "", g->major, g->minor, g->processors,
           (double)g->memory_bytes / (double)(1 << 30));
    printf("  CUDA %d.%d, its driver serves %d.%d, %.0f MHz, memory bus %.0f GB/s\n",
           g->runtime / 1000, g->runtime % 1000 / 10, g->driver / 1000, g->driver % 1000 / 10,
           (double)g->clock_hz / 1e6, gpu_peak_bytes(g) / 1e9);
    nvml_open(g->uuid, &n, &why);
    json_init(&j, false);
    json_open_object(&j, NULL);
    nvml_describe(n, why.text, &j);
    json_end(&j);
    printf("  NVML: %s\n", n ? j.text : why.text);
    json_free(&j);
    nvml_close(n);
}

static void print_facts(const struct roofline *r)
{
    struct cache_level level[CACHE_LEVELS_MAX];
    if (device_kind() == DEVICE_CUDA) {
        print_gpu(r);
        return;
    }
    printf("cpu: %s, %d threads", host_cpu_model(), host_cores());
    int levels = cache_levels("", level);
    for (int i = 0; i < levels; i++) {
        bool mib = level[i].bytes >= (size_t)1 << 20;
        printf(", L%d %zu %s", level[i].level, level[i].bytes >> (mib ? 20 : 10),
               mib ? "MiB" : "KiB");
        if (level[i].shared_by > 1)
            printf(" for %d", level[i].shared_by);
    }
    printf("\n");
}

/* ---- command --------------------------------------------------------------------------------- */

static enum status measure(struct roofline *r, enum status chosen, struct fault *fault)
{
    bool cuda = strcmp(r->device, "cpu") != 0;
    if (cuda)
        roof_add_copies(r);
    enum status status = chosen;
    if (status == ST_OK)
        status = cuda ? roof_measure_cuda(r, fault) : roof_measure_cpu(r, fault);
    /* That nothing could be measured is an answer too, and goes into the record. */
    for (int i = 0; i < r->count && status != ST_OK; i++) {
        r->figure[i].status = status;
        r->figure[i].why = *fault;
    }
    return status;
}

static enum status store(struct roofline *r, const char *results, struct record_file **file,
                         struct fault *fault)
{
    if (!strcmp(results, "none"))
        return ST_OK;
    TRY(record_open(results, self_command_line(), file, fault));
    return roof_write_records(r, *file, fault);
}

static void show(const struct roofline *r, bool json)
{
    struct json j;
    if (!json) {
        roof_print(r, stdout);
        return;
    }
    json_init(&j, true);
    roof_json(r, &j);
    printf("%s\n", j.text);
    json_free(&j);
}

static void release(struct roofline *r, struct record_file *file)
{
    for (int i = 0; i < r->count; i++)
        nvml_window_free(&r->figure[i].window);
    nvml_close(r->nvml);
    record_free(file);
    free(r->figure);
}

static enum status roofline(struct roofline *r, const struct request *q, struct fault *fault)
{
    struct record_file *file = NULL;
    struct fault lost = {{0}};
    bool json = q->json;
    enum status chosen = choose(r, q->facts, fault);
    if (chosen == ST_BAD_INPUT)
        return chosen;
    if (chosen == ST_OK && !json)
        print_facts(r);
    if (q->facts)
        return chosen;
    enum status status = measure(r, chosen, fault);
    if (status == ST_INTERRUPTED)
        return status;
    enum status stored = store(r, q->results, &file, &lost);
    if (status == ST_OK || json)
        show(r, json);
    if (r->record && !json)
        printf("record: %s\n", r->record);
    if (stored != ST_OK && status == ST_OK) {
        *fault = lost;
        status = stored;
    }
    release(r, file);
    r->figure = NULL;
    return status;
}

int cmd_roofline(int argc, char **argv, struct fault *fault)
{
    struct request q;
    struct roofline r = {.record = NULL};
    enum status status = parse(argc, argv, &q, &r, fault);
    if (status != ST_OK)
        return exit_code_of(status);
    r.figure = calloc(ROOF_FIGURES_MAX, sizeof *r.figure);
    if (!r.figure)
        return exit_code_of(fault_set(fault, ST_NO_MEMORY, "no memory for the figures"));
    status = roofline(&r, &q, fault);
    free(r.figure);
    return exit_code_of(status);
}
