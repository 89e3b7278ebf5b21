// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_shapes.c   Which shapes are tuned: those of a model's clip, of a file, or one. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "machine/host.h"
#include "run/sample.h"
#include "timing/measure.h"
#include "tune/tune.h"

/* A multiply-add moves no byte and a byte costs as much as so many flops: what machines of the last
 * ten years have, to a factor of three. It only divides the budget. */
#define FLOPS_PER_BYTE 10.0
/* Of the predicted time: a bucket with less is not worth a search. */
#define LEAST_SHARE 0.002

static double cost_of(const struct problem *p)
{
    return problem_flops(p) + FLOPS_PER_BYTE * problem_bytes(p);
}

/* The costs stand in `share` until all are known. */
static enum status add(struct bucket_list *list, const struct problem *p, int64_t calls)
{
    char name[BUCKET_BYTES];
    const double cost = cost_of(p);
    struct bucket *b = list->item;
    bucket_print(p, name, sizeof name);
    while (b < list->item + list->count && strcmp(b->name, name) != 0)
        b++;
    if (b == list->item + list->count) {
        struct bucket *grown = realloc(list->item, (size_t)(list->count + 1) * sizeof *grown);
        if (!grown)
            return ST_NO_MEMORY;
        list->item = grown;
        b = &grown[list->count++];
        *b = (struct bucket){.problem = *p, .ratio = {NAN, NAN, NAN}};
        snprintf(b->name, sizeof b->name, "%s", name);
        shape_print(p, b->shape, sizeof b->shape);
    } else if (cost > cost_of(&b->problem)) {
        b->problem = *p;
        shape_print(p, b->shape, sizeof b->shape);
    }
    b->calls += calls;
    b->problems++;
    b->share += cost * (double)calls;
    return ST_OK;
}

/* The plan without a table says who would serve; what it expands is there as its parts. Shape lines
 * have rows side by side, so the problem is made again from its line. */
static enum status add_trace(const struct engine *engine, struct bucket_list *list,
                             struct fault *fault)
{
    int64_t count;
    char line[512];
    struct problem p;
    const struct traced_call *trace = engine_trace(engine, &count);
    for (int64_t i = 0; i < count; i++) {
        if (!trace[i].entry)
            continue;
        shape_print(&trace[i].problem, line, sizeof line);
        TRY(shape_parse(line, &p, fault));
        TRY(add(list, &p, trace[i].calls));
    }
    return ST_OK;
}

static enum status add_model(const char *model, const struct tune_options *options,
                             struct bucket_list *list, struct fault *fault)
{
    struct case_spec spec = options->spec;
    struct pipeline_case c;
    struct engine *engine;
    spec.model = model;
    spec.untuned = true;
    spec.threads = options->threads;
    TRY(case_resolve(&spec, &c, fault));
    TRY(case_ready(&c, fault));
    TRY(engine_new(&c.config, &engine, fault));
    enum status s = engine_plan(engine, &c.request, false, fault);
    if (s == ST_OK)
        s = add_trace(engine, list, fault);
    engine_free(engine);
    return s;
}

static enum status add_line(const char *line, struct bucket_list *list, struct fault *fault)
{
    struct problem p;
    TRY(shape_parse(line, &p, fault));
    return add(list, &p, 1);
}

/* A shape line per line; what follows '#' is for people. */
static enum status add_file(const char *path, struct bucket_list *list, struct fault *fault)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    enum status s = ST_OK;
    if (!in)
        return fault_set(fault, ST_BAD_INPUT, "--shapes %s cannot be read: %s", path,
                         strerror(errno));
    while (s == ST_OK && getline(&line, &room, in) > 0) {
        struct fault inner = {{0}};
        number++;
        line[strcspn(line, "#\n")] = '\0';
        char *end = line + strlen(line);
        while (end > line && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
            *--end = '\0';
        s = line[0] ? add_line(line, list, &inner) : ST_OK;
        if (s != ST_OK)
            fault_set(fault, s, "%s, line %d: %.800s", path, number, inner.text);
    }
    free(line);
    fclose(in);
    return s;
}

static int by_share(const void *left, const void *right)
{
    const struct bucket *a = left, *b = right;
    if (a->share != b->share)
        return a->share < b->share ? 1 : -1;
    return strcmp(a->name, b->name);
}

/* Costs become shares; of a model's many shapes the small change is left out. */
static void settle(struct bucket_list *list, bool all)
{
    double sum = 0;
    int kept = 0;
    for (int i = 0; i < list->count; i++)
        sum += list->item[i].share;
    for (int i = 0; i < list->count; i++)
        list->item[i].share /= sum;
    qsort(list->item, (size_t)list->count, sizeof *list->item, by_share);
    while (kept < list->count && (all || list->item[kept].share >= LEAST_SHARE))
        kept++;
    for (int i = kept; i < list->count; i++)
        list->left_out += list->item[i].share;
    list->small = list->count - kept;
    list->count = kept;
}

/* What one run of a bucket's shape may take; several candidates run several times each. */
#define RUN_SHARE 0.01
#define RUN_SECONDS 0.005  /* and may take in any case */
#define USUAL_OF_PEAK 0.3  /* what a good kernel reaches */
#define WRITTEN_PER_S 2e9  /* bytes, by ops that compute nothing */
#define ROWS_AT_ONCE 384   /* a part has whole numbers of so many rows: several of any tile */
#define MEMORY_SHARE 0.125 /* of what is free, for the operands */

enum status tune_cut(struct bucket *b, double budget_s, int threads, struct fault *fault)
{
    static double peak;
    const char *isa;
    if (!(peak > 0))
        peak = measure_fma_peak(threads, &isa);
    const double run_s = fmax(RUN_SECONDS, RUN_SHARE * budget_s);
    const double rate = problem_flops(&b->problem) > 0 ? USUAL_OF_PEAK * peak : WRITTEN_PER_S;
    const struct sample_limits limits = {
        rate * run_s, MEMORY_SHARE * (double)host_memory_available(), ROWS_AT_ONCE};
    struct sample_cut cut;
    sample_cut(&b->problem, &limits, &cut);
    b->part = !cut.whole;
    if (cut.whole)
        return ST_OK;
    shape_print(&cut.tile, b->shape, sizeof b->shape);
    return shape_parse(b->shape, &b->problem, fault);
}

enum status tune_shapes(const char *what, const struct tune_options *options,
                        struct bucket_list *out, struct fault *fault)
{
    struct stat info;
    *out = (struct bucket_list){0};
    const bool is_line = strchr(what, ':') != NULL;
    const bool is_file = !is_line && !stat(what, &info) && S_ISREG(info.st_mode);
    enum status s = is_line   ? add_line(what, out, fault)
                    : is_file ? add_file(what, out, fault)
                              : add_model(what, options, out, fault);
    if (s == ST_OK && !out->count)
        s = fault_set(fault, ST_BAD_INPUT, "--shapes %s holds no shape", what);
    if (s == ST_OK)
        settle(out, is_line || is_file);
    return s;
}

void tune_shapes_free(struct bucket_list *list)
{
    for (int i = 0; i < list->count + list->small; i++)
        free(list->item[i].list);
    free(list->item);
}
