// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy_report.c   A window's looks become figures: one for each sensor, the best first. */
#include "energy/energy.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "energy/energy_state.h"

#define CLOCK_STEP_S 0.05   /* what the two clocks may drift apart in a window */
#define FILE_PATIENCE_S 5.0 /* an instrument may write its lines in bundles */

/* ---- figures --------------------------------------------------------------------------------- */

static struct energy_figure *add(struct energy_report *r, const char *sensor, const char *scope)
{
    static struct energy_figure no_room;
    struct energy_figure *f = r->count < ENERGY_SOURCES_MAX ? &r->figure[r->count++] : &no_room;
    *f = (struct energy_figure){.quality = "counter", .idle_w = NAN, .window_s = r->window_s};
    f->source.usable = true;
    snprintf(f->source.sensor, sizeof f->source.sensor, "%s", sensor);
    snprintf(f->source.scope, sizeof f->source.scope, "%s", scope);
    return f;
}

static void refuse(struct energy_figure *f, const char *why)
{
    f->source.usable = false;
    if (!f->source.why[0])
        snprintf(f->source.why, sizeof f->source.why, "%.255s", why);
}

/* Long enough, and seen often enough; else what would make it so. */
static void demand(const struct energy_report *r, struct energy_figure *f)
{
    char why[256];
    const double short_of = fmax(ENERGY_LEAST_S / fmax(f->window_s, 1e-3),
                                 (double)ENERGY_LEAST_REFRESHES / fmax((double)f->refreshes, 1));
    if (!f->source.usable || short_of <= 1)
        return;
    const double enough = ceil(1.1 * short_of * f->window_s / r->per.flag_scale);
    if (f->window_s < ENERGY_LEAST_S)
        snprintf(why, sizeof why, "a window of %.1f s is too short, %d s are the least; %s %.0f",
                 f->window_s, ENERGY_LEAST_S, r->per.flag, enough);
    else
        snprintf(why, sizeof why,
                 "the sensor told %lld new values in the window, %d are the least; %s %.0f",
                 (long long)f->refreshes, ENERGY_LEAST_REFRESHES, r->per.flag, enough);
    refuse(f, why);
}

/* ---- the power file -------------------------------------------------------------------------- */

