// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_search.c   Successive halving over short visits. In the first round every candidate is held
 * against the reference and timed for a moment, in an order that begins with the default; the better
 * third goes on to rounds of fresh data, random order and twice the time, until two are left or the
 * time is over. The default takes part in every round, so that all are measured against it under the
 * same conditions. Whatever a candidate does to the worker costs that candidate alone. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "machine/device.h"
#include "machine/topology.h"
#include "random.h"
#include "timing/measure.h"
#include "tune/tune.h"

#define FIRST_VISIT_SECONDS 0.01
#define CHECK_SHARE 0.01 /* of a bucket's time: reference of one candidate */
#define CHECK_MOST 0.5   /* seconds */
#define HOPELESS 3       /* times the best so far: not worth a second run */
#define FIRST_ROUND_SHARE 0.6
#define PATIENCE_SECONDS 10
#define ROUNDS_MOST 64

struct search {
    const struct tune_options *options;
    struct bucket *b;
    struct worker *worker;
    double deadline, budget_s, best_s;
    uint64_t seed;
    void (*say)(void *user, const struct bucket *b);
    void *user;
};

/* ---- the worker ------------------------------------------------------------------------------ */

static double patience(const struct search *s)
{
    return PATIENCE_SECONDS + s->budget_s + worker_fill_seconds(problem_bytes(&s->b->problem));
}

static enum status answer(struct search *s, const char **line, struct fault *fault)
{
    do
        TRY(worker_receive(s->worker, patience(s), line, fault));
    while (!strcmp(*line, "alive"));
    return worker_fault(*line, fault);
}

static void drop_worker(struct search *s)
{
    worker_end(s->worker);
    s->worker = NULL;
}

/* Operands are filled by the time it answers. */
static enum status start_worker(struct search *s, struct fault *fault)
{
    char threads[24], seed[24];
    const char *line;
    snprintf(threads, sizeof threads, "%d", s->options->threads);
    snprintf(seed, sizeof seed, "%" PRIu64, s->seed);
    struct pinning pin = {.list = "-"};
    if (device_kind() == DEVICE_CPU)
        pinning_choose("cores", s->options->threads, &pin);
    const char *argv[] = {"worker", "tune",   s->b->shape, "--threads", threads,       "--seed",
                          seed,     "--cpus", pin.list,    "--device",  device_text(), NULL};
    TRY(worker_spawn(argv, &s->worker, fault));
    return answer(s, &line, fault);
}

static enum status fill(struct search *s, uint64_t seed, struct fault *fault)
{
    char text[48];
    const char *line;
    s->seed = seed;
    if (!s->worker)
        return start_worker(s, fault);
    snprintf(text, sizeof text, "fill %" PRIu64, seed);
    TRY(worker_send(s->worker, text, fault));
    return answer(s, &line, fault);
}

/* ---- a visit --------------------------------------------------------------------------------- */

static void take_time(struct search *s, struct candidate *c, double seconds)
{
    c->state = CANDIDATE_TIMED;
    c->best_s = c->visits ? fmin(c->best_s, seconds) : seconds;
    c->last_s = seconds;
    c->visits++;
    s->best_s = s->best_s > 0 ? fmin(s->best_s, seconds) : seconds;
}

static void rule_out(struct search *s, struct candidate *c, enum status status, const char *why)
{
    const bool refused = status == ST_REFUSED || status == ST_UNAVAILABLE ||
                         status == ST_NOT_BUILT || status == ST_NO_MEMORY;
    c->state = refused ? CANDIDATE_REFUSED : CANDIDATE_WRONG;
    snprintf(c->why, sizeof c->why, "%s: %.200s", status_name(status), why);
    s->b->refused += refused;
    s->b->wrong += !refused;
}

static enum status ask_try(struct search *s, const struct candidate *c, double seconds, double most,
                           enum status *status, double *run_s, struct fault *fault)
{
    char text[384];
    const char *line;
    int code, used = 0;
    const double check = c->visits ? 0 : fmin(CHECK_MOST, CHECK_SHARE * s->budget_s);
    snprintf(text, sizeof text, "try %s %s %.6g %.6g %.6g", c->entry->name, c->knobs, check,
             seconds, most);
    TRY(worker_send(s->worker, text, fault));
    TRY(answer(s, &line, fault));
    if (sscanf(line, "tried %d %lf %n", &code, run_s, &used) != 2 || code < 0 || code >= ST_COUNT)
        return fault_set(fault, ST_CRASHED, "the worker's answer cannot be read");
    *status = (enum status)code;
    fault_set(fault, ST_OK, "%s", line + used);
    return ST_OK;
}

