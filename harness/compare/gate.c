// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/gate.h"

#include "base/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *gate_verdict_name(enum gate_verdict verdict)
{
    static const char *const names[GATE_VERDICTS] = {
        [GATE_OK] = "ok",
        [GATE_FASTER] = "faster",
        [GATE_REGRESSION] = "REGRESSION",
        [GATE_FAILED] = "FAILED",
        [GATE_CALIBRATION] = "CALIBRATION NEEDED",
        [GATE_MISMATCH] = "RECIPE MISMATCH",
        [GATE_UNJUDGED] = "not judged",
    };
    return names[verdict];
}

/* A kernel is short and alone: where its buffers happen to lie moves it by some percent from one
 * process to the next, and a clock read costs a share of a microsecond. A clip is the sum of very
 * many calls, so the same percent means more; what the system does beside it comes in milliseconds. */
static const struct {
    const char *case_kind;
    struct gate_limits limits;
} defaults[] = {
    {"kernel", {8, 1e-6}},
    {"pipeline", {5, 10e-3}},
    {"ceiling", {10, 0}},
};

/* Of a kind of case. floor: how far two kernels that are the same come out apart on this machine, a
 * fraction, NAN where it was never calibrated; a kernel's percent is not under it. */
static struct gate_limits default_limits(const char *case_kind, double floor)
{
    struct gate_limits limits = defaults[0].limits;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!strcmp(defaults[i].case_kind, case_kind))
            limits = defaults[i].limits;
    if (!strcmp(case_kind, "kernel") && 100 * floor > limits.percent)
        limits.percent = 100 * floor;
    return limits;
}

/* ---- series ---------------------------------------------------------------------------------- */

/* What makes two cases the same measurement; the last two are known only of one that ran. */
static const char *const same[] = {"run.machine",  "case_kind",  "claim",      "recipe_sha256",
                                   "impl.variant", "impl.knobs", "timing.load"};
enum { SAME = sizeof same / sizeof *same };
/* What a person would call the same question, whatever else the recipe says. */
static const char *const question[] = {
    "run.machine",  "case_kind",     "impl.variant",   "recipe.op",     "recipe.shape",
    "recipe.model", "recipe.width",  "recipe.height",  "recipe.frames", "recipe.steps",
    "recipe.type",  "recipe.device", "recipe.threads", "recipe.ceiling"};

static int order_by(const struct result *a, const struct result *b, const char *const *paths,
                    size_t count)
{
    int order = 0;
    for (size_t i = 0; i < count && !order; i++) {
        char *x = result_word(a, paths[i]), *y = result_word(b, paths[i]);
        order = x && y ? strcmp(x, y) : 0;
        free(x);
        free(y);
    }
    return order;
}

/* In another major version of the schema a figure may mean, and be measured as, something else. */
static int major_of(const struct result *r) { return atoi(result_text(r, "schema.version")); }

static int order_series(const struct result *a, const struct result *b)
{
    int order = order_by(a, b, same, SAME);
    return order ? order : major_of(a) - major_of(b);
}

static bool same_question(const struct result *a, const struct result *b)
{
    return !order_by(a, b, question, sizeof question / sizeof *question);
}

/* By the time the case was begun, then by its number in the run. */
static int order_time(const struct result *a, const struct result *b)
{
    int64_t x = 0, y = 0;
    int order = strcmp(result_text(a, "created_utc"), result_text(b, "created_utc"));
    result_int(a, "case", &x);
    result_int(b, "case", &y);
    return order ? order : (x > y) - (x < y);
}

static int order_cases(const void *x, const void *y)
{
    const struct result *a = *(struct result *const *)x, *b = *(struct result *const *)y;
    int order = order_series(a, b);
    return order ? order : order_time(a, b);
}

static int order_rows(const void *x, const void *y)
{
    return order_time(((const struct gate_row *)x)->newest, ((const struct gate_row *)y)->newest);
}

