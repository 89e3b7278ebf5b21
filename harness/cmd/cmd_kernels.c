// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_kernels.c   patchmark kernels: the variants of an op against each other at one shape.
 * Options, which variants meet, and what is printed and recorded of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "check/verify.h"
#include "cmd/commands.h"
#include "contest/kernels.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"

#define SOAK_SECONDS 12 /* a little over what a figure needs */
#define NOT_GIVEN INT64_MIN

struct request {
    struct kernels_options options;
    struct arm_spec spec; /* given in place of a glob; op "": none */
    const struct registry_entry **picked;
    int picked_count;
    struct roof roof;
    struct record_file *record;
    struct json document;
    bool any_timed, any_failed;
};

#define OPTIONS(o)                                                                                 \
    {                                                                                              \
        {"--shape", "LINE", OPTION_TEXT, &(o)->shape,                                              \
         "as linear:S=512,K=1536,O=1536 (each op's own)"},                                         \
            {"--without", "GLOB", OPTION_TEXT, &(o)->without,                                      \
             "leaves these variants out, as cuda_*"},                                              \
            {"--threads", "N", OPTION_COUNT, &(o)->threads, "threads of a variant (all cores)"},   \
            {"--budget", "SECONDS", OPTION_REAL, &(o)->budget,                                     \
             "for each shape, verification included (12), half more at most"},                     \
            {"--repetitions", "N", OPTION_COUNT, &(o)->repetitions,                                \
             "blocks of each variant, whatever the budget"},                                       \
            {"--backend", "NAME", OPTION_TEXT, &(o)->backend_text,                                 \
             "gbench or loop (gbench where it is built in); a CUDA device has events alone"},      \
            DEVICE_OPTION,                                                                         \
            {"--cache", "STATE", OPTION_TEXT, &(o)->cache,                                         \
             "hot, cold-rotate, cold-weights (the last for transformer ops with weights, else "    \
             "hot)"},                                                                              \
            {"--pin", "cores|none", OPTION_TEXT, &(o)->pin,                                        \
             "one thread on each core, where they fit (cores); none: as the system places them"},  \
            {"--llc-bytes", "N", OPTION_COUNT, &(o)->cache_bytes,                                  \
             "last-level cache that cold data goes through twice (what the machine says)"},        \
            {"--counters", "LIST", OPTION_TEXT, &(o)->counters,                                    \
             "PAPI events or presets, as PAPI_TOT_CYC,cache; 'list counters' shows them"},         \
            {"--energy", "SECONDS", OPTION_REAL, &(o)->soak_s,                                     \
             "each variant runs alone so long as well, for joules a run: 12 or more"},             \
            ENERGY_OPTIONS(&(o)->energy_request),                                                  \
            {"--profile", "VARIANT", OPTION_TEXT, &(o)->profile,                                   \
             "verify it, run it --repetitions times (10) between marks, print perf, ncu or"        \
             " nsys lines"},                                                                       \
            {"--seed", "N", OPTION_SEED, &(o)->seed, "of checked data and of the order (1)"},      \
            PLUGIN_OPTION,                                                                         \
            {"--results", "DIR|none", OPTION_TEXT, &(o)->results,                                  \
             "where the record goes (results)"},                                                   \
            FORMAT_OPTION(&(o)->json), {0},                                                        \
    }

void help_kernels(FILE *out)
{
    struct kernels_options o = {.glob = NULL};
    const struct option options[] = OPTIONS(&o);
    options_help(options, out);
    fputs("\nWhat makes a variant look fast without being it gets a state and no time: stale, late "
          "or\n"
          "lazy output, inputs edited, results kept, threads or memory that it was not given, the\n"
          "clock of its process patched, times below the roof. README, 'Cheats', says how each is\n"
          "seen, and what is not.\n",
          out);
}

/* ---- request --------------------------------------------------------------------------------- */

