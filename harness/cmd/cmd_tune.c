// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_tune.c   patchmark tune: which variant with which knobs serves each shape bucket of a model on
 * this machine. A bucket's decision is in the table before it is in the journal and on the screen, so
 * that whatever ends the program costs the bucket under way and no other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check/verify.h"
#include "cmd/commands.h"
#include "compare/calibration.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"
#include "timing/measure.h"
#include "tune/tune.h"
#include "tune/tune_check.h"
#include "tune/tune_journal.h"

#define SEARCH_SHARE 0.5     /* of a bucket's time; the rest confirms */
#define BUCKET_SECONDS 0.5   /* less is no search */
#define CONFIRM_SECONDS 2.0  /* at least */
#define NOMINAL_SECONDS 30.0 /* at most, of a search whose budget is a count */
#define COUNTED_CONFIRM_SECONDS 4.0

static struct tune_options options_given = {.spec = CASE_DEFAULTS, .seed = 1};
static const char *shapes = "tiny", *budget = "60s", *results = "results";
static int64_t threads;
static bool check_only, afresh;

static enum status choose_device(const char *text, struct fault *fault)
{
    options_given.spec.device = text;
    return device_choose(text, fault);
}

static const struct option options[] = {
    {"--shapes", "WHAT", OPTION_TEXT, &shapes,
     "a preset or a folder, its clip by --size and so on; a file of shape lines; or one line "
     "(tiny)"},
    {"--budget", "60s|N", OPTION_TEXT, &budget,
     "for all together: seconds, as 60s, 10m, 2h (60s); or N candidates a bucket, however long"},
    {"--size", "WxH", OPTION_SIZE, &options_given.spec.size, "of the clip (the model's own)"},
    {"--frames", "N", OPTION_COUNT, &options_given.spec.frames, "of the clip"},
    {"--seconds", "S", OPTION_REAL, &options_given.spec.seconds,
     "of the clip, instead of --frames"},
    {"--steps", "N", OPTION_COUNT, &options_given.spec.steps, "denoising steps of the clip"},
    {"--dtype", "T", OPTION_TEXT, &options_given.spec.dtype, "f32, bf16, f16"},
    {"--threads", "N", OPTION_COUNT, &threads,
     "CPU threads (all cores); a table line is of a count"},
    {"--device", "D", OPTION_EACH, NULL, "cpu or cuda:N (cpu)", choose_device},
    {"--check", NULL, OPTION_FLAG, &check_only,
     "no search: time these shapes' lines, and the clip, against untuned; drop what is slower"},
    {"--afresh", NULL, OPTION_FLAG, &afresh, "forget what an interrupted search has decided"},
    {"--seed", "N", OPTION_SEED, &options_given.seed, "of data and order (1)"},
    PLUGIN_OPTION,
    {"--results", "DIR", OPTION_TEXT, &results, "where the table and the record go (results)"},
    {0},
};

void help_tune(FILE *out) { options_help(options, out); }

struct tuning {
    const struct tune_options *o;
    struct bucket_list list;
    struct tune_journal journal;
    struct record_file *record;
    struct tuned *table; /* as it was at the start; NULL: none */
    char place[96], path[4096], kept_aside[4200];
    double deadline;
    int at;
};

/* ---- options --------------------------------------------------------------------------------- */

/* "60s", "10m", "2h", or a whole number of candidates. */
static enum status parse_budget(const char *text, struct tune_options *o, struct fault *fault)
{
    char *end;
    const double value = strtod(text, &end);
    const double unit = !strcmp(end, "s")   ? 1
                        : !strcmp(end, "m") ? 60
                        : !strcmp(end, "h") ? 3600
                                            : 0;
    if (end != text && unit > 0 && value >= 1 && value * unit <= 7 * 86400) {
        o->budget_s = value * unit;
        return ST_OK;
    }
    o->budget_s = INFINITY;
    o->most = (int64_t)value;
    if (end != text && !*end && value >= 2 && value <= 1e6 && value == (double)o->most)
        return ST_OK;
    return fault_set(
        fault, ST_BAD_INPUT,
        "--budget '%s' should be a time from 1s to a week, as 60s, 10m, 2h, or how many"
        " candidates a bucket may have, 2 or more",
        text);
}

