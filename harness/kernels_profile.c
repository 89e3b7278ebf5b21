// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_profile.c   `kernels --profile CASE`: one variant is verified and run between a profiler's
 * marks, once here, so that it is known to work, and once more by whoever copies the command. The
 * process is the same worker that times the variant elsewhere, started with --profile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "kernels.h"
#include "patchmark.h"
#include "worker.h"

#define RUNS_BY_DEFAULT 10
#define PATIENCE_S 600 /* the reference may take its time, and says no word meanwhile */
#define PERF_PIPES "patchmark.ctl,patchmark.ack"

struct profiled {
    const struct kernels_options *options;
    const struct registry_entry *entry;
    char shape[512], threads[24], seed[24], runs[24];
    const char *word[24]; /* of the worker, without the program and the plugins */
    char verified[256];
};

/* ---- the case -------------------------------------------------------------------------------- */

/* The one variant that is named and can run here. */
static enum status find_variant(struct profiled *p, const struct registry_entry *const *picked,
                                int count, struct fault *fault)
{
    struct fault why = {{0}};
    int usable = 0;
    for (int i = 0; i < count; i++)
        if (registry_usable(picked[i], &why) == ST_OK && usable++ == 0)
            p->entry = picked[i];
    if (usable == 1)
        return ST_OK;
    if (usable == 0)
        return fault_set(fault, ST_UNAVAILABLE, "'%s' cannot run here: %s", p->options->profile,
                         why.text);
    return fault_set(fault, ST_BAD_INPUT, "--profile takes one variant, as OP/NAME; '%s' names %d",
                     p->options->profile, usable);
}

static enum status find_shape(struct profiled *p, struct fault *fault)
{
    struct problem shape;
    const struct op_info *op = NULL;
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(op_table[i]->name, p->entry->op))
            op = op_table[i];
    TRY(shape_parse(p->options->shape ? p->options->shape : op->timing_shape, &shape, fault));
    if (op_table[shape.op] != op)
        return fault_set(fault, ST_BAD_INPUT, "the shape is one of %s, but %s/%s is to be profiled",
                         op_table[shape.op]->name, p->entry->op, p->entry->name);
    shape_print(&shape, p->shape, sizeof p->shape);
    return ST_OK;
}

static void make_words(struct profiled *p)
{
    const struct kernels_options *o = p->options;
    int n = 0;
    snprintf(p->threads, sizeof p->threads, "%" PRId64, o->threads);
    snprintf(p->seed, sizeof p->seed, "%" PRIu64, o->seed);
    snprintf(p->runs, sizeof p->runs, "%" PRId64,
             o->repetitions ? o->repetitions : (int64_t)RUNS_BY_DEFAULT);
    const char *const words[] = {"worker",    "kernels",     p->entry->name, p->shape,
                                 "--threads", p->threads,    "--seed",       p->seed,
                                 "--device",  device_text(), "--profile",    p->runs};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        p->word[n++] = words[i];
}

/* The worker's two sentences, or what went wrong. */
static enum status run_once(struct profiled *p, struct fault *fault)
{
    struct worker *w = NULL;
    const char *line = "";
    enum status s = worker_spawn(p->word, &w, fault);
    while (s == ST_OK && strncmp(line, "ran ", 4) != 0) {
        int status, used = 0;
        s = worker_receive(w, PATIENCE_S, &line, fault);
        if (s == ST_OK && !strncmp(line, "verified ", 9))
            snprintf(p->verified, sizeof p->verified, "%s", line);
        if (s == ST_OK && sscanf(line, "fault %d %n", &status, &used) == 1)
            s = fault_set(fault,
                          status > ST_OK && status < ST_COUNT ? (enum status)status : ST_CRASHED,
                          "%s/%s: %s", p->entry->op, p->entry->name, line + used);
    }
    worker_end(w);
    return s;
}

/* ---- command lines --------------------------------------------------------------------------- */

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[1024];
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static const struct tool {
    enum device_kind device;
    const char *program, *before; /* the profiler's words, then the worker's */
    bool pipes;                   /* perf's control pipes, at both ends */
} tools[] = {
    {DEVICE_CPU, "perf", "perf record -g -o patchmark.perf -D -1 --control fifo:" PERF_PIPES " --",
     true},
    {DEVICE_CPU, "perf", "perf stat -d -D -1 --control fifo:" PERF_PIPES " --", true},
    {DEVICE_CUDA, "ncu", "ncu --profile-from-start off --nvtx --set full -f -o patchmark", false},
    {DEVICE_CUDA, "nsys",
     "nsys profile --capture-range cudaProfilerApi --trace cuda,nvtx -f true -o patchmark", false},
};
enum { TOOLS = sizeof tools / sizeof *tools };

static void command(const struct profiled *p, const struct tool *t, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s", t->before);
    command_append(out, bytes, self_path());
    for (int i = 0; p->word[i]; i++)
        command_append(out, bytes, p->word[i]);
    if (t->pipes) {
        command_append(out, bytes, "--perf-control");
        command_append(out, bytes, PERF_PIPES);
    }
    for (const char *const *plugin = registry_plugins(); *plugin; plugin++) {
        command_append(out, bytes, "--plugin");
        command_append(out, bytes, *plugin);
    }
}

static void print(const struct profiled *p, FILE *out)
{
    char line[4096];
    const char *missing = NULL;
    bool pipes = false;
    fprintf(out, "%s/%s at %s\n  %s, then run %s times between a profiler's marks\n", p->entry->op,
            p->entry->name, p->shape, p->verified, p->runs);
    fputs("the same under a profiler, which sees those runs and nothing else:\n", out);
    for (int i = 0; i < TOOLS; i++) {
        if (tools[i].device != device_kind())
            continue;
        if (tools[i].pipes && !pipes)
            fputs("  mkfifo patchmark.ctl patchmark.ack\n", out);
        pipes = tools[i].pipes;
        missing = in_path(tools[i].program) ? missing : tools[i].program;
        command(p, &tools[i], line, sizeof line);
        fprintf(out, "  %s\n", line);
    }
    if (missing)
        fprintf(out, "(%s is not in the search path here)\n", missing);
}

static void print_json(const struct profiled *p, FILE *out)
{
    char line[4096];
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "op", p->entry->op);
    json_text(&j, "variant", p->entry->name);
    json_text(&j, "shape", p->shape);
    json_text(&j, "verified", p->verified);
    json_int(&j, "runs", strtoll(p->runs, NULL, 10));
    json_open_array(&j, "commands");
    for (int i = 0; i < TOOLS; i++)
        if (tools[i].device == device_kind()) {
            command(p, &tools[i], line, sizeof line);
            json_text(&j, NULL, line);
        }
    json_end(&j);
    json_end(&j);
    fprintf(out, "%s\n", j.text ? j.text : "");
    json_free(&j);
}

enum status kernels_profile(const struct kernels_options *options,
                            const struct registry_entry *const *picked, int count,
                            struct fault *fault)
{
    struct profiled p = {.options = options};
    TRY(find_variant(&p, picked, count, fault));
    TRY(find_shape(&p, fault));
    make_words(&p);
    TRY(run_once(&p, fault));
    if (options->json)
        print_json(&p, stdout);
    else
        print(&p, stdout);
    return ST_OK;
}