enum status gate_add(struct gate *gate, const struct result *r, struct fault *fault)
{
    const char *kind = result_text(r, "case_kind");
    bool may_be_timed = strcmp(kind, "verify") && strcmp(kind, "parity");
    /* A comparison may slow an arm down on purpose, or run it by another build. */
    bool own = !(result_number(r, "recipe.planted_slowdown") > 0) &&
               !*result_text(r, "impl.program_sha256");
    if (strcmp(r->kind, "case") || !may_be_timed || !own || !*result_text(r, "recipe_sha256"))
        return ST_OK;
    if (gate->case_count == gate->case_room) {
        int64_t room = gate->case_room ? 2 * gate->case_room : 64;
        struct result **cases = realloc(gate->cases, (size_t)room * sizeof *cases);
        if (!cases)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
        gate->cases = cases;
        gate->case_room = room;
    }
    struct result *kept = result_keep(r);
    if (!kept)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
    gate->cases[gate->case_count++] = kept;
    return ST_OK;
}

void gate_free(struct gate *gate)
{
    for (int64_t i = 0; i < gate->case_count; i++)
        result_drop(gate->cases[i]);
    free(gate->cases);
    free(gate->rows);
    *gate = (struct gate){0};
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool same_run(const struct result *a, const struct result *b)
{
    const char *run = result_text(a, "run_id");
    return *run ? !strcmp(run, result_text(b, "run_id")) : !strcmp(a->path, b->path);
}

/* The work of a ceiling's run is chosen anew each time, so its time is taken for the work of the
 * newest; of all else the recipe fixes the work. */
static double time_for(const struct result *r, const struct result *newest)
{
    static const char *const works[] = {"work.bytes", "work.flops"};
    double ns = result_number(r, "timing.median");
    for (size_t i = 0; i < 2 && !strcmp(result_text(r, "case_kind"), "ceiling"); i++) {
        double own = result_number(r, works[i]), other = result_number(newest, works[i]);
        if (own > 0 && other > 0)
            return ns / own * other;
    }
    return ns;
}

/* Each run counts once, by its last passed case: a run that measured something many times would
 * else be all of the history. The run of the newest case is not part of it. */
static void look_back(struct result *const *series, int64_t count, int64_t window,
                      struct gate_row *row)
{
    const struct result *last = row->newest;
    for (int64_t i = count - 2; i >= 0 && row->runs < window; i--) {
        const struct result *r = series[i];
        if (same_run(r, last) || strcmp(result_text(r, "status"), "passed") || !result_timed(r))
            continue;
        row->history_ns[row->runs++] = time_for(r, row->newest);
        last = r;
    }
}

/* What fails early may not have come to choose its knobs, and leaves its series by that. */
static bool passed_before(const struct gate *gate, const struct result *newest)
{
    for (int64_t i = 0; i < gate->case_count; i++) {
        const struct result *r = gate->cases[i];
        if (!strcmp(result_text(r, "status"), "passed") && order_time(r, newest) < 0 &&
            !order_by(r, newest, same, SAME - 2))
            return true;
    }
    return false;
}

static bool is_failure(const char *status)
{
    static const char *const failures[] = {"wrong",   "nonfinite", "mistrusted",
                                           "crashed", "timeout",   "out_of_memory"};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (!strcmp(status, failures[i]))
            return true;
    return false;
}

static enum gate_verdict judge_times(struct gate_row *row)
{
    row->before_ns = stats_median(row->history_ns, row->runs);
    double more_ns = row->newest_ns - row->before_ns;
    bool over = fabs(more_ns) > row->limits.percent / 100 * row->before_ns &&
                fabs(more_ns) > row->limits.absolute_s * 1e9;
    return !over ? GATE_OK : more_ns > 0 ? GATE_REGRESSION : GATE_FASTER;
}

static void judge_row(struct gate_row *row, bool before, int64_t least)
{
    const char *status = result_text(row->newest, "status");
    const char *why = result_text(row->newest, "status_reason");
    bool passed = !strcmp(status, "passed") && result_timed(row->newest);
    if (passed)
        row->newest_ns = result_number(row->newest, "timing.median");
    if (!passed) {
        row->verdict = is_failure(status) && before ? GATE_FAILED : GATE_UNJUDGED;
        snprintf(row->reason, sizeof row->reason, "%.24s%s%.250s", status, *why ? ": " : "", why);
    } else if (row->runs < least) {
        row->verdict = GATE_CALIBRATION;
        snprintf(row->reason, sizeof row->reason, "%lld of %lld runs before it",
                 (long long)row->runs, (long long)least);
    } else {
        row->verdict = judge_times(row);
    }
}

static void judge_series(const struct gate *gate, struct result *const *series, int64_t count,
                         const struct gate_limits *limits, double floor, int64_t window,
                         struct gate_row *row)
{
    struct gate_limits usual = default_limits(result_text(series[0], "case_kind"), floor);
    *row = (struct gate_row){.newest = series[count - 1], .newest_ns = NAN, .before_ns = NAN};
    row->limits.percent = isnan(limits->percent) ? usual.percent : limits->percent;
    row->limits.absolute_s = isnan(limits->absolute_s) ? usual.absolute_s : limits->absolute_s;
    look_back(series, count, window, row);
    judge_row(row, row->runs || passed_before(gate, row->newest),
              window < GATE_LEAST ? window : GATE_LEAST);
}

/* Whether `a` tells more than `b` of why `newest` has no history: the same recipe, else the later. */
static bool is_closer(const struct result *a, const struct result *b, const struct result *newest)
{
    const char *recipe = result_text(newest, "recipe_sha256");
    bool a_same = !strcmp(result_text(a, "recipe_sha256"), recipe);
    bool b_same = b && !strcmp(result_text(b, "recipe_sha256"), recipe);
    return !b || (a_same != b_same ? a_same : order_time(b, a) < 0);
}

/* A new recipe in the place of an old one is named, so that nobody takes silence for a pass. */
static void name_mismatch(struct gate *gate, struct gate_row *row)
{
    const struct result *other = NULL;
    for (int64_t i = 0; i < gate->case_count; i++) {
        const struct result *r = gate->cases[i];
        if (order_time(r, row->newest) < 0 && !same_run(r, row->newest) &&
            order_series(r, row->newest) && same_question(r, row->newest) &&
            is_closer(r, other, row->newest))
            other = r;
    }
    static const char *const places[] = {"recipe", "impl.knobs", "timing.load", "claim",
                                         "schema.version"};
    char *field = NULL;
    for (size_t i = 0; other && !field && i < sizeof places / sizeof *places; i++)
        field = result_difference(row->newest, other, places[i]);
    if (field) {
        size_t used = strlen(row->reason);
        row->verdict = GATE_MISMATCH;
        snprintf(row->reason + used, sizeof row->reason - used,
                 "; %.80s differs from that of %.24s", field, result_text(other, "created_utc"));
    }
    free(field);
}

enum status gate_judge(struct gate *gate, const struct gate_limits *limits, double floor,
                       int64_t window, struct fault *fault)
{
    gate->rows = calloc((size_t)gate->case_count + 1, sizeof *gate->rows);
    if (!gate->rows)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the recipes");
    if (gate->case_count)
        qsort(gate->cases, (size_t)gate->case_count, sizeof *gate->cases, order_cases);
    for (int64_t from = 0, to; from < gate->case_count; from = to) {
        for (to = from + 1; to < gate->case_count; to++)
            if (order_series(gate->cases[from], gate->cases[to]))
                break;
        judge_series(gate, gate->cases + from, to - from, limits, floor, window,
                     &gate->rows[gate->row_count++]);
    }
    for (int64_t i = 0; i < gate->row_count; i++)
        if (gate->rows[i].verdict == GATE_CALIBRATION)
            name_mismatch(gate, &gate->rows[i]);
    if (gate->row_count)
        qsort(gate->rows, (size_t)gate->row_count, sizeof *gate->rows, order_rows);
    return ST_OK;
}