static enum status parse(int argc, char **argv, struct fault *fault)
{
    struct tune_options *o = &options_given;
    int words = 1;
    threads = host_cores();
    TRY(options_parse(options, argc, argv, &o->glob, &words, fault));
    if (threads < 1 || threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096");
    o->threads = (int)threads;
    if (!strcmp(device_ran_on(), "emulated"))
        return fault_set(fault, ST_UNAVAILABLE, "an emulated device is never timed, so not tuned");
    if (!strcmp(results, "none"))
        return fault_set(fault, ST_BAD_INPUT,
                         "tune keeps a table; --results wants a folder for it");
    return parse_budget(budget, o, fault);
}

/* What is told apart here: see calibrate. */
static void set_threshold(void)
{
    struct calibration c;
    char note[512], text[256];
    const bool calibrated = calibration_newest(results, threads, &c, note, sizeof note);
    options_given.threshold = calibration_threshold(calibrated ? &c : NULL);
    options_given.calibration = calibrated ? c : (struct calibration){.pair_seconds = 0};
    calibration_describe(calibrated ? &c : NULL, threads, text, sizeof text);
    printf("gains of %.3g%% and more count (%s)\n", 100 * options_given.threshold, text);
}

/* A glob that names nothing, or nothing of these shapes' ops, is a slip of the pen. */
static enum status check_glob(const struct bucket_list *list, struct fault *fault)
{
    const struct registry_entry **picked;
    int count, met = 0;
    if (!options_given.glob)
        return ST_OK;
    TRY(verify_select(options_given.glob, &picked, &count, fault));
    for (int i = 0; i < list->count; i++)
        for (int k = 0; k < count; k++)
            met += !strcmp(picked[k]->op, op_table[list->item[i].problem.op]->name);
    free(picked);
    return met ? ST_OK
               : fault_set(fault, ST_BAD_INPUT, "'%s' names no variant of the ops in --shapes %s",
                           options_given.glob, shapes);
}

/* ---- one bucket ------------------------------------------------------------------------------ */

static double seconds_left(const struct tuning *t) { return t->deadline - clock_seconds(); }

static void say(void *user, const struct bucket *b)
{
    const struct tuning *t = user;
    const struct candidate *best = NULL;
    char lead[96] = "", left[48] = "";
    for (int i = 1; i < b->count; i++)
        if (b->list[i].visits && (!best || b->list[i].best_s < best->best_s))
            best = &b->list[i];
    if (best && best->best_s < b->list->best_s)
        snprintf(lead, sizeof lead, ", %s leads by %.0f%%", best->entry->name,
                 100 * (1 - best->best_s / b->list->best_s));
    if (isfinite(t->deadline))
        snprintf(left, sizeof left, "; %.0f s left", fmax(0, seconds_left(t)));
    progress_line("bucket %d of %d: %.60s, %d of %d tried%s%s", t->at + 1, t->list.count, b->name,
                  b->tried, b->count - b->pruned - b->refused, lead, left);
}

/* Its share of what is left, among those that are still to come. */
static double allotment(const struct tuning *t)
{
    double shares = 0;
    if (!isfinite(t->deadline))
        return NOMINAL_SECONDS;
    for (int i = t->at; i < t->list.count; i++)
        if (t->list.item[i].decision == DECISION_NONE)
            shares += t->list.item[i].share;
    const double fair = seconds_left(t) * t->list.item[t->at].share / shares;
    return fmin(fmax(fair, 2 * BUCKET_SECONDS), seconds_left(t));
}

/* What the table says is asked again, even where the search found nothing in it this time. */
static void remember(struct bucket *b, const struct tuned_line *known)
{
    for (int i = 1; known && b->decision == DECISION_BEST && i < b->count; i++) {
        const struct candidate *c = &b->list[i];
        if (c->visits && !strcmp(c->entry->name, known->variant) &&
            !strcmp(c->knobs, known->knobs)) {
            b->winner = c;
            snprintf(b->variant, sizeof b->variant, "%s", known->variant);
            snprintf(b->knobs, sizeof b->knobs, "%s", known->knobs);
        }
    }
}

static enum status decide(struct tuning *t, struct bucket *b, const struct tuned_line *known,
                          struct fault *fault)
{
    const double all_s = allotment(t), begin = clock_seconds();
    TRY(tune_search(t->o, SEARCH_SHARE * all_s, b, say, t, fault));
    remember(b, known);
    if (!b->winner)
        return ST_OK;
    progress_line("bucket %d of %d: %.60s, %s against the default on new data", t->at + 1,
                  t->list.count, b->name, b->variant);
    const double rest_s = isfinite(t->deadline)
                              ? fmin(all_s - (clock_seconds() - begin), SEARCH_SHARE * all_s)
                              : COUNTED_CONFIRM_SECONDS;
    return tune_confirm(t->o, fmax(rest_s, CONFIRM_SECONDS), b, fault);
}

static void line_of(const struct tuning *t, const struct bucket *b, struct tuned_line *line)
{
    const time_t now = time(NULL);
    struct tm utc;
    const struct registry_entry *winner = registry_find(b->problem.op, b->variant);
    *line = (struct tuned_line){.source = winner->source_hash,
                                .against_source = b->list->entry->source_hash,
                                .gain = b->ratio[0],
                                .lo = b->ratio[1],
                                .hi = b->ratio[2]};
    snprintf(line->place, sizeof line->place, "%s", t->place);
    snprintf(line->bucket, sizeof line->bucket, "%s", b->name);
    snprintf(line->variant, sizeof line->variant, "%s", b->variant);
    snprintf(line->knobs, sizeof line->knobs, "%s", b->knobs);
    snprintf(line->against, sizeof line->against, "%s", b->list->entry->name);
    snprintf(line->commit, sizeof line->commit, "%s", build_commit());
    gmtime_r(&now, &utc);
    strftime(line->utc, sizeof line->utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* An open question leaves the table as it is; every answer changes or confirms it. */
static enum status settle(struct tuning *t, const struct bucket *b, const struct tuned_line *known,
                          struct fault *fault)
{
    char aside[4200] = "";
    struct tuned_line line = {""};
    enum status s = ST_OK;
    if (b->decision == DECISION_KEPT) {
        line_of(t, b, &line);
        s = tuned_merge(t->path, &line, 1, NULL, 0, aside, sizeof aside, fault);
    } else if (known && b->decision != DECISION_AMBIGUOUS && b->decision != DECISION_FAILED) {
        s = tuned_merge(t->path, NULL, 0, known, 1, aside, sizeof aside, fault);
    }
    if (aside[0])
        snprintf(t->kept_aside, sizeof t->kept_aside, "%s", aside);
    return s;
}

static enum status record(struct tuning *t, const struct bucket *b, struct fault *fault)
{
    struct json j;
    record_begin(t->record, &j, "tune");
    tune_record(b, t->place, &j);
    return record_write(t->record, &j, fault);
}

static const struct tuned_line *known_of(const struct tuning *t, const struct bucket *b)
{
    return t->table ? tuned_find(t->table, t->place, b->name) : NULL;
}

/* Who takes part everywhere, before the first clock runs: buckets without a choice take no share of
 * the budget. */
static enum status enter_candidates(struct tuning *t, struct fault *fault)
{
    for (int i = 0; i < t->list.count; i++) {
        struct bucket *b = &t->list.item[i];
        const struct tuned_line *known = known_of(t, b);
        const double fair = isfinite(t->o->budget_s) ? t->o->budget_s * b->share : NOMINAL_SECONDS;
        if (b->resumed)
            continue;
        if (device_kind() == DEVICE_CPU)
            TRY(tune_cut(b, fair, t->o->threads, fault));
        TRY(tune_candidates(t->o, fmax(fair, 2 * BUCKET_SECONDS), known, b, fault));
        if (b->count - b->pruned - b->refused > 1)
            continue;
        b->decision = DECISION_ALONE;
        TRY(settle(t, b, known, fault));
    }
    return ST_OK;
}

static enum status tune_bucket(struct tuning *t, struct bucket *b, struct fault *fault)
{
    if (!b->resumed) {
        const struct tuned_line *known = known_of(t, b);
        TRY(decide(t, b, known, fault));
        if (b->decision == DECISION_NONE) /* the default alone had its turn in time */
            return ST_OK;
        TRY(settle(t, b, known, fault));
        TRY(tune_journal_add(&t->journal, b, fault));
    }
    progress_line(NULL);
    tune_row(b, stdout);
    fflush(stdout);
    const enum status s = record(t, b, fault);
    free(b->list);
    b->list = NULL;
    return s;
}

/* ---- all buckets ----------------------------------------------------------------------------- */

static void describe(const struct tuning *t, int resumed)
{
    int alone = 0;
    double share = 0;
    for (int i = 0; i < t->list.count; i++)
        if (t->list.item[i].decision == DECISION_ALONE) {
            alone++;
            share += t->list.item[i].share;
        }
    printf("tuning %d buckets of shapes on %s (%s), budget %s\n", t->list.count - alone, t->place,
           host_machine_slug(), budget);
    if (alone)
        printf("%d more, %.1f%% of the predicted time, have one candidate alone\n", alone,
               100 * share);
    if (t->list.small)
        printf("%d more have %.1f%% together and are left as they are\n", t->list.small,
               100 * t->list.left_out);
    if (resumed)
        printf("%d %s decided before this search was interrupted\n", resumed,
               resumed == 1 ? "was" : "were");
    putchar('\n');
}

static void sum_up(const struct tuning *t)
{
    int count[DECISION_COUNT] = {0};
    double saved = 0, unreached = 0;
    int parts = 0;
    for (int i = 0; i < t->list.count; i++) {
        const struct bucket *b = &t->list.item[i];
        count[b->decision]++;
        parts += b->part;
        saved += b->decision == DECISION_KEPT ? b->share * (1 - 1 / b->ratio[0]) : 0;
        unreached += b->decision == DECISION_NONE ? b->share : 0;
    }
    if (parts)
        printf("~ a part of the shape was timed, with the full sums: all of it takes too long\n");
    printf("\n%d of %d buckets have a faster choice than the default", count[DECISION_KEPT],
           t->list.count - count[DECISION_ALONE]);
    if (count[DECISION_KEPT])
        printf(": about %.1f%% of the predicted time", 100 * saved);
    if (t->kept_aside[0])
        printf("\nthe table that was there must not be used; it is kept as %s", t->kept_aside);
    if (count[DECISION_NONE])
        printf("\n%d with %.1f%% of the time were not reached: the same command goes on with them",
               count[DECISION_NONE], 100 * unreached);
    if (count[DECISION_KEPT])
        printf("\ntable   %s; generate and run use it%s (--untuned: not)", t->path,
               strcmp(results, "results") ? " where --tuned names it" : "");
    putchar('\n');
}

static enum status tune_all(struct tuning *t, struct fault *fault)
{
    enum status s = ST_OK;
    tune_heading(stdout);
    for (t->at = 0; s == ST_OK && t->at < t->list.count; t->at++) {
        struct bucket *b = &t->list.item[t->at];
        if (b->resumed || (b->decision == DECISION_NONE && seconds_left(t) >= BUCKET_SECONDS))
            s = tune_bucket(t, b, fault);
    }
    progress_line(NULL);
    return s;
}

static bool all_decided(const struct tuning *t)
{
    for (int i = 0; i < t->list.count; i++)
        if (t->list.item[i].decision == DECISION_NONE)
            return false;
    return true;
}

static enum status search(struct tuning *t, struct fault *fault)
{
    char folder[4096];
    int resumed = 0;
    const char *path = NULL;
    snprintf(folder, sizeof folder, "%s/%s", results, host_machine_slug());
    TRY(tune_journal_open(folder, t->place, shapes, t->o, &t->list, &t->journal, afresh, &resumed,
                          fault));
    TRY(record_open(results, self_command_line(), &t->record, fault));
    TRY(enter_candidates(t, fault));
    describe(t, resumed);
    t->deadline = clock_seconds() + t->o->budget_s;
    enum status s = tune_all(t, fault);
    if (s == ST_OK || s == ST_INTERRUPTED) {
        sum_up(t);
        TRY(record_close(t->record, &path, fault));
        printf("record  %s\n", path);
    }
    tune_journal_close(&t->journal, s == ST_OK && all_decided(t));
    return s;
}

/* A table that must not be used is said once, and put aside when there is something to write. */
static enum status open_table(struct tuning *t, struct fault *fault)
{
    struct fault why = {{0}};
    snprintf(t->path, sizeof t->path, "%s", tuned_path(results));
    tuned_place(t->o->threads, t->place, sizeof t->place);
    const enum status s = tuned_read(t->path, &t->table, &why);
    if (s == ST_BAD_INPUT)
        printf("not used: %s\n", why.text);
    return s == ST_NO_MEMORY ? fault_set(fault, s, "%s", why.text) : ST_OK;
}

int cmd_tune(int argc, char **argv, struct fault *fault)
{
    struct tuning t = {.o = &options_given, .journal.fd = -1};
    int slower = 0;
    enum status s = parse(argc, argv, fault);
    if (s == ST_OK)
        s = tune_shapes(shapes, t.o, &t.list, fault);
    if (s == ST_OK)
        s = check_glob(&t.list, fault);
    if (s == ST_OK)
        set_threshold();
    if (s == ST_OK)
        s = open_table(&t, fault);
    if (s == ST_OK && check_only)
        s = tune_check(t.o, shapes, t.place, t.path, t.table, &t.list, &slower, fault);
    else if (s == ST_OK)
        s = search(&t, fault);
    tune_journal_close(&t.journal, false);
    if (t.record)
        record_free(t.record);
    tuned_free(t.table);
    tune_shapes_free(&t.list);
    return s == ST_OK ? (slower ? EXIT_CHECK : EXIT_OK) : exit_code_of(s);
}
