// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_profile.c   `kernels --profile CASE`: one variant is verified and run between a profiler's
 * marks, once here, so that it is known to work, and once more by whoever copies the command. The
 * process is the same worker that times the variant elsewhere, started with --profile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "contest/kernels.h"
#include "counters/profile.h"
#include "machine/device.h"

#define RUNS_BY_DEFAULT 10
#define PATIENCE_S 600 /* the reference may take its time, and says no word meanwhile */

struct profiled {
    const struct kernels_options *options;
    const struct arm_spec *spec; /* op "": none was given, but a name alone */
    const struct registry_entry *entry;
    struct contest contest; /* for the choice of its cache state alone */
    struct roof roof;
    struct pinning pin;
    char shape[512], threads[24], seed[24], runs[24], cache_bytes[24];
    const char *word[24]; /* of the worker, without the program and the plugins */
    char verified[256];
};

/* ---- the case -------------------------------------------------------------------------------- */

/* The one variant that is named and can run here; of a spec its own, whatever else is picked. */
static enum status find_variant(struct profiled *p, const struct registry_entry *const *picked,
                                int count, struct fault *fault)
{
    struct fault why = {{0}};
    int usable = 0;
    if (p->spec->program[0] || p->spec->slow > 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "--profile runs this program as it is; leave @bin and"
                         " @slow out");
    for (int i = 0; i < count; i++)
        if ((!p->spec->op[0] || !strcmp(picked[i]->name, p->spec->variant)) &&
            registry_usable(picked[i], &why) == ST_OK && usable++ == 0)
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
    struct problem *shape = &p->contest.problem;
    const struct op_info *op = NULL;
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(op_table[i]->name, p->entry->op))
            op = op_table[i];
    TRY(shape_parse(p->options->shape ? p->options->shape : op->timing_shape, shape, fault));
    if (op_table[shape->op] != op)
        return fault_set(fault, ST_BAD_INPUT, "the shape is one of %s, but %s/%s is to be profiled",
                         op_table[shape->op]->name, p->entry->op, p->entry->name);
    shape_print(shape, p->shape, sizeof p->shape);
    return ST_OK;
}

static int64_t threads_of(const struct profiled *p)
{
    return p->spec->threads ? p->spec->threads : p->options->threads;
}

/* The cache state and the processors that it would be timed with. */
static enum status find_state(struct profiled *p, struct fault *fault)
{
    p->contest.options = p->options;
    p->contest.count = 1;
    p->contest.roof = &p->roof;
    roof_measure(&p->roof, (int)p->options->threads);
    snprintf(p->pin.list, sizeof p->pin.list, "-");
    if (device_kind() == DEVICE_CPU)
        pinning_choose(p->options->pin, (int)threads_of(p), &p->pin);
    return contest_cache(&p->contest, fault);
}

static void make_words(struct profiled *p)
{
    const struct kernels_options *o = p->options;
    int n = 0;
    snprintf(p->threads, sizeof p->threads, "%" PRId64, threads_of(p));
    snprintf(p->seed, sizeof p->seed, "%" PRIu64, o->seed);
    snprintf(p->runs, sizeof p->runs, "%" PRId64,
             o->repetitions ? o->repetitions : (int64_t)RUNS_BY_DEFAULT);
    snprintf(p->cache_bytes, sizeof p->cache_bytes, "%zu", p->contest.cache.cache_bytes);
    const char *const words[] = {
        "worker",      "kernels",      p->entry->name, p->shape,
        "--threads",   p->threads,     "--seed",       p->seed,
        "--device",    device_text(),  "--cache",      cache_state_name(p->contest.cache.state),
        "--llc-bytes", p->cache_bytes, "--cpus",       p->pin.list,
        "--profile",   p->runs};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        p->word[n++] = words[i];
    if (p->spec->knobs[0]) {
        p->word[n++] = "--knobs";
        p->word[n++] = p->spec->knobs;
    }
}

/* The worker's two sentences, or what went wrong. */
static enum status run_once(struct profiled *p, struct fault *fault)
{
    struct worker *w = NULL;
    const char *line = "";
    enum status s = worker_spawn(p->word, &w, fault);
    while (s == ST_OK && strncmp(line, "ran ", 4) != 0) {
        struct fault why = {{0}};
        s = worker_receive(w, PATIENCE_S, &line, fault);
        if (s == ST_OK && !strncmp(line, "verified ", 9))
            snprintf(p->verified, sizeof p->verified, "%s", line);
        if (s == ST_OK && (s = worker_fault(line, &why)) != ST_OK)
            fault_set(fault, s, "%s/%s: %s", p->entry->op, p->entry->name, why.text);
    }
    worker_end(w);
    return s;
}

/* ---- what is printed ------------------------------------------------------------------------- */

static bool command(const struct profiled *p, int index, char line[PROFILE_LINE_BYTES],
                    const char **missing)
{
    return profile_command(device_kind(), index, self_path(), p->word, registry_plugins(), line,
                           missing);
}

static void print(const struct profiled *p, FILE *out)
{
    char line[PROFILE_LINE_BYTES];
    const char *missing = NULL;
    fprintf(out, "%s/%s at %s, %s\n  %s, then run %s times between a profiler's marks\n",
            p->entry->op, p->entry->name, p->shape, cache_state_name(p->contest.cache.state),
            p->verified, p->runs);
    fputs("the same under a profiler, which sees those runs and nothing else:\n", out);
    for (int i = 0; command(p, i, line, &missing); i++)
        fprintf(out, "  %s\n", line);
    if (missing)
        fprintf(out, "(%s is not in the search path here)\n", missing);
}

static void print_json(const struct profiled *p, FILE *out)
{
    char line[PROFILE_LINE_BYTES];
    const char *missing = NULL;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "op", p->entry->op);
    json_text(&j, "variant", p->entry->name);
    json_text(&j, "shape", p->shape);
    json_text(&j, "cache_state", cache_state_name(p->contest.cache.state));
    json_text(&j, "verified", p->verified);
    json_int(&j, "runs", strtoll(p->runs, NULL, 10));
    json_open_array(&j, "commands");
    for (int i = 0; command(p, i, line, &missing); i++)
        json_text(&j, NULL, line);
    json_end(&j);
    json_end(&j);
    fprintf(out, "%s\n", j.text ? j.text : "");
    json_free(&j);
}

enum status kernels_profile(const struct kernels_options *options, const struct arm_spec *spec,
                            const struct registry_entry *const *picked, int count,
                            struct fault *fault)
{
    struct profiled p = {.options = options, .spec = spec};
    TRY(find_variant(&p, picked, count, fault));
    TRY(find_shape(&p, fault));
    TRY(find_state(&p, fault));
    make_words(&p);
    TRY(run_once(&p, fault));
    if (options->json)
        print_json(&p, stdout);
    else
        print(&p, stdout);
    return ST_OK;
}