enum status backend_find(const char *name, enum backend *out, struct fault *fault)
{
    const char *events = backend_name(BACKEND_EVENTS);
    bool cuda = device_kind() == DEVICE_CUDA;
    *out = cuda ? BACKEND_EVENTS : backend_default();
    if (!name || (cuda && !strcmp(name, events)))
        return ST_OK;
    if (cuda)
        return fault_set(fault, ST_BAD_INPUT,
                         "--backend %s times the CPU; a CUDA device is timed by its own %s", name,
                         events);
    int b = BACKEND_LOOP;
    while (b <= BACKEND_GBENCH && strcmp(name, backend_name((enum backend)b)) != 0)
        b++;
    if (b > BACKEND_GBENCH)
        return fault_set(fault, ST_BAD_INPUT, "--backend is gbench or loop, not '%s'", name);
    *out = (enum backend)b;
    if (!backend_built(*out))
        return fault_set(fault, ST_NOT_BUILT, "this build has no %s back end; use --backend loop",
                         name);
    return ST_OK;
}

static enum status check_ranges(struct kernels_options *o, struct fault *fault)
{
    if (o->threads < 1 || o->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %" PRId64,
                         o->threads);
    if (!(o->budget > 0) || o->budget > 86400)
        return fault_set(fault, ST_BAD_INPUT, "--budget wants seconds, above 0 and at most a day");
    if (o->repetitions == NOT_GIVEN)
        o->repetitions = 0;
    else if (o->repetitions < 1 || o->repetitions > KERNELS_MOST_BLOCKS)
        return fault_set(fault, ST_BAD_INPUT, "--repetitions wants 1 to %d, not %" PRId64,
                         KERNELS_MOST_BLOCKS, o->repetitions);
    if (o->soak_s < 0 || o->soak_s > 3600)
        return fault_set(fault, ST_BAD_INPUT, "--energy wants seconds, 12 or more for a figure");
    enum cache_state state;
    if (o->cache && !cache_state_find(o->cache, &state))
        return fault_set(fault, ST_BAD_INPUT,
                         "--cache is hot, cold-rotate or cold-weights, not '%s'", o->cache);
    if (!pinning_is_wish(o->pin))
        return fault_set(fault, ST_BAD_INPUT, "--pin is cores or none, not '%s'", o->pin);
    if (o->cache_bytes < 0)
        return fault_set(fault, ST_BAD_INPUT, "--llc-bytes wants a size in bytes");
    return backend_find(o->backend_text, &o->backend, fault);
}

/* What --without names goes; to be left with nothing is no mistake of the caller's. */
static enum status leave_out(struct request *r, struct fault *fault)
{
    int kept = 0;
    for (int i = 0; i < r->picked_count; i++)
        if (!r->options.without || !glob_match(r->options.without, r->picked[i]->name))
            r->picked[kept++] = r->picked[i];
    r->picked_count = kept;
    return kept ? ST_OK
                : fault_set(fault, ST_UNAVAILABLE, "--without %s leaves no variant",
                            r->options.without);
}

/* A counter's name may be unknown here and known elsewhere; a list that cannot be read is wrong. */
static enum status check_counters(const char *names, struct fault *fault)
{
    struct counters *counters = NULL;
    if (!names)
        return ST_OK;
    TRY(counters_open(names, COUNTERS_IN_PASSES, &counters, fault));
    counters_free(counters);
    return ST_OK;
}

