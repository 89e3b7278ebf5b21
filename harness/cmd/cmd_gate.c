// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_gate.c   gate: has anything become slower than its own history on this machine? Reads records
 * and writes none. */
#include "base/text.h"
#include "cmd/commands.h"
#include "compare/gate.h"
#include "machine/host.h"
#include "records/results_where.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 4096
#define NAME_BYTES 240

static struct gate_limits limits = {NAN, NAN};
static int64_t window = 5;
static const char *machine;
static bool json;

static const struct option options[] = {
    {"--percent", "P", OPTION_REAL, &limits.percent,
     "slower by more than this (kernels 8, pipelines 5, ceilings 10) ..."},
    {"--absolute", "SECONDS", OPTION_REAL, &limits.absolute_s,
     "... and by more than this (kernels 1e-6, pipelines 0.01, ceilings 0)"},
    {"--window", "N", OPTION_COUNT, &window, "the median of up to N runs before the newest (5)"},
    {"--machine", "NAME", OPTION_TEXT, &machine, "a folder of results/ (this machine's)"},
    RESULTS_WHERE_OPTION,
    FORMAT_OPTION(&json),
    {0},
};

void help_gate(FILE *out)
{
    fputs("  RESULTS                    result files or folders of them (results/)\n", out);
    options_help(options, out);
    fputs(
        "\nThe newest case of each recipe is held against the median of the runs before it: "
        "passed\n"
        "cases of the same recipe, claim, variant and knobs, one a run. It is a regression only\n"
        "where both limits are exceeded: the percent keeps long cases from failing by moments,\n"
        "the seconds keep short ones from failing by the clock. A kernel alone moves by some\n"
        "percent with where its buffers lie, from process to process, so it is given 8% and a\n"
        "microsecond; a clip is the sum of very many calls and is given 5% and the 10 ms that a\n"
        "system takes now and then. Where calibrate found kernels noisier, its floor takes the\n"
        "place of the 8%, and a --percent under it is refused. With fewer than 3 runs before it\n"
        "(or N, where that is less) a case is not judged: CALIBRATION NEEDED, or RECIPE MISMATCH\n"
        "with the field that is no longer what it was. Neither is a pass.\n"
        "Exit code: 1 something is slower, or failed that passed before; 0 nothing is; 2 bad\n"
        "input; 3 nothing could be judged.\n",
        out);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct gate *gate;
    const char *machine;
    int64_t elsewhere; /* cases of other machines */
    double floor;      /* of the newest calibration here; NAN: there is none */
    char calibrated[32];
};

/* The newest stands. One that says nonsense is not believed. */
static void take_calibration(struct reading *reading, const struct result *r)
{
    const char *created = result_text(r, "created_utc");
    double floor = result_number(r, "floor");
    if (!(floor > 0 && floor < 1) || strcmp(created, reading->calibrated) < 0)
        return;
    reading->floor = floor;
    snprintf(reading->calibrated, sizeof reading->calibrated, "%s", created);
}

static enum status visit(const struct result *r, void *user, struct fault *fault)
{
    struct reading *reading = user;
    bool here = !strcmp(result_text(r, "run.machine"), reading->machine);
    if (here && !strcmp(r->kind, "calibration"))
        take_calibration(reading, r);
    if (strcmp(r->kind, "case"))
        return ST_OK;
    reading->elsewhere += !here;
    return here && results_where_passes(r) ? gate_add(reading->gate, r, fault) : ST_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Appends what is there of the paths. */
static void join(const struct result *r, const char *const *paths, size_t count, char *text,
                 size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        char *word = result_word(r, paths[i]);
        if (word && *word)
            snprintf(text + used, bytes - used, "%s%.120s", used ? " " : "", word);
        free(word);
    }
}

static void name_clip(const struct result *r, char *text, size_t bytes)
{
    static const char *const extras[] = {"recipe.batch", "recipe.replicas", "recipe.scenario"};
    int64_t width = 0, height = 0, frames = 0, steps = 0;
    result_int(r, "recipe.width", &width);
    result_int(r, "recipe.height", &height);
    result_int(r, "recipe.frames", &frames);
    result_int(r, "recipe.steps", &steps);
    snprintf(text, bytes, "%.40s %lldx%lld, %lld frame%s, %lld step%s, %.40s",
             result_text(r, "recipe.model"), (long long)width, (long long)height, (long long)frames,
             frames == 1 ? "" : "s", (long long)steps, steps == 1 ? "" : "s",
             result_text(r, "impl.requested"));
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        size_t used = strlen(text);
        if (result_type(r, extras[i]) == RESULT_ABSENT)
            continue;
        snprintf(text + used, bytes - used, ", %s", extras[i] + strlen("recipe."));
        join(r, &extras[i], 1, text, bytes);
    }
}

