// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_confirm.c   The last word on a choice: the same arms as `kernels` and `compare` have, each in
 * its own worker, verified on the shape, taking turns in blocks of fresh data in random order, their
 * timed outputs held against the check at the end. What is judged are the medians of blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "kernels.h"
#include "measure.h"
#include "patchmark.h"
#include "random.h"
#include "tune.h"
#include "worker.h"

#define LEAST_ROUNDS 8
#define MOST_ROUNDS 60
#define CHECK_SECONDS 0.5
#define CANDIDATES_TRIED 3 /* winners that fail on new data before the default stays */

struct turns {
    struct contest c;
    double median[2][MOST_ROUNDS];
    int rounds;
};

/* The median of the samples that this visit added. */
static void block(struct turns *t, int arm, uint64_t seed, int place)
{
    struct arm *a = &t->c.arms[arm];
    const int64_t before = a->n;
    arm_block(&t->c, a, seed, place);
    if (a->worker && a->n > before)
        t->median[arm][t->rounds] = stats_median(a->samples + before, a->n - before);
}

static bool both_there(const struct turns *t)
{
    return t->c.arms[0].worker && t->c.arms[1].worker && !interrupted_by;
}

static void take_turns(struct turns *t, const struct kernels_options *o, double deadline)
{
    const struct random_stream stream = random_stream_of(o->seed, "order of turns");
    while (both_there(t) && t->rounds < MOST_ROUNDS &&
           (t->rounds < LEAST_ROUNDS || clock_seconds() < deadline)) {
        const int first = (int)(random_bits(stream, (uint64_t)t->rounds) & 1);
        block(t, first, o->seed + 1 + (uint64_t)t->rounds, 0);
        if (both_there(t))
            block(t, !first, o->seed + 1 + (uint64_t)t->rounds, 1);
        t->rounds += both_there(t);
    }
}

static bool prepare(struct turns *t, struct arm *a)
{
    const struct contest *c = &t->c;
    arm_start(c, a);
    return a->worker && arm_ready(c, a) && arm_check(c, a, "check", CHECK_SECONDS) &&
           arm_warm(c, a, fmin(0.3, c->options->budget / 8));
}

static void finish(struct turns *t, struct arm *a)
{
    if (a->worker && arm_check(&t->c, a, "recheck", CHECK_SECONDS / 2))
        arm_finish(&t->c, a);
    char reason[256];
    if (!a->state && arm_timed(a) &&
        roof_beaten(t->c.roof, &t->c.problem, a, reason, sizeof reason))
        arm_stop(a, "mistrusted", reason);
}

static void judge(const struct turns *t, struct duel *d)
{
    const double *slow = t->median[0], *fast = t->median[1];
    d->rounds = t->rounds;
    for (int i = 0; i < 2; i++)
        d->median_s[i] = stats_median(t->median[i], t->rounds);
    stats_ratio(slow, t->rounds, fast, t->rounds, t->c.options->seed, &d->ratio[0], &d->ratio[1],
                &d->ratio[2]);
    const double p = stats_mann_whitney(slow, t->rounds, fast, t->rounds);
    const bool sure = p < 0.05, apart = fabs(d->ratio[0] - 1) >= 0.02;
    d->decision = sure && apart && d->ratio[1] > 1   ? DECISION_KEPT
                  : sure && apart && d->ratio[2] < 1 ? DECISION_SLOWER
                  : !apart                           ? DECISION_SAME
                                                     : DECISION_AMBIGUOUS;
}

static void conclude(struct turns *t, struct duel *d)
{
    d->failed = -1;
    for (int i = 0; i < 2; i++) {
        struct arm *a = &t->c.arms[i];
        finish(t, a);
        if (!a->state)
            continue;
        d->failed = d->failed < 0 ? i : d->failed;
        d->decision = DECISION_FAILED;
        snprintf(d->why, sizeof d->why, "%s: %.400s", a->state, a->reason);
    }
    if (d->failed < 0 && t->rounds >= LEAST_ROUNDS)
        judge(t, d);
}

static struct arm_spec spec_of(const struct problem *p, const char *variant, const char *knobs)
{
    struct arm_spec spec = {.threads = 0};
    snprintf(spec.op, sizeof spec.op, "%s", op_table[p->op]->name);
    snprintf(spec.variant, sizeof spec.variant, "%s", variant);
    snprintf(spec.knobs, sizeof spec.knobs, "%s", strcmp(knobs, "-") ? knobs : "");
    return spec;
}

static struct roof roof; /* of this machine, measured once */

enum status tune_duel(const struct tune_options *options, const struct problem *problem,
                      double budget_s, uint64_t seed, struct duel *d, struct fault *fault)
{
    const double deadline = clock_seconds() + budget_s;
    struct kernels_options o = {.threads = options->threads, .budget = budget_s, .seed = seed};
    const struct arm_spec specs[2] = {spec_of(problem, d->variant[0], d->knobs[0]),
                                      spec_of(problem, d->variant[1], d->knobs[1])};
    struct turns *t = calloc(1, sizeof *t);
    if (!t)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a comparison");
    d->ratio[0] = d->ratio[1] = d->ratio[2] = d->median_s[0] = d->median_s[1] = NAN;
    enum status s = backend_find(NULL, &o.backend, fault);
    if (s == ST_OK && !roof.isa)
        roof_measure(&roof, options->threads);
    if (s == ST_OK)
        s = contest_new_arms(&o, problem, specs, 2, &roof, &t->c, fault);
    if (s == ST_OK) {
        if (prepare(t, &t->c.arms[0]) && prepare(t, &t->c.arms[1]))
            take_turns(t, &o, deadline);
        if (!interrupted_by)
            conclude(t, d);
    }
    contest_free(&t->c);
    free(t);
    return interrupted_by ? fault_set(fault, ST_INTERRUPTED, "interrupted") : s;
}

/* ---- the winner of a search ------------------------------------------------------------------ */

static void take_duel(struct bucket *b, const struct duel *d)
{
    b->decision = d->decision;
    b->default_s = d->median_s[0];
    b->winner_s = d->median_s[1];
    memcpy(b->ratio, d->ratio, sizeof b->ratio);
    snprintf(b->why, sizeof b->why, "%s", d->why);
}

enum status tune_confirm(const struct tune_options *options, double budget_s, double least,
                         struct bucket *b, struct fault *fault)
{
    for (int i = 0; i < CANDIDATES_TRIED && b->winner; i++) {
        struct candidate *winner = &b->list[b->winner - b->list];
        struct duel d = {.variant = {b->list->entry->name, winner->entry->name},
                         .knobs = {b->list->knobs, winner->knobs}};
        /* Far from all seeds of the search, which are small steps from its own. */
        const uint64_t seed = options->seed + UINT64_C(1000003) * (uint64_t)(i + 1);
        TRY(tune_duel(options, &b->problem, budget_s, seed, &d, fault));
        take_duel(b, &d);
        if (d.decision != DECISION_FAILED || d.failed != 1)
            break;
        winner->state = CANDIDATE_WRONG;
        snprintf(winner->why, sizeof winner->why, "%.250s", d.why);
        b->wrong++;
        tune_name_winner(b, least);
    }
    return ST_OK;
}