/* What becomes of the candidate is in it; an error is ours. */
static enum status visit(struct search *s, struct candidate *c, double seconds, struct fault *fault)
{
    struct fault why = {{0}};
    enum status status = ST_OK;
    double run_s = 0;
    const double most = c == s->b->list || !(s->best_s > 0)
                            ? INFINITY
                            : fmax(HOPELESS * s->best_s, FIRST_VISIT_SECONDS);
    if (!s->worker)
        TRY(start_worker(s, fault));
    const enum status talk = ask_try(s, c, seconds, most, &status, &run_s, &why);
    s->b->tried += !c->visits;
    if (interrupted_by)
        return fault_set(fault, ST_INTERRUPTED, "interrupted");
    if (talk != ST_OK)
        drop_worker(s);
    if (talk != ST_OK || status != ST_OK)
        rule_out(s, c, talk != ST_OK ? talk : status, why.text);
    else
        take_time(s, c, run_s);
    s->say(s->user, s->b);
    return ST_OK;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool time_is_over(double deadline) { return interrupted_by || clock_seconds() >= deadline; }

static enum status first_round(struct search *s, struct fault *fault)
{
    const double deadline = clock_seconds() + FIRST_ROUND_SHARE * s->budget_s;
    struct candidate *c = s->b->list;
    TRY(visit(s, c, 4 * FIRST_VISIT_SECONDS, fault));
    if (c->state != CANDIDATE_TIMED)
        return ST_OK;
    for (int i = 1; i < s->b->count && !time_is_over(deadline); i++)
        if (s->b->list[i].state == CANDIDATE_OPEN &&
            (!s->options->most || s->b->tried < s->options->most))
            TRY(visit(s, &s->b->list[i], FIRST_VISIT_SECONDS, fault));
    return ST_OK;
}

static int by_time(const void *left, const void *right)
{
    const struct candidate *a = *(struct candidate *const *)left;
    const struct candidate *b = *(struct candidate *const *)right;
    return a->best_s < b->best_s ? -1 : a->best_s > b->best_s;
}

/* Those still in the race but the default, fastest first; returns how many. */
static int field_of(const struct bucket *b, struct candidate **field)
{
    int n = 0;
    for (int i = 1; i < b->count; i++)
        if (b->list[i].state == CANDIDATE_TIMED)
            field[n++] = &b->list[i];
    qsort(field, (size_t)n, sizeof *field, by_time);
    return n;
}

static void shuffle(struct candidate **list, int n, uint64_t seed, uint64_t round)
{
    const struct random_stream stream = random_stream_of(seed, "order of candidates");
    for (int i = n - 1; i > 0; i--) {
        const uint64_t bits = random_bits(stream, round * 65536 + (uint64_t)i);
        const int other = (int)(bits % (uint64_t)(i + 1));
        struct candidate *kept = list[i];
        list[i] = list[other];
        list[other] = kept;
    }
}

/* Two visits of each who is left, and of the default. */
static enum status later_round(struct search *s, struct candidate **field, int n, uint64_t round,
                               double seconds, struct fault *fault)
{
    TRY(fill(s, s->options->seed + round, fault));
    for (int turn = 0; turn < 2; turn++) {
        field[n] = s->b->list;
        shuffle(field, n + 1, s->options->seed, 2 * round + (uint64_t)turn);
        for (int i = 0; i <= n && !time_is_over(s->deadline); i++)
            if (field[i]->state == CANDIDATE_TIMED)
                TRY(visit(s, field[i], seconds, fault));
        int kept = 0; /* the default goes to the end again */
        for (int i = 0; i <= n; i++)
            if (field[i] != s->b->list)
                field[kept++] = field[i];
    }
    return ST_OK;
}

static enum status halve(struct search *s, struct candidate **field, struct fault *fault)
{
    double seconds = 2 * FIRST_VISIT_SECONDS;
    int n = field_of(s->b, field);
    for (uint64_t round = 1; n > 0 && round < ROUNDS_MOST && !time_is_over(s->deadline); round++) {
        const int keep = n > 2 ? (n + 2) / 3 : round > 3 ? 1 : n;
        for (int i = keep; i < n; i++)
            field[i]->state = CANDIDATE_OUT;
        TRY(later_round(s, field, keep, round, seconds, fault));
        if (keep == 1 && round > 3)
            break;
        n = field_of(s->b, field);
        seconds = fmin(0.2, 2 * seconds);
    }
    return ST_OK;
}

static enum status run(struct search *s, struct fault *fault)
{
    struct candidate **field = calloc((size_t)s->b->count + 1, sizeof *field);
    if (!field)
        return ST_NO_MEMORY;
    enum status status = start_worker(s, fault);
    if (status == ST_OK)
        status = first_round(s, fault);
    if (status == ST_OK && s->b->list->state == CANDIDATE_TIMED)
        status = halve(s, field, fault);
    free(field);
    return status;
}

void tune_name_winner(struct bucket *b, double threshold)
{
    const struct candidate *best = NULL;
    for (int i = 1; i < b->count; i++)
        if (b->list[i].state == CANDIDATE_TIMED && (!best || b->list[i].best_s < best->best_s))
            best = &b->list[i];
    const struct candidate *first = b->list;
    b->winner = NULL;
    b->default_s = first->state == CANDIDATE_TIMED ? first->best_s : NAN;
    if (first->state != CANDIDATE_TIMED) {
        b->decision = DECISION_FAILED;
        snprintf(b->why, sizeof b->why, "%s %.300s", first->entry->name, first->why);
    } else if (!best || best->best_s > first->best_s / (1 + threshold)) {
        b->decision = b->tried > 1 ? DECISION_BEST : DECISION_NONE;
    } else {
        b->winner = best;
        b->winner_s = best->best_s;
        snprintf(b->variant, sizeof b->variant, "%s", best->entry->name);
        snprintf(b->knobs, sizeof b->knobs, "%s", best->knobs);
    }
}

enum status tune_search(const struct tune_options *options, double budget_s, struct bucket *b,
                        void (*say)(void *user, const struct bucket *b), void *user,
                        struct fault *fault)
{
    struct search s = {.options = options,
                       .b = b,
                       .budget_s = budget_s,
                       .deadline = clock_seconds() + budget_s,
                       .seed = options->seed,
                       .say = say,
                       .user = user};
    struct fault why = {{0}};
    const enum status status = run(&s, &why);
    drop_worker(&s);
    if (interrupted_by || status == ST_INTERRUPTED)
        return fault_set(fault, ST_INTERRUPTED, "interrupted");
    if (status == ST_NO_MEMORY || status == ST_OK) {
        TRY(status);
        tune_name_winner(b, options->threshold);
        return ST_OK;
    }
    b->decision = DECISION_FAILED;
    snprintf(b->why, sizeof b->why, "%.500s", why.text);
    return ST_OK;
}
