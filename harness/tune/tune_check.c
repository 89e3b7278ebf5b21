// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "tune/tune_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine/device.h"
#include "run/run_case.h"
#include "timing/measure.h"

#define LINES_SHARE 0.5 /* of the budget, where clips follow */
#define LEAST_SECONDS 1.5
#define CLIP_ROUNDS 6 /* runs of a process each: the fewest whose medians can be compared */

/* ---- lines ----------------------------------------------------------------------------------- */

static void row(const struct bucket *b, const struct rematch *d, const char *word)
{
    char gain[64] = "-";
    if (!isnan(d->ratio[0]))
        snprintf(gain, sizeof gain, "%.3fx [%.3f, %.3f]", d->ratio[0], d->ratio[1], d->ratio[2]);
    printf("%5.1f%%  %-22s %-9s %s -> %s%s%s\n", 100 * b->share, gain, word, b->name, d->variant[1],
           strcmp(d->knobs[1], "-") ? ":" : "", strcmp(d->knobs[1], "-") ? d->knobs[1] : "");
    if (d->why[0])
        printf("        %s\n", d->why);
    fflush(stdout);
}

static enum status check_line(const struct tune_options *options, const char *path,
                              struct bucket *b, const struct tuned_line *line, double seconds,
                              int *slower, struct fault *fault)
{
    static const char *const words[DECISION_COUNT] = {[DECISION_KEPT] = "holds",
                                                      [DECISION_SAME] = "same",
                                                      [DECISION_SLOWER] = "dropped",
                                                      [DECISION_AMBIGUOUS] = "ambiguous",
                                                      [DECISION_FAILED] = "dropped"};
    char aside[4200];
    if (device_kind() == DEVICE_CPU)
        TRY(tune_cut(b, seconds, options->threads, fault));
    TRY(tune_candidates(options, seconds, line, b, fault));
    struct rematch d = {.variant = {b->list->entry->name, line->variant},
                        .knobs = {b->list->knobs, line->knobs}};
    progress_line("%s", b->name);
    TRY(tune_rematch(options, &b->problem, seconds, options->seed + 7, &d, fault));
    progress_line(NULL);
    const bool drop =
        d.decision == DECISION_SLOWER || (d.decision == DECISION_FAILED && d.failed == 1);
    row(b, &d, drop || d.decision != DECISION_FAILED ? words[d.decision] : "untimed");
    *slower += drop;
    return drop ? tuned_merge(path, NULL, 0, line, 1, aside, sizeof aside, fault) : ST_OK;
}

/* ---- clips ----------------------------------------------------------------------------------- */

/* One clip in a fresh process; NAN where it has no time. */
static enum status time_clip(const struct case_spec *spec, double *seconds, char *why, size_t bytes,
                             struct fault *fault)
{
    const struct run_limits limits = {
        .budget_s = 0, .deadline_s = 600, .least_samples = 2, .pin = "cores"};
    struct outcome *o = NULL;
    *seconds = NAN;
    TRY(outcome_new(spec, &o, fault));
    run_case(o, &limits);
    if (outcome_timed(o))
        *seconds = o->summary.median * 1e-9;
    else
        snprintf(why, bytes, "%.500s", o->reason);
    outcome_free(o);
    return interrupted_by ? fault_set(fault, ST_INTERRUPTED, "interrupted") : ST_OK;
}

static enum status check_clip(const struct tune_options *options, const char *model,
                              const char *path, struct fault *fault)
{
    double clip[2][CLIP_ROUNDS], ratio[3];
    char why[512] = "";
    struct case_spec spec = options->spec;
    spec.model = model;
    spec.threads = options->threads;
    spec.tuned = path;
    spec.prompt = case_model(model, fault)->text.layers ? "a red ball rolls to the left" : NULL;
    for (int i = 0; i < CLIP_ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            const int tuned = (i + k) % 2;
            progress_line("clip %d of %d, %s", 2 * i + k + 1, 2 * CLIP_ROUNDS,
                          tuned ? "tuned" : "untuned");
            spec.untuned = !tuned;
            TRY(time_clip(&spec, &clip[tuned][i], why, sizeof why, fault));
            if (why[0]) {
                progress_line(NULL);
                printf("clip    cannot be timed: %s\n", why);
                return ST_OK;
            }
        }
    progress_line(NULL);
    stats_ratio(clip[0], CLIP_ROUNDS, clip[1], CLIP_ROUNDS, options->seed, &ratio[0], &ratio[1],
                &ratio[2]);
    printf("clip    untuned %.4g s, tuned %.4g s: %.3fx [%.3f, %.3f], %d processes each, in turn\n",
           stats_median(clip[0], CLIP_ROUNDS), stats_median(clip[1], CLIP_ROUNDS), ratio[0],
           ratio[1], ratio[2], CLIP_ROUNDS);
    return ST_OK;
}

enum status tune_check(const struct tune_options *options, const char *what, const char *place,
                       const char *path, const struct tuned *table, struct bucket_list *list,
                       int *slower, struct fault *fault)
{
    const bool model = !strchr(what, ':') && case_model(what, NULL);
    const double budget_s = isfinite(options->budget_s) ? options->budget_s : 60;
    const double deadline = clock_seconds() + budget_s * (model ? LINES_SHARE : 1);
    int lines = 0, left = 0, stale = table ? tuned_stale(table, place) : 0;
    for (int i = 0; table && i < list->count; i++) {
        const struct tuned_line *line = tuned_find(table, place, list->item[i].name);
        lines += line && tuned_is_fresh(line);
    }
    printf("%d of %d buckets are tuned for %s by %s\n", lines, list->count, place, path);
    if (stale)
        printf("%d line%s of kernels that changed since or are not here: no decision\n", stale,
               stale == 1 ? " is" : "s are");
    for (int i = 0; table && i < list->count; i++) {
        const struct tuned_line *line = tuned_find(table, place, list->item[i].name);
        if (!line || !tuned_is_fresh(line))
            continue;
        const double fair = (deadline - clock_seconds()) / lines--;
        if (fair < 0)
            left++;
        else
            TRY(check_line(options, path, &list->item[i], line, fmax(fair, LEAST_SECONDS), slower,
                           fault));
    }
    if (left)
        printf("for %d lines there was no time; give a larger --budget\n", left);
    return model && table ? check_clip(options, what, path, fault) : ST_OK;
}