/* Fit for a terminal, whatever the record says. */
static void name_of(const struct result *r, char out[NAME_BYTES])
{
    static const char *const kernel[] = {"impl.variant", "recipe.shape"};
    static const char *const other[] = {"recipe.ceiling", "recipe.level", "recipe.type",
                                        "recipe.unit", "recipe.shape"};
    bool of_op = *result_text(r, "recipe.op");
    char text[NAME_BYTES] = "", threads[32] = "";
    const char *claim = result_text(r, "claim");
    int64_t n;
    if (result_int(r, "recipe.threads", &n))
        snprintf(threads, sizeof threads, ", %lld thread%s", (long long)n, n == 1 ? "" : "s");
    if (!strcmp(result_text(r, "case_kind"), "pipeline"))
        name_clip(r, text, sizeof text);
    else
        join(r, of_op ? kernel : other, of_op ? 2 : 5, text, sizeof text);
    size_t used = strlen(text);
    bool measured = !strcmp(claim, "measured");
    snprintf(text + used, sizeof text - used, "%s%s%.20s", threads, measured ? "" : ", ",
             measured ? "" : claim);
    text_printable(text, strlen(text), out, NAME_BYTES);
}

static const char *time_text(double ns, char out[32])
{
    if (isnan(ns))
        snprintf(out, 32, "-");
    else if (ns < 1e6)
        snprintf(out, 32, "%.4g us", ns * 1e-3);
    else if (ns < 1e9)
        snprintf(out, 32, "%.4g ms", ns * 1e-6);
    else
        snprintf(out, 32, "%.4g s", ns * 1e-9);
    return out;
}

static void print_row(const struct gate_row *row)
{
    char name[NAME_BYTES], reason[320], newest[32], before[32], change[32] = "-";
    name_of(row->newest, name);
    text_printable(row->reason, strlen(row->reason), reason, sizeof reason);
    if (!isnan(row->before_ns))
        snprintf(change, sizeof change, "%+.1f%%", 100 * (row->newest_ns / row->before_ns - 1));
    printf("  %-18s %8s %10s %10s %4lld  %s%s%s%s\n", gate_verdict_name(row->verdict), change,
           time_text(row->newest_ns, newest), time_text(row->before_ns, before),
           (long long)row->runs, name, *reason ? " (" : "", reason, *reason ? ")" : "");
}

/* By their names, the bad ones first. */
static const enum gate_verdict told[] = {GATE_REGRESSION,  GATE_FAILED,   GATE_MISMATCH,
                                         GATE_CALIBRATION, GATE_UNJUDGED, GATE_FASTER,
                                         GATE_OK};

static void print_text(const struct gate *gate, const char *of_machine, const int64_t *count)
{
    printf("%s: the newest case of each recipe against the median of up to %lld run%s before it\n",
           of_machine, (long long)window, window == 1 ? "" : "s");
    printf("  %-18s %8s %10s %10s %4s  case\n", "verdict", "change", "newest", "before", "runs");
    for (int64_t i = 0; i < gate->row_count; i++)
        print_row(&gate->rows[i]);
    const char *before = "";
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (count[told[i]]) {
            printf("%s%lld %s", before, (long long)count[told[i]], gate_verdict_name(told[i]));
            before = ", ";
        }
    putchar('\n');
}

/* ---- json ------------------------------------------------------------------------------------ */

static void json_row(const struct gate_row *row, struct json *j)
{
    char name[NAME_BYTES];
    const struct result *r = row->newest;
    name_of(r, name);
    json_open_object(j, NULL);
    json_text(j, "name", name);
    json_text(j, "verdict", gate_verdict_name(row->verdict));
    json_text(j, "reason", row->reason[0] ? row->reason : NULL);
    json_text(j, "case_kind", result_text(r, "case_kind"));
    json_text(j, "claim", result_text(r, "claim"));
    json_text(j, "recipe_sha256", result_text(r, "recipe_sha256"));
    result_write(r, "run_id", j, "run_id");
    result_write(r, "case", j, "case");
    json_text(j, "created_utc", result_text(r, "created_utc"));
    json_text(j, "commit", result_text(r, "run.tool.commit"));
    json_number(j, "newest_ns", row->newest_ns);
    json_number(j, "before_ns", row->before_ns);
    json_number(j, "change", row->newest_ns / row->before_ns - 1);
    json_number(j, "limit_percent", row->limits.percent);
    json_number(j, "limit_absolute_s", row->limits.absolute_s);
    json_open_array(j, "history_ns");
    for (int64_t i = 0; i < row->runs; i++)
        json_number(j, NULL, row->history_ns[i]);
    json_end(j);
    json_text(j, "repro", result_text(r, "repro"));
    json_end(j);
}

