// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* expect.c   Records are our own, one JSON object a line without blanks, so that a search for
 * members is enough and needs no library. What is read only guesses a time: a record that is not
 * understood is passed over. */
#include "sweep/expect.h"

#include "elem.h"
#include "machine/host.h"
#include "run/run_scenario.h"
#include "timing/measure.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* A clip that was timed on this machine. */
struct fact {
    char model[64], type[8], device[16], kernels[96];
    int64_t threads;
    double flops, clip_s;
    double narrow_clips; /* clips until its interval was narrow; NAN: it was not */
    double rest_s;       /* what its case took beside first run and samples; NAN: not told */
};

struct expect {
    struct fact *fact;
    int count, room;
    double peak; /* of multiply-adds, at `peak_threads`; 0: not measured yet */
    int peak_threads;
};

/* ---- reading --------------------------------------------------------------------------------- */

/* What follows "name": in the object that begins at `from`, or NULL. */
static const char *member(const char *from, const char *name)
{
    char quoted[48];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = from ? strstr(from, quoted) : NULL;
    return at ? at + strlen(quoted) : NULL;
}

static double number_in(const char *from, const char *name)
{
    const char *at = member(from, name);
    return at && *at != 'n' ? strtod(at, NULL) : NAN;
}

static bool text_in(const char *from, const char *name, char *out, size_t bytes)
{
    const char *at = member(from, name);
    if (!at || *at != '"')
        return false;
    const size_t n = strcspn(at + 1, "\"");
    snprintf(out, bytes, "%.*s", (int)n, at + 1);
    return n < bytes;
}

static bool read_fact(const char *line, struct fact *f)
{
    const char *recipe = member(line, "recipe"), *impl = member(line, "impl");
    const char *timing = member(line, "timing"), *stages = member(line, "stages");
    const double n = number_in(timing, "n"), first_s = number_in(stages, "first_run_ns") * 1e-9;
    if (!recipe || *recipe != '{' || !timing || *timing != '{' || !stages || *stages != '{' ||
        member(recipe, "batch") || member(recipe, "replicas") || member(recipe, "scenario") ||
        member(line, "sustained") || !strstr(line, "\"case_kind\":\"pipeline\"") ||
        !strstr(line, "\"claim\":\"measured\"") ||
        !text_in(recipe, "model", f->model, sizeof f->model) ||
        !text_in(recipe, "type", f->type, sizeof f->type) ||
        !text_in(recipe, "device", f->device, sizeof f->device) ||
        !text_in(impl, "requested", f->kernels, sizeof f->kernels))
        return false;
    f->threads = (int64_t)number_in(recipe, "threads");
    f->flops = number_in(member(line, "work"), "flops");
    f->clip_s = number_in(timing, "median") * 1e-9;
    f->narrow_clips = strstr(timing, "\"stop_reason\":\"interval\"") ? n : NAN;
    f->rest_s = number_in(line, "elapsed_ns") * 1e-9 - n * f->clip_s - first_s;
    return f->flops > 0 && f->clip_s > 0 && f->threads > 0;
}

static bool add_fact(struct expect *e, const struct fact *f)
{
    if (e->count == e->room) {
        int room = e->room ? 2 * e->room : 64;
        struct fact *grown = realloc(e->fact, (size_t)room * sizeof *grown);
        if (!grown)
            return false;
        e->fact = grown;
        e->room = room;
    }
    e->fact[e->count++] = *f;
    return true;
}

static bool read_facts(struct expect *e, const char *path)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    struct fact f;
    while (in && ok && getline(&line, &room, in) > 0)
        ok = !read_fact(line, &f) || add_fact(e, &f);
    free(line);
    if (in)
        fclose(in);
    return ok;
}

struct expect *expect_open(const char *results)
{
    char pattern[4200];
    glob_t files = {0};
    bool ok = true;
    struct expect *e = calloc(1, sizeof *e);
    snprintf(pattern, sizeof pattern, "%s/%s/*.jsonl", results ? results : "", host_machine_slug());
    if (e && results && !glob(pattern, 0, NULL, &files))
        for (size_t i = 0; ok && i < files.gl_pathc; i++)
            ok = read_facts(e, files.gl_pathv[i]);
    globfree(&files);
    if (!ok) {
        expect_free(e);
        return NULL;
    }
    return e;
}