static double now_utc(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads until the file reaches the window's end, as long as it seems to be growing. */
static enum status read_up_to(const char *path, double end_utc_s, struct power_file *f,
                              struct fault *fault)
{
    const double deadline = now_utc() + FILE_PATIENCE_S;
    for (;;) {
        TRY(power_file_read(path, f, fault));
        double last = f->count ? f->sample[f->count - 1].utc_s : 0;
        if (last >= end_utc_s || last < end_utc_s - 2 * FILE_PATIENCE_S || now_utc() > deadline)
            return ST_OK;
        power_file_free(f);
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

/* The meter's idle watts, by the same demands. */
static double file_idle(const struct energy *e, const struct power_file *f)
{
    struct power_figure p;
    double seconds = e->idle.end_utc_s - e->idle.begin_utc_s;
    if (!e->idled)
        return NAN;
    power_file_between(f, e->idle.begin_utc_s, e->idle.end_utc_s, &p);
    bool enough = !p.why[0] && p.samples >= ENERGY_LEAST_REFRESHES && seconds >= ENERGY_LEAST_S;
    return enough ? p.joules / seconds : NAN;
}

static void add_file(struct energy *e, const struct energy_window *w, struct energy_report *r)
{
    struct power_file f = {.count = 0};
    struct power_figure p;
    const char *asked = e->request.power_scope;
    const double step = (w->end_utc_s - w->begin_utc_s) - (w->end_s - w->begin_s);
    struct fault fault = {{0}};
    enum status s = read_up_to(e->request.power_file, w->end_utc_s, &f, &fault);
    struct energy_figure *out = add(r, "power-file", asked ? asked : f.scope);
    out->quality = "sampled";
    out->headline = true;
    if (s != ST_OK) {
        e->broken = fault;
        refuse(out, fault.text);
        return;
    }
    snprintf(out->source.detail, sizeof out->source.detail, "%s",
             f.source[0] ? f.source : "a power meter");
    power_file_between(&f, w->begin_utc_s, w->end_utc_s, &p);
    if (fabs(step) > CLOCK_STEP_S)
        refuse(out, "this machine's clock was set during the window");
    if (p.why[0])
        refuse(out, p.why);
    out->joules = p.joules;
    out->peak_w = p.peak_w;
    out->refreshes = p.samples;
    out->idle_w = file_idle(e, &f);
    power_file_free(&f);
}

/* ---- boards and processors ------------------------------------------------------------------- */

static void add_board(const struct energy *e, const struct energy_board *b, struct energy_report *r)
{
    struct energy_figure *out = add(r, "nvml", "board");
    const struct nvml_window *w = b->window;
    out->headline = true;
    snprintf(out->source.detail, sizeof out->source.detail, "%.159s", b->name ? b->name : "");
    if (!b->n) {
        refuse(out, b->unwatched);
        return;
    }
    bool counter = w->energy_s > 0 && w->energy_refreshes > 0;
    out->quality = counter ? "counter" : "sampled";
    out->joules = counter ? w->energy_j : w->sampled_j;
    out->window_s = counter ? w->energy_s : w->sampled_s;
    out->refreshes = counter ? w->energy_refreshes : w->power_refreshes;
    for (int64_t i = 0; i < w->count; i++)
        out->peak_w = fmax(out->peak_w, w->samples[i].figure[NVML_POWER]);
    for (int i = 0; i < e->boards; i++)
        if (e->board[i].device == b->device)
            out->idle_w = e->board[i].board_w;
    if (!counter && !(w->sampled_s > 0))
        refuse(out, "the driver tells neither this board's energy nor its power");
}

static void add_kind(const struct energy *e, const struct energy_window *w, enum rapl_kind kind,
                     bool headline, struct energy_report *r)
{
    struct energy_figure *out = NULL;
    double idle_j = 0;
    bool idle = e->idled;
    for (int i = 0; i < e->rapl.count; i++) {
        const struct rapl_track *t = &w->track[i], *quiet = &e->idle.track[i];
        if (e->rapl.domain[i].kind != kind)
            continue;
        bool first = !out;
        if (first)
            out = add(r, "powercap", rapl_kind_name(kind));
        out->headline = headline;
        size_t used = strlen(out->source.detail);
        snprintf(out->source.detail + used, sizeof out->source.detail - used, "%s%s",
                 used ? ", " : "", e->rapl.domain[i].name);
        if (t->why[0])
            refuse(out, t->why);
        out->joules += t->joules;
        out->peak_w += t->peak_w;
        if (first || t->refreshes < out->refreshes)
            out->refreshes = t->refreshes;
        idle = idle && !quiet->why[0] && quiet->refreshes >= ENERGY_LEAST_REFRESHES;
        idle_j += quiet->joules;
    }
    if (out && idle)
        out->idle_w = idle_j / (e->idle.end_s - e->idle.begin_s);
}

/* A kernel that shows no counter at all is one source that could not be had. */
static void add_processors(const struct energy *e, const struct energy_window *w, bool headline,
                           struct energy_report *r)
{
    for (int kind = 0; kind < RAPL_KINDS; kind++)
        add_kind(e, w, (enum rapl_kind)kind, headline && kind == RAPL_PACKAGE, r);
    if (e->rapl.count)
        return;
    struct energy_figure *none = add(r, "powercap", rapl_kind_name(RAPL_PACKAGE));
    none->headline = headline;
    refuse(none, e->rapl.why);
}

void energy_report(struct energy *e, const struct energy_window *w,
                   const struct energy_board *board, const struct energy_per *per,
                   struct energy_report *out)
{
    *out = (struct energy_report){.per = *per, .window_s = w->end_s - w->begin_s};
    if (e->request.power_file)
        add_file(e, w, out);
    if (board)
        add_board(e, board, out);
    add_processors(e, w, !board, out);
    for (int i = 0; i < out->count; i++) {
        struct energy_figure *f = &out->figure[i];
        demand(out, f);
        if (!out->best && f->headline && f->source.usable)
            out->best = f;
    }
}

/* ---- record ---------------------------------------------------------------------------------- */

static void figure_json(const struct energy_figure *f, struct json *j)
{
    bool usable = f->source.usable;
    json_open_object(j, NULL);
    json_text(j, "sensor", f->source.sensor);
    json_text(j, "scope", f->source.scope[0] ? f->source.scope : NULL);
    json_text(j, "detail", f->source.detail[0] ? f->source.detail : NULL);
    json_text(j, "quality", usable ? f->quality : NULL);
    if (usable)
        json_number(j, "energy_j", f->joules);
    else
        json_unavailable(j, "energy_j", f->source.why);
    json_number(j, "window_ns", usable ? f->window_s * 1e9 : NAN);
    json_number(j, "refreshes", usable ? (double)f->refreshes : NAN);
    json_number(j, "mean_w", usable ? f->joules / f->window_s : NAN);
    json_number(j, "peak_w", usable && f->peak_w > 0 ? f->peak_w : NAN);
    json_number(j, "idle_w", f->idle_w);
    json_end(j);
}

/* Joules of one: mean watts times the window's seconds for each, so that a sensor which saw a part
 * of the window stands for all of it. */
static double joules_each(const struct energy_report *r)
{
    return r->best->joules / r->best->window_s * r->window_s / r->per.count;
}

/* Why no figure stands for the case: what the best of its sensors lacks. */
static const char *why_none(const struct energy_report *r)
{
    for (int i = 0; i < r->count; i++)
        if (r->figure[i].headline)
            return r->figure[i].source.why;
    return "there is no sensor";
}

static void each_json(const struct energy_report *r, struct json *j, const char *key, double value)
{
    if (r->best)
        json_number(j, key, value);
    else
        json_unavailable(j, key, why_none(r));
}

void energy_json(const struct energy_report *r, struct json *j, const char *key)
{
    char name[32];
    const double each = r->best ? joules_each(r) : NAN;
    json_open_object(j, key);
    snprintf(name, sizeof name, "j_per_%s", r->per.what);
    each_json(r, j, name, each);
    if (r->per.frames > 0)
        each_json(r, j, "j_per_frame", each / r->per.frames);
    each_json(r, j, "edp_j_s", each * r->per.seconds);
    json_text(j, "sensor", r->best ? r->best->source.sensor : NULL);
    json_text(j, "scope", r->best ? r->best->source.scope : NULL);
    json_number(j, "window_ns", r->window_s * 1e9);
    json_number(j, "timed_fraction", r->per.busy_s / r->window_s);
    json_number(j, "count", r->per.count);
    json_open_array(j, "sources");
    for (int i = 0; i < r->count; i++)
        figure_json(&r->figure[i], j);
    json_end(j);
    json_end(j);
}

/* ---- for people ------------------------------------------------------------------------------ */

/* Four digits in a unit that keeps them near the point. */
static const char *joules_text(double joules, char out[32])
{
    static const struct {
        const char *unit;
        double scale;
    } units[] = {{"kJ", 1e-3}, {"J", 1}, {"mJ", 1e3}, {"uJ", 1e6}, {"nJ", 1e9}};
    int u = joules >= 1e4 ? 0 : 1;
    while (u < 4 && joules * units[u].scale < 1)
        u++;
    snprintf(out, 32, "%.4g %s", joules * units[u].scale, units[u].unit);
    return out;
}

/* A meter that was asked for and gave nothing is not passed over in silence. */
static const char *meter_text(const struct energy *e, const struct energy_report *r, char *out,
                              size_t bytes)
{
    out[0] = '\0';
    if (e->request.power_file && !r->figure[0].source.usable)
        snprintf(out, bytes, "; of the meter: none: %s", r->figure[0].source.why);
    return out;
}

void energy_line(const struct energy *e, const struct energy_report *r, char *out, size_t bytes)
{
    char each[32], frame[32], idle[32] = "", peak[32] = "", frames[48] = "", meter[300];
    const struct energy_figure *b = r->best;
    out[0] = '\0';
    if (!b && energy_asked(e))
        snprintf(out, bytes, "energy: none: %s", why_none(r));
    if (!b)
        return;
    if (r->per.frames > 0)
        snprintf(frames, sizeof frames, ", %s a frame",
                 joules_text(joules_each(r) / r->per.frames, frame));
    if (b->peak_w > 0)
        snprintf(peak, sizeof peak, ", peak %.4g W", b->peak_w);
    if (!isnan(b->idle_w))
        snprintf(idle, sizeof idle, ", idle %.4g W", b->idle_w);
    snprintf(out, bytes, "energy of the %s: %s a %s%s; mean %.4g W%s%s (%s %s, %.0f s)%s",
             b->source.scope, joules_text(joules_each(r), each), r->per.what, frames,
             b->joules / b->window_s, peak, idle, b->source.sensor, b->source.detail, b->window_s,
             meter_text(e, r, meter, sizeof meter));
}
