// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_calibrate.c   patchmark calibrate: arms against themselves. What comes out unlike is this
 * machine's noise, and whoever compares here needs more than that. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "check/verify.h"
#include "cmd/commands.h"
#include "compare/compare.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"

#define PAIR_SECONDS 8.0 /* of one comparison, where the budget has room for enough of them */
#define ARMS_MAX 64
#define COUNTS_MAX 4 /* numbers of threads in one run */

struct request {
    struct kernels_options kernels; /* threads 0: one, and all cores */
    const char *word[ARMS_MAX];
    int words;
    char arm[ARMS_MAX][128];
    const char *arm_name[ARMS_MAX];
    int arms;
    struct roof roof;
    struct record_file *record;
    struct calibration done[COUNTS_MAX];
    double distance[COUNTS_MAX][CALIBRATION_MOST];
    int counts;
};

#define OPTIONS(k)                                                                                 \
    {                                                                                              \
        {"--threads", "N", OPTION_COUNT, &(k)->threads, "of the arms (1, and then all cores)"},    \
            {"--budget", "SECONDS", OPTION_REAL, &(k)->budget, "in all (240)"}, DEVICE_OPTION,     \
            {"--seed", "N", OPTION_SEED, &(k)->seed, "of checked data and of the order (1)"},      \
            PLUGIN_OPTION,                                                                         \
            {"--results", "DIR|none", OPTION_TEXT, &(k)->results,                                  \
             "where the record goes (results)"},                                                   \
            FORMAT_OPTION(&(k)->json), {0},                                                        \
    }

void help_calibrate(FILE *out)
{
    struct kernels_options k = {.glob = NULL};
    const struct option options[] = OPTIONS(&k);
    options_help(options, out);
}

/* ---- request --------------------------------------------------------------------------------- */