static enum status print_json(const struct gate *gate, const char *of_machine, const int64_t *count,
                              struct fault *fault)
{
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "machine", of_machine);
    json_int(&j, "window", window);
    json_open_object(&j, "verdicts");
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        json_int(&j, gate_verdict_name(told[i]), count[told[i]]);
    json_end(&j);
    json_open_array(&j, "recipes");
    for (int64_t i = 0; i < gate->row_count; i++)
        json_row(&gate->rows[i], &j);
    json_end(&j);
    json_end(&j);
    bool failed = j.failed;
    if (!failed)
        printf("%s\n", j.text);
    json_free(&j);
    return failed ? fault_set(fault, ST_NO_MEMORY, "no memory for the answer") : ST_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum status check_options(struct fault *fault)
{
    if (limits.percent < 0 || limits.absolute_s < 0)
        return fault_set(fault, ST_BAD_INPUT, "--percent and --absolute are at least 0");
    if (window < 1 || window > GATE_WINDOW_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--window is 1 to %d, not %lld", GATE_WINDOW_MAX,
                         (long long)window);
    return ST_OK;
}

static bool has_kernels(const struct gate *gate)
{
    for (int64_t i = 0; i < gate->case_count; i++)
        if (!strcmp(result_text(gate->cases[i], "case_kind"), "kernel"))
            return true;
    return false;
}

static enum status judge(const char *const *results, int count, struct gate *gate,
                         const char *of_machine, struct fault *fault)
{
    struct results_tally tally = {0};
    struct reading reading = {gate, of_machine, 0, NAN, ""};
    TRY(results_read(results, count, NULL, visit, &reading, &tally, fault));
    if (tally.unfinished)
        fprintf(stderr, "gate: %lld unfinished run%s (.part) not read\n",
                (long long)tally.unfinished, tally.unfinished == 1 ? "" : "s");
    if (!gate->case_count) {
        TRY(results_where_met(fault));
        return fault_set(fault, ST_UNAVAILABLE,
                         "there is nothing to judge: no case with a recipe of the machine %s%s "
                         "(%lld of other machines)",
                         of_machine, results_where_count() ? " passes --where" : "",
                         (long long)reading.elsewhere);
    }
    if (limits.percent < 100 * reading.floor && has_kernels(gate))
        return fault_set(fault, ST_BAD_INPUT,
                         "--percent %g is under the noise floor of kernels on this machine, %.3g%% "
                         "by the calibration of %.20s",
                         limits.percent, 100 * reading.floor, reading.calibrated);
    return gate_judge(gate, &limits, reading.floor, window, fault);
}

static int answer(const struct gate *gate, const char *of_machine, struct fault *fault)
{
    int64_t count[GATE_VERDICTS] = {0};
    for (int64_t i = 0; i < gate->row_count; i++)
        count[gate->rows[i].verdict]++;
    if (json && print_json(gate, of_machine, count, fault) != ST_OK)
        return EXIT_INPUT;
    if (!json)
        print_text(gate, of_machine, count);
    if (count[GATE_REGRESSION] || count[GATE_FAILED])
        return EXIT_CHECK;
    if (count[GATE_OK] || count[GATE_FASTER])
        return EXIT_OK;
    fault_set(fault, ST_UNAVAILABLE, "no recipe has the history to be judged by; measure again");
    return EXIT_NOTHING;
}

int cmd_gate(int argc, char **argv, struct fault *fault)
{
    const char *results[RESULTS_MAX] = {"results"};
    int count = RESULTS_MAX;
    struct gate gate = {0};
    enum status status = options_parse(options, argc, argv, results, &count, fault);
    const char *of_machine = machine ? machine : host_machine_slug();
    if (status == ST_OK)
        status = check_options(fault);
    if (status == ST_OK)
        status = judge(results, count ? count : 1, &gate, of_machine, fault);
    int code = status == ST_OK ? answer(&gate, of_machine, fault) : exit_code_of(status);
    gate_free(&gate);
    return code;
}
