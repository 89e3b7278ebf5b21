// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_selftest.c   patchmark selftest: is compare to be believed? Arms against themselves may hardly
 * ever be told apart, arms that were slowed down on purpose nearly always. At the default budget it
 * takes 100 minutes; a journal keeps every suite that is done, so that it can be interrupted. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/out_file.h"
#include "base/patchmark.h"
#include "check/verify.h"
#include "cmd/commands.h"
#include "compare/compare.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"

#define SUITE_PAIRS 5
#define ARMS_MAX 64
#define ARM_BYTES 160
#define JOURNAL_FORM 2

/* Of `shares` of all suites; the bounds are shares of the comparisons. */
static const struct phase {
    const char *name, *slow;
    double planted;
    int suites_of_3; /* suites: three of three, or one */
    double most_said, least_found;
} phases[] = {
    {"same", "", 0, 3, 0.01, 0},
    {"slower by 2 %", "@slow=2%", 0.02, 1, 1, 0.80},
    {"slower by 5 %", "@slow=5%", 0.05, 1, 1, 0.99},
};
enum { PHASES = sizeof phases / sizeof *phases };

/* One comparison that is done. */
struct outcome {
    int phase, suite, pair;
    char arm[ARM_BYTES];
    int64_t threads;
    double ratio, lo, hi, p, adjusted, threshold, seconds;
    char verdict[16];
};

struct request {
    struct compare_suite suite; /* options of every suite; its pairs are the current one's */
    int64_t suites;
    char arm[ARMS_MAX][ARM_BYTES];
    int arms;
    struct roof roof;
    struct outcome *done;
    int count, room;
    char journal[1024], head[256];
};

#define OPTIONS(r, k)                                                                              \
    {                                                                                              \
        {"--suites", "N", OPTION_COUNT, &(r)->suites,                                              \
         "of five comparisons of arms with themselves; a third as many of each slowdown (60)"},    \
            {"--budget", "SECONDS", OPTION_REAL, &(k)->budget, "for each comparison (12)"},        \
            {"--seed", "N", OPTION_SEED, &(k)->seed, "of checked data and of the order (1)"},      \
            {"--results", "DIR", OPTION_TEXT, &(k)->results,                                       \
             "where journal and record go, and the calibration is (results)"},                     \
            {0},                                                                                   \
    }

void help_selftest(FILE *out)
{
    struct request r = {.arms = 0};
    const struct option options[] = OPTIONS(&r, &r.suite.kernels);
    options_help(options, out);
}

/* ---- request --------------------------------------------------------------------------------- */

static bool usable(const struct registry_entry *e)
{
    return verify_device_of(e) == DEVICE_CPU && registry_usable(e, NULL) == ST_OK;
}

/* Every variant of the op but the plain one where there are others, which take ten times as long. */
static enum status add_op(struct request *r, const char *op, struct fault *fault)
{
    const struct registry_entry **picked = NULL;
    int count = 0, fast = 0;
    TRY(verify_select(op, &picked, &count, fault));
    for (int i = 0; i < count; i++)
        fast += usable(picked[i]) && strcmp(picked[i]->target, "c") != 0;
    for (int i = 0; i < count && r->arms < ARMS_MAX; i++)
        if (usable(picked[i]) && (fast == 0 || strcmp(picked[i]->target, "c") != 0))
            snprintf(r->arm[r->arms++], ARM_BYTES, "%s/%s", picked[i]->op, picked[i]->name);
    free(picked);
    return ST_OK;
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    static const char *const ops[] = {
        "linear",       "attention", "conv3d",   "modulate",     "rms_norm", "elementwise",
        "qk_norm_rope", "norm_silu", "upsample", "sampler_step", NULL};
    struct kernels_options *k = &r->suite.kernels;
    const struct option options[] = OPTIONS(r, k);
    *k = (struct kernels_options){.results = "results", .pin = "cores", .budget = 12, .seed = 1};
    r->suites = 60;
    TRY(options_parse(options, argc, argv, NULL, NULL, fault));
    if (r->suites < 3 || r->suites > 10000)
        return fault_set(fault, ST_BAD_INPUT, "--suites wants 3 to 10000, not %" PRId64, r->suites);
    if (!(k->budget > 0) || k->budget > 3600)
        return fault_set(fault, ST_BAD_INPUT,
                         "--budget wants seconds, above 0 and at most an hour");
    TRY(backend_find(NULL, &k->backend, fault));
    r->suite.calibrations = k->results;
    r->suite.threshold = NAN;
    for (int i = 0; ops[i]; i++)
        TRY(add_op(r, ops[i], fault));
    return r->arms ? ST_OK : fault_set(fault, ST_UNAVAILABLE, "no variant can run here");
}