/* The first variant of the op that can run here, as a library's has the lowest number. */
static enum status add_op(struct request *r, const char *op, bool must, struct fault *fault)
{
    const struct registry_entry **picked = NULL;
    int count = 0;
    TRY(verify_select(op, &picked, &count, fault));
    for (int i = 0; i < count; i++)
        if (verify_device_of(picked[i]) == device_kind() &&
            registry_usable(picked[i], NULL) == ST_OK) {
            snprintf(r->arm[r->arms], sizeof r->arm[0], "%s/%s", picked[i]->op, picked[i]->name);
            r->arm_name[r->arms] = r->arm[r->arms];
            r->arms++;
            free(picked);
            return ST_OK;
        }
    free(picked);
    return must ? fault_set(fault, ST_UNAVAILABLE, "no variant of '%s' can run here", op) : ST_OK;
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    /* Bound by arithmetic, by a core's own cache and by calls. */
    static const char *const usual[] = {"linear", "attention", "modulate", "elementwise",
                                        "rms_norm"};
    struct kernels_options *k = &r->kernels;
    const struct option options[] = OPTIONS(k);
    *k = (struct kernels_options){.results = "results", .pin = "cores", .budget = 240, .seed = 1};
    r->words = ARMS_MAX;
    TRY(options_parse(options, argc, argv, r->word, &r->words, fault));
    if (k->threads < 0 || k->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %" PRId64,
                         k->threads);
    if (!(k->budget >= 1) || k->budget > 86400)
        return fault_set(fault, ST_BAD_INPUT, "--budget wants 1 to 86400 seconds");
    TRY(backend_find(NULL, &k->backend, fault));
    for (int i = 0; i < r->words; i++)
        TRY(add_op(r, r->word[i], true, fault));
    for (size_t i = 0; r->words == 0 && i < sizeof usual / sizeof *usual; i++)
        TRY(add_op(r, usual[i], false, fault));
    return r->arms ? ST_OK : fault_set(fault, ST_UNAVAILABLE, "no variant can run here");
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* One comparison, judged alone: Holm's correction would hide how often one test errs. */
static enum status one_pair(struct request *r, struct compare_suite *s, int number,
                            struct calibration *c, double *distance, struct fault *fault)
{
    const char *arm = r->arm[number % r->arms];
    s->kernels.seed = r->kernels.seed + 1000003 * (uint64_t)number;
    enum status status = suite_add(s, arm, arm, fault);
    if (status == ST_OK) {
        s->pair[0].options = (struct duel_options){.kernels = s->kernels,
                                                   .threshold = VERDICT_LEAST_EFFECT,
                                                   .luck = VERDICT_LEAST_EFFECT / 2,
                                                   .interleaved = true};
        status = suite_run(s, 0, &r->roof, fault);
    }
    if (status == ST_OK) {
        suite_judge(s);
        const struct judgement *j = &s->pair[0].duel->judgement;
        if (!isnan(j->ratio)) {
            distance[c->comparisons++] = fmax(j->ratio, 1 / j->ratio) - 1;
            c->alarms += j->verdict == VERDICT_FASTER || j->verdict == VERDICT_SLOWER;
        }
    }
    suite_free(s);
    s->pair = NULL;
    s->count = 0;
    return status;
}

static enum status calibrate_at(struct request *r, int64_t threads, double budget,
                                struct fault *fault)
{
    struct calibration *c = &r->done[r->counts];
    double *distance = r->distance[r->counts], begin = clock_seconds();
    int wanted = (int)fmin(CALIBRATION_MOST, fmax(CALIBRATION_LEAST, budget / PAIR_SECONDS));
    *c = (struct calibration){.threads = threads, .pair_seconds = budget / wanted};
    struct compare_suite s = {.kernels = r->kernels};
    device_slug(c->device, sizeof c->device);
    s.kernels.threads = threads;
    s.kernels.budget = c->pair_seconds;
    for (int i = 0; i < wanted; i++)
        TRY(one_pair(r, &s, i, c, distance, fault));
    c->seconds = clock_seconds() - begin;
    if (c->comparisons < CALIBRATION_LEAST)
        return fault_set(fault, ST_BAD_INPUT,
                         "%" PRId64 " of %d comparisons had times enough to be judged; raise"
                         " --budget",
                         c->comparisons, wanted);
    c->floor = stats_summary(distance, c->comparisons).p95;
    r->counts++;
    return ST_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum status write_records(struct request *r, struct fault *fault)
{
    for (int i = 0; r->record && i < r->counts; i++) {
        struct json j;
        record_begin(r->record, &j, "calibration");
        calibration_json(&r->done[i], r->distance[i], r->arm_name, r->arms, &j);
        TRY(record_write(r->record, &j, fault));
    }
    return ST_OK;
}

static void print_one(const struct calibration *c, const double *distance)
{
    double median = stats_median(distance, c->comparisons);
    printf("%" PRId64 " thread%s: floor %.2g %% (95th percentile; median %.2g %%), %" PRId64
           " of %" PRId64 " comparisons of %.3g s said FASTER or SLOWER\n",
           c->threads, c->threads == 1 ? "" : "s", 100 * c->floor, 100 * median, c->alarms,
           c->comparisons, c->pair_seconds);
}

static void print_document(const struct request *r, const char *path)
{
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "machine", host_machine_slug());
    json_text(&j, "command", self_command_line());
    json_open_array(&j, "calibrations");
    for (int i = 0; i < r->counts; i++) {
        json_open_object(&j, NULL);
        calibration_json(&r->done[i], r->distance[i], r->arm_name, r->arms, &j);
        json_end(&j);
    }
    json_end(&j);
    json_text(&j, "record", path);
    json_end(&j);
    printf("%s\n", j.failed ? "null" : j.text);
    json_free(&j);
}

static enum status calibrate(struct request *r, struct fault *fault)
{
    int64_t cores = host_cores(), counts[2] = {r->kernels.threads ? r->kernels.threads : 1, cores};
    int rounds = !r->kernels.threads && cores > 1 && device_kind() == DEVICE_CPU ? 2 : 1;
    const char *path = NULL;
    if (strcmp(r->kernels.results, "none") != 0)
        TRY(record_open(r->kernels.results, self_command_line(), &r->record, fault));
    if (!r->kernels.json) {
        printf("arms against themselves, %g s:", r->kernels.budget);
        for (int i = 0; i < r->arms; i++)
            printf(" %s", r->arm[i]);
        putchar('\n');
        fflush(stdout);
    }
    for (int i = 0; i < rounds; i++) {
        TRY(calibrate_at(r, counts[i], r->kernels.budget / rounds, fault));
        if (!r->kernels.json)
            print_one(&r->done[i], r->distance[i]);
        fflush(stdout);
    }
    TRY(write_records(r, fault));
    if (r->record)
        TRY(record_close(r->record, &path, fault));
    if (r->kernels.json)
        print_document(r, path);
    else if (path)
        printf("record: %s\n", path);
    return ST_OK;
}

int cmd_calibrate(int argc, char **argv, struct fault *fault)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return exit_code_of(fault_set(fault, ST_NO_MEMORY, "no memory for a calibration"));
    r->roof.isa = "";
    enum status status = parse(argc, argv, r, fault);
    if (status == ST_OK)
        status = calibrate(r, fault);
    record_free(r->record);
    free(r);
    return exit_code_of(status);
}
