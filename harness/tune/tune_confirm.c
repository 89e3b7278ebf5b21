// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_confirm.c   The last word on a choice is that of `compare` (duel.h, verdict.h): each in its own
 * worker, verified on the shape, taking turns in blocks of fresh data, timed outputs held against the
 * check at the end, and judged by medians of blocks against this machine's noise floor. */
#include <math.h>
#include <string.h>

#include "base/patchmark.h"
#include "compare/duel.h"
#include "machine/device.h"
#include "tune/tune.h"

#define CANDIDATES_TRIED 3 /* winners that fail on new data before the default stays */

static struct arm_spec spec_of(const struct problem *p, const char *variant, const char *knobs)
{
    struct arm_spec spec = {.threads = 0};
    snprintf(spec.op, sizeof spec.op, "%s", op_table[p->op]->name);
    snprintf(spec.variant, sizeof spec.variant, "%s", variant);
    snprintf(spec.knobs, sizeof spec.knobs, "%s", strcmp(knobs, "-") ? knobs : "");
    return spec;
}

/* Of an arm that has no times. */
static void take_failure(const struct duel *d, struct rematch *r)
{
    r->decision = DECISION_FAILED;
    for (int i = 0; i < DUEL_ARMS; i++) {
        const struct arm *a = &d->contest.arms[i];
        if (arm_timed(a))
            continue;
        r->failed = i;
        snprintf(r->why, sizeof r->why, "%s: %.400s", a->state ? a->state : "no time", a->reason);
        return;
    }
}

static void take_verdict(struct duel *d, double threshold, struct rematch *r)
{
    static const enum decision decisions[] = {[VERDICT_NONE] = DECISION_AMBIGUOUS,
                                              [VERDICT_FASTER] = DECISION_KEPT,
                                              [VERDICT_SLOWER] = DECISION_SLOWER,
                                              [VERDICT_SAME] = DECISION_SAME,
                                              [VERDICT_AMBIGUOUS] = DECISION_AMBIGUOUS};
    struct judgement *j = &d->judgement;
    verdict_decide(j, threshold);
    r->decision = decisions[j->verdict];
    if (j->verdict == VERDICT_NONE)
        snprintf(r->why, sizeof r->why, "%lld rounds fitted into the time, and %d are the least",
                 (long long)(j->na < j->nb ? j->na : j->nb), VERDICT_LEAST);
    r->median_s[0] = j->median_a;
    r->median_s[1] = j->median_b;
    r->ratio[0] = j->ratio;
    r->ratio[1] = j->lo;
    r->ratio[2] = j->hi;
}

/* A last word in less time than the calibration's comparisons had needs more of a gain. */
static double threshold_at(const struct tune_options *options, double budget_s)
{
    struct calibration c = options->calibration;
    if (!(c.pair_seconds > 0))
        return options->threshold;
    calibration_at(&c, budget_s);
    return fmax(options->threshold, calibration_threshold(&c));
}

static struct roof roof = {.isa = ""}; /* of this machine, measured once */

enum status tune_rematch(const struct tune_options *options, const struct problem *problem,
                         double budget_s, uint64_t seed, struct rematch *r, struct fault *fault)
{
    struct duel_options o = {
        .kernels = {.threads = options->threads, .budget = budget_s, .seed = seed, .pin = "cores"},
        .threshold = threshold_at(options, budget_s),
        .luck = threshold_at(options, budget_s) / 2,
        .interleaved = true};
    const struct arm_spec specs[DUEL_ARMS] = {spec_of(problem, r->variant[0], r->knobs[0]),
                                              spec_of(problem, r->variant[1], r->knobs[1])};
    struct duel *d = NULL;
    r->failed = -1;
    r->ratio[0] = r->ratio[1] = r->ratio[2] = r->median_s[0] = r->median_s[1] = NAN;
    TRY(backend_find(NULL, &o.kernels.backend, fault));
    enum status s = duel_new(&o, problem, specs, &roof, &d, fault);
    if (s == ST_OK)
        s = duel_run(d, fault);
    if (s == ST_OK && (duel_failed(d) || !duel_measured(d)))
        take_failure(d, r);
    else if (s == ST_OK)
        take_verdict(d, o.threshold, r);
    duel_free(d);
    return interrupted_by ? fault_set(fault, ST_INTERRUPTED, "interrupted") : s;
}

/* ---- the winner of a search ------------------------------------------------------------------ */

static void take_rematch(struct bucket *b, const struct rematch *r)
{
    b->decision = r->decision;
    b->default_s = r->median_s[0];
    b->winner_s = r->median_s[1];
    memcpy(b->ratio, r->ratio, sizeof b->ratio);
    snprintf(b->why, sizeof b->why, "%s", r->why);
}

enum status tune_confirm(const struct tune_options *options, double budget_s, struct bucket *b,
                         struct fault *fault)
{
    for (int i = 0; i < CANDIDATES_TRIED && b->winner; i++) {
        struct candidate *winner = &b->list[b->winner - b->list];
        struct rematch r = {.variant = {b->list->entry->name, winner->entry->name},
                            .knobs = {b->list->knobs, winner->knobs}};
        /* Far from all seeds of the search, which are small steps from its own. */
        const uint64_t seed = options->seed + UINT64_C(1000003) * (uint64_t)(i + 1);
        TRY(tune_rematch(options, &b->problem, budget_s, seed, &r, fault));
        take_rematch(b, &r);
        if (r.decision != DECISION_FAILED || r.failed != 1)
            break;
        winner->state = CANDIDATE_WRONG;
        snprintf(winner->why, sizeof winner->why, "%.250s", r.why);
        b->wrong++;
        tune_name_winner(b, options->threshold);
    }
    return ST_OK;
}
