// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "run/run_sustain.h"
#include "run/run_replicas.h"
#include "timing/measure.h"

#include <stdlib.h>
#include <string.h>

#define OPENING_SECONDS 60.0
#define OPENING_SHARE 0.2 /* of a run too short for that */

/* ---- windows --------------------------------------------------------------------------------- */

/* Clips made until a moment; *at is a clip that ended before it, or 0. */
static double clips_until(const double *end_s, int64_t clips, double moment_s, int64_t *at)
{
    while (*at < clips && end_s[*at] <= moment_s)
        ++*at;
    if (*at == clips)
        return (double)clips;
    const double begin_s = *at ? end_s[*at - 1] : 0;
    return (double)*at + (moment_s - begin_s) / (end_s[*at] - begin_s);
}

int sustain_windows(const double *end_s, int64_t clips, double window_s, double *rate)
{
    const double whole = clips ? end_s[clips - 1] / window_s : 0;
    const int windows = whole < SUSTAIN_WINDOWS_MAX ? (int)whole : SUSTAIN_WINDOWS_MAX;
    int64_t at = 0;
    double before = 0;
    for (int i = 0; i < windows; i++) {
        const double until = clips_until(end_s, clips, (i + 1) * window_s, &at);
        rate[i] = (until - before) / window_s;
        before = until;
    }
    return windows;
}

static double mean_of(const double *rate, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += rate[i];
    return count > 0 ? sum / count : NAN;
}

static bool flat(const double *rate, int count)
{
    const double mean = mean_of(rate, count);
    for (int i = 0; i < count; i++)
        if (fabs(rate[i] - mean) > SUSTAIN_FLAT * mean)
            return false;
    return true;
}

int sustain_settled(const double *rate, int windows)
{
    int first = windows - SUSTAIN_LEAST;
    if (first < 0 || !flat(rate + first, SUSTAIN_LEAST))
        return -1;
    while (first > 0 && flat(rate + first - 1, windows - first + 1))
        first--;
    return first;
}

