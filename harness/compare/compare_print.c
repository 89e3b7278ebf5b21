// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compare/compare.h"
#include "machine/device.h"

/* ---- for people ------------------------------------------------------------------------------ */

static int tests_of(const struct compare_suite *s)
{
    int tests = 0;
    for (int i = 0; i < s->count; i++)
        tests += s->pair[i].duel && !isnan(s->pair[i].duel->judgement.p);
    return tests;
}

/* Four digits: the ratios that matter are near 1. */
static void figures(const struct judgement *j, int tests, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "(95 %% interval %.4g to %.4g), p %.2g", j->lo, j->hi, j->p);
    if (tests > 1)
        snprintf(out + used, bytes - (size_t)used, ", %.2g among %d pairs", j->adjusted, tests);
}

void compare_sentence(const struct judgement *j, double threshold, int tests, char *out,
                      size_t bytes)
{
    char numbers[160];
    figures(j, tests, numbers, sizeof numbers);
    switch (j->verdict) {
    case VERDICT_FASTER:
    case VERDICT_SLOWER:
        snprintf(out, bytes, "B is %s than A: %.4g times its speed %s",
                 j->verdict == VERDICT_FASTER ? "FASTER" : "SLOWER", j->ratio, numbers);
        break;
    case VERDICT_SAME:
        snprintf(out, bytes, "B is the SAME as A within %.3g %%: %.4g times its speed %s",
                 100 * threshold, j->ratio, numbers);
        break;
    case VERDICT_AMBIGUOUS:
        if (j->p_units < VERDICT_ALPHA && j->p_processes >= VERDICT_ALPHA)
            snprintf(out, bytes,
                     "AMBIGUOUS: B has %.4g times A's speed %s, which may be the luck of %" PRId64
                     " process%s each; a larger --budget may tell",
                     j->ratio, numbers, j->processes, j->processes == 1 ? "" : "es");
        else
            snprintf(out, bytes,
                     "AMBIGUOUS: B has %.4g times A's speed %s, neither over %.3g %% apart nor"
                     " within; a larger --budget may tell",
                     j->ratio, numbers, 100 * threshold);
        break;
    case VERDICT_NONE:
        snprintf(out, bytes,
                 "no verdict: %" PRId64 " and %" PRId64 " measurements, %d are the least", j->na,
                 j->nb, VERDICT_LEAST);
    }
}

static void print_arm(const struct duel *d, int which, int width, FILE *out)
{
    const struct arm *a = &d->contest.arms[which];
    const struct duel_side *side = &d->side[which];
    double median = which ? d->judgement.median_b : d->judgement.median_a;
    char time[48];
    fprintf(out, "  %c  %-*s  ", 'A' + which, width, a->title);
    if (!duel_measured(d)) {
        fprintf(out, "%s%s%s\n", a->state, a->reason[0] ? ": " : "", a->reason);
        return;
    }
    kernels_time_text(median, NAN, time, sizeof time);
    fprintf(out, "%-9s  %" PRId64 " block%s in %d process%s%s%s\n", time, side->blocks,
            side->blocks == 1 ? "" : "s", side->processes, side->processes == 1 ? "" : "es",
            strcmp(a->state, "passed") ? ", " : "", strcmp(a->state, "passed") ? a->state : "");
}

static void print_classes(const struct duel *d, FILE *out)
{
    const struct arm *a = &d->contest.arms[DUEL_A], *b = &d->contest.arms[DUEL_B];
    if (!duel_measured(d) || a->numerics == b->numerics)
        return;
    fprintf(out, "  not the same arithmetic: A computes in %s%s, B in %s%s\n",
            numerics_name(a->numerics), numerics_exact(a->numerics) ? "" : " (approximate)",
            numerics_name(b->numerics), numerics_exact(b->numerics) ? "" : " (approximate)");
}

static void print_notes(const struct duel *d, FILE *out)
{
    print_classes(d, out);
    for (int i = 0; i < DUEL_ARMS; i++) {
        const struct arm *a = &d->contest.arms[i];
        if (a->program_sha256[0])
            fprintf(out, "  %c is another build: commit %s, sha256 %.12s\n", 'A' + i,
                    a->program_commit, a->program_sha256);
        if (a->spec.slow > 0)
            fprintf(out, "  %c is slowed down on purpose by %g %%\n", 'A' + i, 100 * a->spec.slow);
    }
    if (d->blocked)
        fprintf(out,
                "  kept apart (%s): each process ran without the other, its median is judged\n",
                d->blocked_why);
}

