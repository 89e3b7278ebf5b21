// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_compare.c   patchmark compare: is B faster than A? Two arms in turn, a suite of such pairs, or
 * two result files. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "cmd/commands.h"
#include "compare/compare.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"

#define WORDS_MAX (2 * COMPARE_PAIRS_MAX)
#define PAIR_SECONDS 12.0

struct request {
    struct compare_suite suite;
    const char *word[WORDS_MAX], *pairs;
    int words;
    double percent; /* --threshold; NaN: not given */
    bool interleave, gate;
    struct roof roof;
    struct record_file *record;
    int slower, failed, measured;
};

#define OPTIONS(r, k)                                                                              \
    {                                                                                              \
        {"--interleave", NULL, OPTION_FLAG, &(r)->interleave,                                      \
         "the words are arms, by twos: A B [A B ...]; A is what B is held against"},               \
            {"--pairs", "FILE", OPTION_TEXT, &(r)->pairs, "arms from a file, 'A B' on each line"}, \
            {"--shape", "LINE", OPTION_TEXT, &(k)->shape,                                          \
             "for the pairs of its op (each op's own)"},                                           \
            {"--threads", "N", OPTION_COUNT, &(k)->threads,                                        \
             "of arms without @threads (all cores)"},                                              \
            {"--budget", "SECONDS", OPTION_REAL, &(k)->budget,                                     \
             "for each pair, verification included (12), half more at most"},                      \
            {"--threshold", "PERCENT", OPTION_REAL, &(r)->percent,                                 \
             "least difference that counts (1, or this machine's floor if that is more)"},         \
            {"--gate", NULL, OPTION_FLAG, &(r)->gate, "exit code 1 where some B is SLOWER"},       \
            {"--blocked", NULL, OPTION_FLAG, &(r)->suite.blocked,                                  \
             "the arms disturb each other: keep them apart, in several processes each"},           \
            {"--cache", "STATE", OPTION_TEXT, &(k)->cache,                                         \
             "hot, cold-rotate, cold-weights, as kernels"},                                        \
            {"--pin", "cores|none", OPTION_TEXT, &(k)->pin, "as kernels (cores)"},                 \
            {"--backend", "NAME", OPTION_TEXT, &(k)->backend_text, "gbench or loop, as kernels"},  \
            DEVICE_OPTION,                                                                         \
            {"--seed", "N", OPTION_SEED, &(k)->seed, "of checked data and of the order (1)"},      \
            PLUGIN_OPTION,                                                                         \
            {"--results", "DIR|none", OPTION_TEXT, &(k)->results,                                  \
             "where the record goes, and calibrations are (results)"},                             \
            FORMAT_OPTION(&(k)->json), {0},                                                        \
    }

void help_compare(FILE *out)
{
    struct request r = {.pairs = NULL};
    const struct option options[] = OPTIONS(&r, &r.suite.kernels);
    options_help(options, out);
    fputs("an arm: OP/VARIANT[:knob=v,...][@threads=N][@bin=PATH], @bin: another build of"
          " patchmark;\n"
          "        @slow=PERCENT plants a slowdown, to see whether it is found\n",
          out);
}

/* ---- request --------------------------------------------------------------------------------- */

static enum status check_ranges(struct request *r, struct fault *fault)
{
    struct kernels_options *k = &r->suite.kernels;
    if (k->threads < 1 || k->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %" PRId64,
                         k->threads);
    if (!isnan(k->budget) && (!(k->budget > 0) || k->budget > 86400))
        return fault_set(fault, ST_BAD_INPUT, "--budget wants seconds, above 0 and at most a day");
    if (!isnan(r->percent) && !(r->percent > 0 && r->percent < 100))
        return fault_set(fault, ST_BAD_INPUT, "--threshold wants a percentage, as 2");
    enum cache_state state;
    if (k->cache && !cache_state_find(k->cache, &state))
        return fault_set(fault, ST_BAD_INPUT,
                         "--cache is hot, cold-rotate or cold-weights, not '%s'", k->cache);
    if (!pinning_is_wish(k->pin))
        return fault_set(fault, ST_BAD_INPUT, "--pin is cores or none, not '%s'", k->pin);
    return backend_find(k->backend_text, &k->backend, fault);
}