static void sum_up(struct sustained *s, int64_t batch)
{
    const double mean_s = s->clips ? s->end_s[s->clips - 1] / (double)s->clips : NAN;
    s->window_s = fmax(fmin(OPENING_SECONDS, OPENING_SHARE * s->asked_s), mean_s);
    s->windows = sustain_windows(s->end_s, s->clips, s->window_s, s->rate);
    for (int i = 0; i < s->windows; i++)
        s->rate[i] *= (double)batch;
    s->settled = sustain_settled(s->rate, s->windows);
    const int last = s->settled >= 0              ? s->settled
                     : s->windows > SUSTAIN_LEAST ? s->windows - SUSTAIN_LEAST
                                                  : s->windows;
    s->opening_rate = mean_of(s->rate, s->windows ? 1 : 0);
    s->last_rate = mean_of(s->rate + last, s->windows - last);
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum status note(struct sustained *s, double clip_ns, double end_s)
{
    if (s->clips == s->room) {
        const int64_t room = s->room ? 2 * s->room : 1024;
        double *const clip = realloc(s->clip_ns, (size_t)room * sizeof *clip);
        s->clip_ns = clip ? clip : s->clip_ns;
        double *const end = clip ? realloc(s->end_s, (size_t)room * sizeof *end) : NULL;
        if (!end)
            return ST_NO_MEMORY;
        s->end_s = end;
        s->room = room;
    }
    s->clip_ns[s->clips] = clip_ns;
    s->end_s[s->clips++] = end_s;
    return ST_OK;
}

/* Forgets the first samples. */
static void drop(struct outcome *o, int64_t count)
{
    const size_t bytes = (size_t)(o->samples -= count) * sizeof(double);
    memmove(o->total, o->total + count, bytes);
    for (int i = 0; i < STAGE_COUNT; i++) {
        memmove(o->stage[i], o->stage[i] + count, bytes);
        memmove(o->load[i], o->load[i] + count, bytes);
    }
    for (int64_t k = 0; k < o->c.request.steps; k++)
        memmove(o->step + k * SAMPLES_MAX, o->step + k * SAMPLES_MAX + count, bytes);
}

static enum status clips_for_long(struct worker *w, const struct run_limits *limits,
                                  struct outcome *o, struct fault *fault)
{
    struct sustained *s = o->sustained;
    const double start_s = clock_seconds();
    while (s->spent_s < s->asked_s) {
        if (o->samples == SAMPLES_MAX)
            drop(o, SAMPLES_MAX / 2);
        TRY(outcome_clip(o, w, limits, outcome_next_clip(o, limits), fault));
        s->spent_s = clock_seconds() - start_s;
        TRY(note(s, o->total[o->samples - 1], s->spent_s));
        outcome_progress(o, fmin(1, s->spent_s / s->asked_s));
    }
    o->stop = STOP_DURATION;
    return ST_OK;
}

/* What `timing` is of. */
static void keep_settled(struct outcome *o)
{
    const struct sustained *s = o->sustained;
    int64_t settled = 0;
    const double from_s = s->settled > 0 ? s->settled * s->window_s : 0;
    while (settled < s->clips && s->end_s[s->clips - 1 - settled] > from_s)
        settled++;
    if (settled < o->samples && settled >= MEASURE_LEAST_SAMPLES)
        drop(o, o->samples - settled);
    o->summary = stats_summary(o->total, o->samples);
}

void run_sustained(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct run_limits mine = *limits;
    struct sustained *s = calloc(1, sizeof *s);
    mine.clips = clips_for_long;
    if (s)
        s->rate = calloc(SUSTAIN_WINDOWS_MAX, sizeof *s->rate);
    if (!s || !s->rate) {
        sustained_free(s);
        o->status = ST_NO_MEMORY;
        return;
    }
    s->asked_s = limits->sustain_s;
    o->sustained = s;
    const enum status room =
        case_ready(&o->c, &fault) == ST_OK ? replicas_fit(o, 1, &fault) : ST_OK;
    if (room != ST_OK) {
        outcome_repro(o, limits);
        outcome_finish(o, NULL, room, &fault);
        return;
    }
    run_case(o, &mine);
    const bool cut = o->status == ST_INTERRUPTED && s->clips;
    if (o->status != ST_OK && !cut)
        return;
    sum_up(s, o->c.request.batch);
    keep_settled(o);
    o->status = ST_OK;
    outcome_judge(o);
    if (!cut)
        return;
    o->stop = STOP_INTERRUPTED;
    o->unstable = true;
    snprintf(o->reason, sizeof o->reason,
             "interrupted after %.0f of %.0f s; what was measured is kept, its kernels were not"
             " checked a second time",
             s->spent_s, s->asked_s);
}

/* ---- telling --------------------------------------------------------------------------------- */

bool sustained_lasted(const struct sustained *s) { return s && s->spent_s >= SUSTAIN_SECONDS; }

void sustained_free(struct sustained *s)
{
    if (!s)
        return;
    free(s->clip_ns);
    free(s->end_s);
    free(s->rate);
    free(s);
}

static void json_array(struct json *j, const char *key, const double *value, int64_t count,
                       double scale)
{
    json_open_array(j, key);
    for (int64_t i = 0; i < count; i++)
        json_number(j, NULL, scale * value[i]);
    json_end(j);
}

void sustained_json(const struct sustained *s, struct json *j, const char *key)
{
    const bool settled = s->settled >= 0;
    json_open_object(j, key);
    json_number(j, "asked_s", s->asked_s);
    json_number(j, "spent_s", s->spent_s);
    json_number(j, "window_s", s->window_s);
    json_number(j, "opening_clips_per_h", 3600 * s->opening_rate);
    if (settled)
        json_number(j, "settled_clips_per_h", 3600 * s->last_rate);
    else
        json_unavailable(j, "settled_clips_per_h",
                         s->windows < SUSTAIN_LEAST ? "too few windows to tell"
                                                    : "the rates of the last windows still differ");
    json_number(j, "settled_after_s", settled ? s->settled * s->window_s : NAN);
    json_number(j, "drift", s->last_rate / s->opening_rate - 1);
    json_array(j, "window_clips_per_h", s->rate, s->windows, 3600);
    json_array(j, "clip_ns", s->clip_ns, s->clips, 1);
    json_array(j, "clip_end_ns", s->end_s, s->clips, 1e9);
    json_end(j);
}

void sustained_row(const struct sustained *s, FILE *out)
{
    char opening[24], last[24];
    const char *kind = sustained_lasted(s) ? "sustained" : "burst";
    rate_text(3600 * s->opening_rate, opening);
    rate_text(3600 * s->last_rate, last);
    fprintf(out, "    %s, %lld clips in %.0f s: ", kind, (long long)s->clips, s->spent_s);
    if (isnan(s->last_rate))
        fprintf(out, "too short for windows of %.3g s\n", s->window_s);
    else if (s->settled < 0)
        fprintf(out,
                "%s clips/h in the first %.3g s, %s in the last %.3g s (%+.1f%%), not settled\n",
                opening, s->window_s, last, SUSTAIN_LEAST * s->window_s,
                100 * (s->last_rate / s->opening_rate - 1));
    else
        fprintf(out, "%s clips/h in the first %.3g s, settled at %s (%+.1f%%) after %.3g s\n",
                opening, s->window_s, last, 100 * (s->last_rate / s->opening_rate - 1),
                s->settled * s->window_s);
}