void compare_print(const struct compare_suite *s, int index, FILE *out)
{
    const struct compare_pair *p = &s->pair[index];
    const struct duel *d = p->duel;
    const struct arm *arms = d->contest.arms;
    char sentence[512];
    size_t width = strlen(arms[0].title), other = strlen(arms[1].title);
    width = other > width ? other : width;
    fprintf(out, "%s, %s, %s, ", d->contest.shape, device_text(),
            cache_state_name(d->contest.cache.state));
    if (arms[0].spec.threads == arms[1].spec.threads)
        fprintf(out, "%" PRId64 " thread%s, ", arms[0].spec.threads,
                arms[0].spec.threads == 1 ? "" : "s");
    else
        fprintf(out, "%" PRId64 " and %" PRId64 " threads, ", arms[0].spec.threads,
                arms[1].spec.threads);
    fprintf(out, "%.1f s\n", d->seconds);
    for (int i = 0; i < DUEL_ARMS; i++)
        print_arm(d, i, (int)width, out);
    print_notes(d, out);
    compare_sentence(&d->judgement, p->options.threshold, tests_of(s), sentence, sizeof sentence);
    fprintf(out, "  %s\n\n", duel_measured(d) ? sentence : "no verdict: an arm has no times");
}

/* ---- record ---------------------------------------------------------------------------------- */

static void side_json(const struct duel *d, int which, const char *key, struct json *j)
{
    const struct duel_side *side = &d->side[which];
    double disturbed;
    duel_disturbed(side, 0, &disturbed);
    json_open_object(j, key);
    json_int(j, "processes", side->processes);
    json_open_array(j, "block_medians");
    for (int64_t i = 0; i < side->blocks; i++)
        json_number(j, NULL, side->block[i] * 1e9);
    json_end(j);
    json_open_array(j, "block_process");
    for (int64_t i = 0; i < side->blocks; i++)
        json_int(j, NULL, side->process[i]);
    json_end(j);
    json_open_array(j, "judged");
    for (int64_t i = 0; i < side->units; i++)
        json_number(j, NULL, side->unit[i] * 1e9);
    json_end(j);
    json_number(j, "alone_ratio", disturbed);
    json_end(j);
}

static void schedule_json(const struct duel *d, struct json *j)
{
    char order[DUEL_ROUNDS_MAX + 1];
    int64_t rounds = d->blocked ? 0 : d->side[DUEL_A].blocks;
    for (int64_t i = 0; i < rounds; i++)
        order[i] = d->side[DUEL_A].first[i] ? 'A' : 'B';
    order[rounds] = '\0';
    json_text(j, "schedule", d->blocked ? "blocked" : "interleaved");
    json_text(j, "schedule_reason", d->blocked ? d->blocked_why : NULL);
    json_text(j, "first", d->blocked ? NULL : order);
}

static void figures_json(const struct judgement *q, struct json *j)
{
    json_text(j, "verdict", q->verdict == VERDICT_NONE ? NULL : verdict_name(q->verdict));
    json_number(j, "ratio", q->ratio);
    json_number(j, "ratio_lo", q->lo);
    json_number(j, "ratio_hi", q->hi);
    json_number(j, "level", 0.95);
    json_number(j, "independent", q->independent);
    json_number(j, "p", q->p);
    json_number(j, "p_units", q->p_units);
    json_number(j, "p_processes", q->p_processes);
    json_number(j, "p_adjusted", q->adjusted);
}

static void repro(const struct compare_suite *s, const struct compare_pair *p, char *out,
                  size_t bytes)
{
    char a[2048], b[2048], seed[32];
    arm_spec_print(&p->spec[DUEL_A], a, sizeof a);
    arm_spec_print(&p->spec[DUEL_B], b, sizeof b);
    snprintf(seed, sizeof seed, "%" PRIu64, s->kernels.seed);
    snprintf(out, bytes,
             "build/patchmark compare --interleave '%s' '%s' --shape '%s' --threads %" PRId64
             " --cache %s --budget %g --seed %s --device %s%s%s",
             a, b, p->duel->contest.shape, s->kernels.threads,
             cache_state_name(p->duel->contest.cache.state), s->kernels.budget, seed, device_text(),
             s->blocked ? " --blocked" : "", !strcmp(s->kernels.pin, "none") ? " --pin none" : "");
}

void compare_json(const struct compare_suite *s, int index, struct json *j)
{
    const struct compare_pair *p = &s->pair[index];
    const struct duel *d = p->duel;
    const struct arm *arms = d->contest.arms;
    char text[8192];
    json_int(j, "baseline", p->baseline);
    json_int(j, "variant", p->baseline + 1);
    arm_spec_print(&p->spec[DUEL_A], text, sizeof text);
    json_text(j, "a", text);
    arm_spec_print(&p->spec[DUEL_B], text, sizeof text);
    json_text(j, "b", text);
    repro(s, p, text, sizeof text);
    json_text(j, "repro", text);
    figures_json(&d->judgement, j);
    json_int(j, "tests", tests_of(s));
    json_number(j, "threshold", p->options.threshold);
    json_number(j, "floor", calibration_floor(p->calibrated ? &p->calibration : NULL));
    json_text(j, "calibrated_utc", p->calibrated ? p->calibration.created_utc : NULL);
    json_bool(j, "same_class", arms[DUEL_A].numerics == arms[DUEL_B].numerics);
    json_text(j, "unit", d->blocked ? "process" : "block");
    schedule_json(d, j);
    json_number(j, "budget_s", s->kernels.budget);
    json_number(j, "seconds", d->seconds);
    side_json(d, DUEL_A, "side_a", j);
    side_json(d, DUEL_B, "side_b", j);
}