void expect_free(struct expect *e)
{
    if (e)
        free(e->fact);
    free(e);
}

/* ---- expecting ------------------------------------------------------------------------------- */

/* How far a record is from the case: 0 is the case itself, infinite is of no use. Another model or
 * plan weighs as much as a factor of ten thousand in work, so that a near record of its own wins. */
static double distance(const struct fact *f, const struct pipeline_case *c, double flops)
{
    const char *plan = c->spec.kernels ? c->spec.kernels : "auto";
    const int threads = c->config.threads;
    if (strcmp(f->device, c->spec.device) || strcmp(f->type, elem_name(c->config.type)))
        return INFINITY;
    double far = fabs(log(flops / f->flops));
    if (c->config.device == DEVICE_CPU)
        far += 2 * fabs(log((double)threads / (double)f->threads));
    far += strcmp(f->model, c->request.model->name) ? log(1e4) : 0;
    far += strcmp(f->kernels, plan) ? log(1e4) : 0;
    return far;
}

static const struct fact *nearest(const struct expect *e, const struct pipeline_case *c,
                                  double flops)
{
    const struct fact *best = NULL;
    double least = INFINITY;
    for (int i = 0; i < e->count; i++) {
        const double far = distance(&e->fact[i], c, flops);
        if (far <= least && isfinite(far)) { /* of equal ones the newest, which comes last */
            least = far;
            best = &e->fact[i];
        }
    }
    return best;
}

static double peak_of(struct expect *e, int threads)
{
    const char *isa;
    if (e->peak_threads != threads)
        e->peak = measure_fma_peak(threads, &isa);
    e->peak_threads = threads;
    return e->peak;
}

/* The reference checks each distinct problem before and after, within a fixed time each. */
#define CHECK_SECONDS 0.02
#define START_SECONDS 0.3

/* What the loop of run_case.c will do: at least so many clips, then until the interval is narrow,
 * which a record may tell, or the budget is spent. */
static double timing_s(const struct pipeline_case *c, double clip_s, double narrow_clips,
                       const struct run_limits *limits)
{
    const char *scenario = c->spec.scenario;
    const bool audit = scenario && !strcmp(scenario, "repeat-audit");
    const double clips = (double)limits->least_samples;
    const double least = clip_s * (audit ? fmax(clips, AUDIT_LEAST_CLIPS) : clips);
    const bool narrows = isfinite(narrow_clips) && !scenario && c->spec.replicas == CASE_UNSET;
    const double most = narrows ? narrow_clips : SAMPLES_MAX;
    if (limits->sustain_s > 0)
        return fmax(limits->sustain_s, clip_s);
    return fmax(least, fmin(limits->budget_s, most * clip_s));
}

struct expectation expect_case(struct expect *e, const struct pipeline_case *c, double flops,
                               int64_t problems, bool sampled, const struct run_limits *limits)
{
    struct expectation out = {.clip_s = NAN, .case_s = limits->budget_s, .basis = EXPECT_BUDGET};
    if (sampled)
        return out;
    out.basis = EXPECT_NONE;
    const struct fact *f = nearest(e, c, flops);
    double rest_s = START_SECONDS + 2 * CHECK_SECONDS * (double)problems, narrow_clips = NAN;
    if (f) {
        const bool same = !strcmp(f->model, c->request.model->name) &&
                          !strcmp(f->kernels, c->spec.kernels ? c->spec.kernels : "auto");
        const bool cpu = c->config.device == DEVICE_CPU;
        const double speed = cpu ? (double)f->threads / c->config.threads : 1;
        out.basis = same ? EXPECT_RECORD : EXPECT_OTHER;
        out.clip_s = f->clip_s * flops / f->flops * speed;
        narrow_clips = f->narrow_clips;
        rest_s = isfinite(f->rest_s) && f->rest_s > 0 ? f->rest_s : rest_s;
    } else if (c->config.device == DEVICE_CPU) {
        out.basis = EXPECT_ROOF;
        out.clip_s = flops / peak_of(e, c->config.threads);
    }
    out.case_s = rest_s + out.clip_s + timing_s(c, out.clip_s, narrow_clips, limits);
    return out;
}