static enum status read_pairs(struct request *r, struct fault *fault)
{
    if (r->pairs && r->words)
        return fault_set(fault, ST_BAD_INPUT, "arms are given as words or by --pairs, not both");
    if (r->pairs)
        return suite_add_file(&r->suite, r->pairs, fault);
    if (r->words == 0 || r->words % 2)
        return fault_set(fault, ST_BAD_INPUT,
                         "--interleave wants arms by twos, A B [A B ...], not %d", r->words);
    for (int i = 0; i < r->words; i += 2)
        TRY(suite_add(&r->suite, r->word[i], r->word[i + 1], fault));
    return ST_OK;
}

static enum status check_shape(const struct compare_suite *s, struct fault *fault)
{
    struct problem shape;
    if (!s->kernels.shape)
        return ST_OK;
    TRY(shape_parse(s->kernels.shape, &shape, fault));
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->pair[i].spec[DUEL_A].op, op_table[shape.op]->name))
            return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "the shape is one of %s, but no pair is",
                     op_table[shape.op]->name);
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    struct compare_suite *s = &r->suite;
    const struct option options[] = OPTIONS(r, &s->kernels);
    s->kernels = (struct kernels_options){
        .results = "results", .pin = "cores", .budget = NAN, .seed = 1, .threads = host_cores()};
    r->words = WORDS_MAX;
    r->percent = NAN;
    TRY(options_parse(options, argc, argv, r->word, &r->words, fault));
    TRY(check_ranges(r, fault));
    s->threshold = r->percent / 100;
    s->calibrations = strcmp(s->kernels.results, "none") ? s->kernels.results : "results";
    return ST_OK;
}

/* ---- arms ------------------------------------------------------------------------------------ */

static enum status write_arms(struct request *r, const struct compare_pair *p, struct fault *fault)
{
    const struct contest *c = &p->duel->contest;
    for (int i = 0; r->record && i < DUEL_ARMS; i++) {
        struct json j;
        struct arm *a = &p->duel->contest.arms[i];
        TRY(record_samples(r->record, &a->raw, &a->place, fault));
        record_begin(r->record, &j, "case");
        kernels_case(c, a, &j);
        TRY(record_write(r->record, &j, fault));
    }
    return ST_OK;
}

static enum status write_verdicts(struct request *r, struct fault *fault)
{
    for (int i = 0; r->record && i < r->suite.count; i++) {
        struct json j;
        record_begin(r->record, &j, "compare");
        compare_json(&r->suite, i, &j);
        TRY(record_write(r->record, &j, fault));
    }
    return ST_OK;
}

static enum status measure(struct request *r, struct fault *fault)
{
    struct compare_suite *s = &r->suite;
    for (int i = 0; i < s->count; i++) {
        TRY(suite_run(s, i, &r->roof, fault));
        TRY(write_arms(r, &s->pair[i], fault));
        r->failed += duel_failed(s->pair[i].duel);
        r->measured += duel_measured(s->pair[i].duel);
    }
    suite_judge(s);
    for (int i = 0; i < s->count; i++)
        r->slower += s->pair[i].duel->judgement.verdict == VERDICT_SLOWER;
    return ST_OK;
}

static void print_head(const struct compare_suite *s)
{
    printf("B against A, %g s a pair\n", s->kernels.budget);
    for (int i = 0; i < s->count; i++) {
        char floor[256];
        const struct compare_pair *p = &s->pair[i];
        int first = 0;
        while (suite_threads(s, &s->pair[first]) != suite_threads(s, p))
            first++;
        if (first < i) /* the same calibration */
            continue;
        calibration_describe(p->calibrated ? &p->calibration : NULL, suite_threads(s, p), floor,
                             sizeof floor);
        printf("differences under %.3g %% do not count: %s\n", 100 * p->options.threshold, floor);
    }
    if (s->note[0])
        printf("%s\n", s->note);
    putchar('\n');
    fflush(stdout);
}