/* "OP/VARIANT:knob=v@threads=N": one variant, set otherwise than by default. */
static enum status one_arm(struct request *r, struct fault *fault)
{
    const struct registry_entry *entry;
    TRY(arm_spec_parse(r->options.glob, &r->spec, fault));
    TRY(arm_spec_find(&r->spec, &entry, fault));
    if (r->spec.threads)
        r->options.threads = r->spec.threads;
    if (entry)
        TRY(verify_keep_device(entry->name, device_kind(), &entry, &(int){1}, fault));
    return verify_select(r->spec.op, &r->picked, &r->picked_count, fault);
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    struct kernels_options *o = &r->options;
    const struct option options[] = OPTIONS(o);
    int words = 1;
    *o = (struct kernels_options){
        .results = "results", .pin = "cores", .budget = 12, .repetitions = NOT_GIVEN, .seed = 1};
    o->threads = host_cores();
    TRY(options_parse(options, argc, argv, &o->glob, &words, fault));
    TRY(check_ranges(o, fault));
    if (o->profile && o->glob)
        return fault_set(fault, ST_BAD_INPUT, "--profile %s names the variant; leave '%s' out",
                         o->profile, o->glob);
    if (o->profile)
        o->glob = o->profile;
    if (o->energy_request.power_file || o->energy_request.idle_s > 0)
        o->soak_s = o->soak_s > 0 ? o->soak_s : SOAK_SECONDS;
    o->energy_request.asked = o->soak_s > 0;
    if (o->soak_s > 0 || o->energy_request.power_scope)
        TRY(energy_open(&o->energy_request, &o->energy, fault));
    TRY(check_counters(o->counters, fault));
    if (o->glob && strpbrk(o->glob, ":@"))
        return one_arm(r, fault);
    TRY(verify_select(o->glob, &r->picked, &r->picked_count, fault));
    TRY(verify_keep_device(o->glob, device_kind(), r->picked, &r->picked_count, fault));
    return leave_out(r, fault);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum status write_records(struct request *r, const struct contest *c, struct fault *fault)
{
    for (int i = 0; r->record && i < c->count; i++) {
        struct json j;
        TRY(record_samples(r->record, &c->arms[i].raw, &c->arms[i].place, fault));
        record_begin(r->record, &j, "case");
        kernels_case(c, &c->arms[i], &j);
        TRY(record_write(r->record, &j, fault));
    }
    return ST_OK;
}

static void write_document(struct json *j, const struct contest *c)
{
    char line[1024];
    json_open_object(j, NULL);
    json_text(j, "op", op_table[c->problem.op]->name);
    json_text(j, "shape", c->shape);
    kernels_winner(c, line, sizeof line);
    json_text(j, "verdict", line);
    json_text(j, "baseline", c->baseline ? c->baseline->entry->name : NULL);
    json_text(j, "best", c->best ? c->best->entry->name : NULL);
    json_open_array(j, "variants");
    for (int i = 0; i < c->count; i++) {
        json_open_object(j, NULL);
        kernels_case(c, &c->arms[i], j);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void take_stock(struct request *r, const struct contest *c)
{
    for (int i = 0; i < c->count; i++) {
        r->any_timed = r->any_timed || arm_timed(&c->arms[i]);
        r->any_failed = r->any_failed || kernels_failed(&c->arms[i]);
    }
}

static enum status contest_at(struct request *r, const struct problem *shape, struct fault *fault)
{
    struct contest c;
    enum status status =
        r->spec.op[0]
            ? contest_new_arms(&r->options, shape, &r->spec, 1, &r->roof, &c, fault)
            : contest_new(&r->options, shape, r->picked, r->picked_count, &r->roof, &c, fault);
    if (status == ST_OK)
        status = contest_run(&c, fault);
    if (status == ST_OK) {
        take_stock(r, &c);
        status = write_records(r, &c, fault);
        if (r->options.json)
            write_document(&r->document, &c);
        else
            kernels_table(&c, stdout);
        fflush(stdout);
    }
    contest_free(&c);
    return status;
}

/* Ops in the table's order; each once, at the shape asked for or its own. */
static enum status contests(struct request *r, struct fault *fault)
{
    struct problem shape;
    if (r->options.shape)
        return shape_parse(r->options.shape, &shape, fault) == ST_OK ? contest_at(r, &shape, fault)
                                                                     : ST_BAD_INPUT;
    for (int op = 0; op < OP_COUNT; op++) {
        bool wanted = false;
        for (int i = 0; i < r->picked_count; i++)
            wanted = wanted || !strcmp(r->picked[i]->op, op_table[op]->name);
        if (!wanted)
            continue;
        TRY(shape_parse(op_table[op]->timing_shape, &shape, fault));
        TRY(contest_at(r, &shape, fault));
    }
    return ST_OK;
}

/* The shape's op and the glob must meet before a process is started. */
static enum status check_shape(const struct request *r, struct fault *fault)
{
    struct problem shape;
    if (!r->options.shape)
        return ST_OK;
    TRY(shape_parse(r->options.shape, &shape, fault));
    for (int i = 0; i < r->picked_count; i++)
        if (!strcmp(r->picked[i]->op, op_table[shape.op]->name))
            return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "the shape is one of %s, but '%s' names no variant of it",
                     op_table[shape.op]->name, r->options.glob ? r->options.glob : "*");
}

static enum status open_outputs(struct request *r, struct fault *fault)
{
    if (strcmp(r->options.results, "none") != 0)
        TRY(record_open(r->options.results, self_command_line(), &r->record, fault));
    roof_measure(&r->roof, (int)r->options.threads);
    json_init(&r->document, true);
    json_open_object(&r->document, NULL);
    json_open_object(&r->document, "schema");
    json_text(&r->document, "name", "patchmark");
    json_text(&r->document, "version", RECORD_SCHEMA_VERSION);
    json_end(&r->document);
    json_text(&r->document, "machine", host_machine_slug());
    json_text(&r->document, "command", self_command_line());
    json_open_array(&r->document, "shapes");
    return ST_OK;
}

static enum status close_outputs(struct request *r, struct fault *fault)
{
    const char *path = NULL;
    if (r->record)
        TRY(record_close(r->record, &path, fault));
    json_end(&r->document);
    json_text(&r->document, "record", path);
    json_end(&r->document);
    if (r->options.json && r->document.failed)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the document");
    if (r->options.json)
        printf("%s\n", r->document.text);
    else if (path)
        printf("record: %s\n", path);
    return ST_OK;
}

int cmd_kernels(int argc, char **argv, struct fault *fault)
{
    struct request r = {.roof.isa = ""};
    enum status status = parse(argc, argv, &r, fault);
    if (status == ST_OK)
        status = check_shape(&r, fault);
    if (status == ST_OK && r.options.profile) {
        status = kernels_profile(&r.options, &r.spec, r.picked, r.picked_count, fault);
        energy_close(r.options.energy);
        free(r.picked);
        return exit_code_of(status);
    }
    if (status == ST_OK)
        status = open_outputs(&r, fault);
    if (status == ST_OK)
        status = contests(&r, fault);
    if (status == ST_OK)
        status = close_outputs(&r, fault);
    else if (status == ST_INTERRUPTED && r.record && (r.any_timed || r.any_failed))
        status = record_keep(r.record, fault);
    if (status == ST_OK)
        status = energy_status(r.options.energy, fault);
    energy_close(r.options.energy);
    if (r.record)
        record_free(r.record);
    json_free(&r.document);
    free(r.picked);
    if (status != ST_OK)
        return exit_code_of(status);
    return r.any_failed ? EXIT_CHECK : r.any_timed ? EXIT_OK : EXIT_NOTHING;
}

/* ---- cases of a sweep ------------------------------------------------------------------------ */

static enum status parse_words(const char *const *words, struct request *r, struct fault *fault)
{
    int count = 0;
    while (words[count])
        count++;
    TRY(parse(count, (char **)words, r, fault));
    return check_shape(r, fault);
}

enum status kernels_words_check(const char *const *words, double *budget_s, struct fault *fault)
{
    struct request r = {.roof.isa = ""};
    enum status status = parse_words(words, &r, fault);
    *budget_s = r.options.budget;
    energy_close(r.options.energy);
    free(r.picked);
    return status;
}

enum status kernels_words_run(const char *const *words, struct record_file *record,
                              struct json *document, struct kernels_tally *tally,
                              struct fault *fault)
{
    struct request r = {.roof.isa = "", .record = record};
    enum status status = parse_words(words, &r, fault);
    if (status == ST_OK) {
        roof_measure(&r.roof, (int)r.options.threads);
        r.options.json = document != NULL;
        if (document)
            r.document = *document;
        status = contests(&r, fault);
        if (document)
            *document = r.document;
    }
    if (status == ST_OK)
        status = energy_status(r.options.energy, fault);
    energy_close(r.options.energy);
    *tally = (struct kernels_tally){r.any_timed, r.any_failed};
    free(r.picked);
    return status;
}