/* ---- journal --------------------------------------------------------------------------------- */

static enum status remember(struct request *r, const struct outcome *o, struct fault *fault)
{
    if (r->count == r->room) {
        int room = r->room ? 2 * r->room : 512;
        struct outcome *grown = realloc(r->done, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the outcomes");
        r->done = grown;
        r->room = room;
    }
    r->done[r->count++] = *o;
    return ST_OK;
}

static bool read_outcome(const char *line, struct outcome *o)
{
    return sscanf(line, "%d %d %d %159s %" SCNd64 " %lf %lf %lf %lf %lf %lf %lf %15s", &o->phase,
                  &o->suite, &o->pair, o->arm, &o->threads, &o->ratio, &o->lo, &o->hi, &o->p,
                  &o->adjusted, &o->threshold, &o->seconds, o->verdict) == 13 &&
           o->phase >= 0 && o->phase < PHASES;
}

static void write_outcome(const struct outcome *o, FILE *file)
{
    fprintf(file, "%d %d %d %s %" PRId64 " %.9g %.9g %.9g %.9g %.9g %.9g %.9g %s\n", o->phase,
            o->suite, o->pair, o->arm, o->threads, o->ratio, o->lo, o->hi, o->p, o->adjusted,
            o->threshold, o->seconds, o->verdict);
}

/* A suite counts when all of it is there: one torn by a kill is done again. */
static void drop_torn_suite(struct request *r) { r->count -= r->count % SUITE_PAIRS; }

/* Goes on with what another run of the same options left; a journal of others is refused. */
static enum status journal_read(struct request *r, struct fault *fault)
{
    char line[1024];
    FILE *file = fopen(r->journal, "r");
    enum status status = ST_OK;
    if (!file)
        return errno == ENOENT
                   ? ST_OK
                   : fault_set(fault, ST_IO, "cannot read '%s': %s", r->journal, strerror(errno));
    if (fgets(line, sizeof line, file) && strcmp(line, r->head) != 0)
        status = fault_set(fault, ST_BAD_INPUT,
                           "'%s' is the journal of a self-test of another build or other options;"
                           " finish that one or delete it",
                           r->journal);
    while (status == ST_OK && fgets(line, sizeof line, file)) {
        struct outcome o;
        if (!strchr(line, '\n') || !read_outcome(line, &o))
            break;
        status = remember(r, &o, fault);
    }
    drop_torn_suite(r);
    fclose(file);
    return status;
}

/* Whole and anew each time, so that a kill leaves the one before: a suite takes a minute, this takes
 * no time. */
static enum status journal_write(const struct request *r, struct fault *fault)
{
    char next[sizeof r->journal + 8];
    snprintf(next, sizeof next, "%s.new", r->journal);
    FILE *file = fopen(next, "w");
    if (!file)
        return fault_set(fault, ST_IO, "cannot write '%s': %s", next, strerror(errno));
    fputs(r->head, file);
    for (int i = 0; i < r->count; i++)
        write_outcome(&r->done[i], file);
    bool kept = !fflush(file) && !fsync(fileno(file));
    kept = !fclose(file) && kept;
    if (kept && rename(next, r->journal) == 0)
        return ST_OK;
    return fault_set(fault, ST_IO, "cannot keep '%s': %s", r->journal, strerror(errno));
}

static enum status journal_open(struct request *r, struct fault *fault)
{
    char folder[900];
    const struct kernels_options *k = &r->suite.kernels;
    snprintf(folder, sizeof folder, "%s/%s", k->results, host_machine_slug());
    TRY(folder_create(folder, fault));
    snprintf(r->journal, sizeof r->journal, "%s/selftest.journal", folder);
    snprintf(r->head, sizeof r->head,
             "selftest %d %.40s budget %g seed %" PRIu64 " suites %" PRId64 "\n", JOURNAL_FORM,
             build_commit(), k->budget, k->seed, r->suites);
    return journal_read(r, fault);
}

/* ---- suites ---------------------------------------------------------------------------------- */

static int suites_of(const struct request *r, int phase)
{
    return (int)(r->suites * phases[phase].suites_of_3 / 3);
}

static struct outcome outcome_of(const struct request *r, int phase, int suite, int pair)
{
    const struct compare_pair *p = &r->suite.pair[pair];
    const struct judgement *j = &p->duel->judgement;
    struct outcome o = {.phase = phase,
                        .suite = suite,
                        .pair = pair,
                        .threads = r->suite.kernels.threads,
                        .ratio = j->ratio,
                        .lo = j->lo,
                        .hi = j->hi,
                        .p = j->p,
                        .adjusted = j->adjusted,
                        .threshold = p->options.threshold,
                        .seconds = p->duel->seconds};
    snprintf(o.arm, sizeof o.arm, "%s/%s", p->spec[DUEL_A].op, p->spec[DUEL_A].variant);
    snprintf(o.verdict, sizeof o.verdict, "%s", verdict_name(j->verdict));
    return o;
}

static enum status suite_make(struct request *r, int phase, int suite, struct fault *fault)
{
    struct compare_suite *s = &r->suite;
    uint64_t number = (uint64_t)suite * PHASES + (uint64_t)phase;
    s->kernels.threads = suite % 2 ? host_cores() : 1;
    s->kernels.seed += 1000003 * number;
    for (int i = 0; i < SUITE_PAIRS; i++) {
        char slowed[ARM_BYTES + 16];
        const char *arm = r->arm[(suite * SUITE_PAIRS + i) % r->arms];
        snprintf(slowed, sizeof slowed, "%s%s", arm, phases[phase].slow);
        TRY(suite_add(s, arm, slowed, fault));
    }
    TRY(suite_settle(s, fault));
    for (int i = 0; i < SUITE_PAIRS; i++)
        TRY(suite_run(s, i, &r->roof, fault));
    suite_judge(s);
    for (int i = 0; i < SUITE_PAIRS; i++) {
        struct outcome o = outcome_of(r, phase, suite, i);
        TRY(remember(r, &o, fault));
    }
    return journal_write(r, fault);
}

static void print_suite(const struct request *r, int phase, int suite)
{
    printf("%s, suite %d of %d:", phases[phase].name, suite + 1, suites_of(r, phase));
    for (int i = r->count - SUITE_PAIRS; i < r->count; i++)
        printf(" %s", r->done[i].verdict);
    putchar('\n');
    fflush(stdout);
}

static enum status suite_next(struct request *r, int phase, int suite, struct fault *fault)
{
    uint64_t seed = r->suite.kernels.seed;
    enum status status = suite_make(r, phase, suite, fault);
    suite_free(&r->suite);
    r->suite.pair = NULL;
    r->suite.count = 0;
    r->suite.kernels.seed = seed;
    if (status == ST_OK)
        print_suite(r, phase, suite);
    return status;
}

/* Whether the next suite of this phase is due, `turn` suites of the first phase having been made. */
static bool due(const struct request *r, int phase, int turn, int made)
{
    return made < suites_of(r, phase) && made * 3 < (turn + 1) * phases[phase].suites_of_3;
}

/* By turns, so that what the machine does in these hours befalls all phases alike. */
static enum status suites_run(struct request *r, struct fault *fault)
{
    int done = r->count / SUITE_PAIRS, number = 0, made[PHASES] = {0};
    if (done)
        printf("going on after %d suites that are in %s\n", done, r->journal);
    for (int turn = 0; turn < r->suites; turn++)
        for (int phase = 0; phase < PHASES; phase++)
            for (; due(r, phase, turn, made[phase]); made[phase]++)
                if (number++ >= done)
                    TRY(suite_next(r, phase, made[phase], fault));
    return ST_OK;
}

/* ---- what came of it ------------------------------------------------------------------------- */

struct tally {
    int comparisons, faster, slower, same, ambiguous, none;
    bool met;
};

static struct tally tally_of(const struct request *r, int phase)
{
    struct tally t = {0};
    for (int i = 0; i < r->count; i++) {
        const char *verdict = r->done[i].verdict;
        if (r->done[i].phase != phase)
            continue;
        t.comparisons++;
        t.faster += !strcmp(verdict, "faster");
        t.slower += !strcmp(verdict, "slower");
        t.same += !strcmp(verdict, "same");
        t.ambiguous += !strcmp(verdict, "ambiguous");
        t.none += !strcmp(verdict, "none");
    }
    t.met = t.faster + t.slower <= phases[phase].most_said * t.comparisons &&
            t.slower >= phases[phase].least_found * t.comparisons && t.none == 0;
    return t;
}

static void phase_json(const struct request *r, int phase, struct json *j)
{
    struct tally t = tally_of(r, phase);
    json_open_object(j, NULL);
    json_text(j, "name", phases[phase].name);
    json_number(j, "planted_slowdown", phases[phase].planted);
    json_int(j, "comparisons", t.comparisons);
    json_int(j, "faster", t.faster);
    json_int(j, "slower", t.slower);
    json_int(j, "same", t.same);
    json_int(j, "ambiguous", t.ambiguous);
    json_int(j, "unmeasured", t.none);
    json_number(j, "most_said", phases[phase].most_said);
    json_number(j, "least_found", phases[phase].least_found);
    json_bool(j, "met", t.met);
    json_end(j);
}

static void outcome_json(const struct outcome *o, struct json *j)
{
    json_open_object(j, NULL);
    json_int(j, "phase", o->phase);
    json_int(j, "suite", o->suite);
    json_text(j, "arm", o->arm);
    json_int(j, "threads", o->threads);
    json_text(j, "verdict", strcmp(o->verdict, "none") ? o->verdict : NULL);
    json_number(j, "ratio", o->ratio);
    json_number(j, "ratio_lo", o->lo);
    json_number(j, "ratio_hi", o->hi);
    json_number(j, "p", o->p);
    json_number(j, "p_adjusted", o->adjusted);
    json_number(j, "threshold", o->threshold);
    json_number(j, "seconds", o->seconds);
    json_end(j);
}

static enum status record(const struct request *r, const char **path, struct record_file **file,
                          struct fault *fault)
{
    struct json j;
    TRY(record_open(r->suite.kernels.results, self_command_line(), file, fault));
    record_begin(*file, &j, "selftest");
    json_number(&j, "budget_s", r->suite.kernels.budget);
    json_int(&j, "suites", r->suites);
    json_int(&j, "suite_pairs", SUITE_PAIRS);
    json_open_array(&j, "phases");
    for (int i = 0; i < PHASES; i++)
        phase_json(r, i, &j);
    json_end(&j);
    json_open_array(&j, "outcomes");
    for (int i = 0; i < r->count; i++)
        outcome_json(&r->done[i], &j);
    json_end(&j);
    TRY(record_write(*file, &j, fault));
    return record_close(*file, path, fault);
}

static bool print_tallies(const struct request *r)
{
    bool met = true;
    for (int i = 0; i < PHASES; i++) {
        struct tally t = tally_of(r, i);
        printf("%-14s %3d comparisons: %d faster, %d slower, %d same, %d ambiguous, %d without"
               " times: ",
               phases[i].name, t.comparisons, t.faster, t.slower, t.same, t.ambiguous, t.none);
        if (phases[i].planted > 0)
            printf("at least %g %% must be found, %s\n", 100 * phases[i].least_found,
                   t.met ? "met" : "MISSED");
        else
            printf("at most %g %% may be told apart, %s\n", 100 * phases[i].most_said,
                   t.met ? "met" : "MISSED");
        met = met && t.met;
    }
    return met;
}

/* Without a calibration the floor is that of any machine, under which 2 % cannot be found. */
static enum status calibrate_first(const struct request *r, struct fault *fault)
{
    struct calibration c;
    char note[512], *words[] = {"--results", (char *)r->suite.kernels.results};
    if (calibration_newest(r->suite.calibrations, 1, &c, note, sizeof note))
        return ST_OK;
    printf("no calibration of this machine is stored; one is made first\n");
    fflush(stdout);
    return cmd_calibrate(2, words, fault) == EXIT_OK
               ? ST_OK
               : fault_set(fault, ST_UNAVAILABLE, "the calibration failed");
}

static enum status selftest(struct request *r, bool *met, struct fault *fault)
{
    struct record_file *file = NULL;
    const char *path = NULL;
    double minutes = (double)r->suites * 5 / 3 * SUITE_PAIRS * r->suite.kernels.budget / 60;
    TRY(journal_open(r, fault));
    TRY(calibrate_first(r, fault));
    printf("%d arms of this build, about %.3g minutes on an otherwise idle machine\n", r->arms,
           minutes);
    fflush(stdout);
    roof_measure(&r->roof, host_cores());
    TRY(suites_run(r, fault));
    *met = print_tallies(r);
    enum status status = record(r, &path, &file, fault);
    if (status == ST_OK) {
        printf("record: %s\n", path);
        unlink(r->journal);
    }
    record_free(file);
    return status;
}

int cmd_selftest(int argc, char **argv, struct fault *fault)
{
    struct request r = {.roof.isa = ""};
    bool met = false;
    enum status status = parse(argc, argv, &r, fault);
    if (status == ST_OK)
        status = selftest(&r, &met, fault);
    suite_free(&r.suite);
    free(r.done);
    if (status != ST_OK)
        return exit_code_of(status);
    return met ? EXIT_OK : EXIT_CHECK;
}