static void print_document(const struct request *r, const char *path)
{
    const struct compare_suite *s = &r->suite;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_open_object(&j, "schema");
    json_text(&j, "name", "patchmark");
    json_text(&j, "version", RECORD_SCHEMA_VERSION);
    json_end(&j);
    json_text(&j, "machine", host_machine_slug());
    json_text(&j, "command", self_command_line());
    json_open_array(&j, "pairs");
    for (int i = 0; i < s->count; i++) {
        json_open_object(&j, NULL);
        compare_json(s, i, &j);
        json_open_array(&j, "arms");
        for (int k = 0; k < DUEL_ARMS; k++) {
            json_open_object(&j, NULL);
            kernels_case(&s->pair[i].duel->contest, &s->pair[i].duel->contest.arms[k], &j);
            json_end(&j);
        }
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    json_text(&j, "record", path);
    json_end(&j);
    printf("%s\n", j.failed ? "null" : j.text);
    json_free(&j);
}

static enum status arms(struct request *r, struct fault *fault)
{
    struct compare_suite *s = &r->suite;
    const char *path = NULL;
    TRY(read_pairs(r, fault));
    TRY(check_shape(s, fault));
    if (isnan(s->kernels.budget))
        s->kernels.budget = PAIR_SECONDS;
    TRY(suite_settle(s, fault));
    if (strcmp(s->kernels.results, "none") != 0)
        TRY(record_open(s->kernels.results, self_command_line(), &r->record, fault));
    if (!s->kernels.json)
        print_head(s);
    roof_measure(&r->roof, (int)s->kernels.threads);
    TRY(measure(r, fault));
    for (int i = 0; i < s->count && !s->kernels.json; i++)
        compare_print(s, i, stdout); /* what is known, even where the disk is full */
    TRY(write_verdicts(r, fault));
    if (r->record)
        TRY(record_close(r->record, &path, fault));
    if (s->kernels.json)
        print_document(r, path);
    else if (path)
        printf("record: %s\n", path);
    return ST_OK;
}

/* ---- result files ---------------------------------------------------------------------------- */

static enum status files(struct request *r, struct fault *fault)
{
    struct arm_spec spec;
    if (r->words && access(r->word[0], F_OK) != 0 && !strpbrk(r->word[0], ",") &&
        arm_spec_parse(r->word[0], &spec, NULL) == ST_OK &&
        op_find(spec.op, &(enum op_id){0}, NULL) == ST_OK)
        return fault_set(fault, ST_BAD_INPUT, "arms as %s are compared with --interleave",
                         r->word[0]);
    if (r->words != 2)
        return fault_set(fault, ST_BAD_INPUT,
                         "compare wants two result files, OLD.jsonl NEW.jsonl, or --interleave and"
                         " arms");
    const struct kernels_options *k = &r->suite.kernels;
    if (r->suite.blocked || k->shape || k->cache || !isnan(k->budget))
        return fault_set(fault, ST_BAD_INPUT,
                         "--blocked, --shape, --cache and --budget are for arms (--interleave);"
                         " result files were measured as they were");
    struct compare_files c = {.old_paths = r->word[0],
                              .new_paths = r->word[1],
                              .calibrations = r->suite.calibrations,
                              .threshold = r->suite.threshold,
                              .json = r->suite.kernels.json};
    TRY(compare_files(&c, fault));
    r->measured = c.compared;
    r->slower = c.slower;
    return ST_OK;
}

int cmd_compare(int argc, char **argv, struct fault *fault)
{
    struct request r = {.roof.isa = ""};
    enum status status = parse(argc, argv, &r, fault);
    if (status == ST_OK)
        status = r.interleave || r.pairs ? arms(&r, fault) : files(&r, fault);
    if (status == ST_INTERRUPTED && r.record && (r.measured || r.failed))
        status = record_keep(r.record, fault); /* without verdicts: the suite is not whole */
    if (r.record)
        record_free(r.record);
    suite_free(&r.suite);
    if (status != ST_OK)
        return exit_code_of(status);
    bool fails = r.failed || (r.gate && r.slower);
    return fails ? EXIT_CHECK : r.measured ? EXIT_OK : EXIT_NOTHING;
}
