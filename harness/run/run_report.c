// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_report.c   A pipeline case as a row for people and as the members of a record. */
#include "elem.h"
#include "external/external.h"
#include "machine/device.h"
#include "run/run_case.h"
#include "run/run_replicas.h"
#include "run/run_scenario.h"
#include "run/run_sustain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static double median_of(const double *samples, const struct outcome *o)
{
    return stats_median(samples, o->samples);
}

/* Of all clips of a batch, and of all replicas together where there are some. */
static double clips_per_s(const struct outcome *o)
{
    return o->throughput ? throughput_clips_per_s(o->throughput)
                         : (double)o->c.request.batch * 1e9 / o->summary.median;
}

static double frames_per_s(const struct outcome *o)
{
    return (double)o->c.request.geometry.frames * clips_per_s(o);
}

static double video_s_per_h(const struct outcome *o)
{
    double clip_s = (double)o->c.request.geometry.frames / o->c.fps;
    return clip_s * 3600 * clips_per_s(o);
}

static double tokens_per_s(const struct outcome *o)
{
    const struct generate_request *r = &o->c.request;
    double tokens = (double)(r->batch * r->geometry.S * r->steps * case_passes(&o->c));
    return tokens * 1e9 / outcome_stage_ns(o, STAGE_DENOISE);
}

static void json_timing(const struct outcome *o, struct json *j)
{
    const struct summary *s = &o->summary;
    json_open_object(j, "timing");
    json_int(j, "n", s->n);
    json_text(j, "unit", "ns");
    json_number(j, "median", s->median);
    json_number(j, "lo", s->lo);
    json_number(j, "hi", s->hi);
    json_number(j, "level", s->level);
    json_number(j, "min", s->min);
    json_number(j, "max", s->max);
    json_number(j, "mean", s->mean);
    json_number(j, "cv", s->cv);
    json_open_array(j, "samples");
    for (int64_t i = 0; i < o->samples; i++)
        json_number(j, NULL, o->total[i]);
    json_end(j);
    json_text(j, "stop_reason", stop_name(o->stop));
    json_int(j, "samples_n", o->samples);
    sidecar_json(&o->place, j);
    json_int(j, "outliers", o->outliers);
    guard_json(&o->guard, j);
    json_int(j, "processes_n", 1);
    if (!o->external)
        pinning_json(&o->pinning, o->openmp, o->openblas, o->pinned, o->others, j);
    json_text(j, "schedule", o->sampling ? "interleaved" : "sequential");
    json_int(j, "warmup_n", o->sampling ? 0 : 1);
    json_text(j, "backend", o->external ? "engine" : "loop");
    json_text(j, "load",
              o->sampling                      ? NULL
              : sustained_lasted(o->sustained) ? "sustained"
                                               : "burst");
    json_end(j);
}

/* Of a stage that every clip of the model passes; NaN where the model has none. */
static double expected_ns(const struct outcome *o, enum stage stage)
{
    return stage_expected(o->c.request.model, stage) ? outcome_stage_ns(o, stage) : NAN;
}

/* Of a sampled case no step, no load and no first run was there to time. */
static void json_stages(const struct outcome *o, struct json *j)
{
    json_open_object(j, "stages");
    json_number(j, "text_ns", expected_ns(o, STAGE_TEXT));
    if (outcome_stage_ns(o, STAGE_ENCODE) > 0)
        json_number(j, "encode_ns", outcome_stage_ns(o, STAGE_ENCODE));
    json_number(j, "denoise_ns", outcome_stage_ns(o, STAGE_DENOISE));
    json_number(j, "decode_ns", expected_ns(o, STAGE_DECODE));
    json_open_array(j, "step_ns");
    for (int64_t k = 0; !o->sampling && k < o->c.request.steps; k++)
        json_number(j, NULL, median_of(o->step + k * SAMPLES_MAX, o));
    json_end(j);
    json_open_object(j, "load_ns");
    for (int i = 0; i < STAGE_COUNT; i++)
        if (stage_expected(o->c.request.model, (enum stage)i) ||
            (!o->sampling && median_of(o->load[i], o) > 0))
            json_number(j, stage_names[i], o->sampling ? NAN : median_of(o->load[i], o));
    json_end(j);
    json_number(j, "first_run_ns", o->sampling ? NAN : o->first_ns);
    if (o->c.config.device == DEVICE_CUDA && !o->external) {
        json_int(j, "host_step_ns", o->host_step_ns);
        json_int(j, "graph_nodes", o->graph_nodes);
    }
    json_end(j);
}

static void json_clip_rate(const struct outcome *o, struct json *j, const char *key, double rate)
{
    if (model_ends_as_latents(o->c.request.model))
        json_unavailable(j, key, "a denoise-only model writes no frames");
    else
        json_number(j, key, rate);
}

static void json_derived(const struct outcome *o, struct json *j)
{
    double flops = outcome_work(o, "flops") * 1e9 / o->summary.median;
    json_open_object(j, "derived");
    json_number(j, "tokens_per_s", tokens_per_s(o));
    if (o->c.request.batch > 1)
        json_number(j, "ns_per_clip", o->summary.median / (double)o->c.request.batch);
    json_clip_rate(o, j, "frames_per_s", frames_per_s(o));
    json_clip_rate(o, j, "video_s_per_h", video_s_per_h(o));
    json_number(j, "flops_per_s", flops);
    json_number(j, "fma_peak_flops_per_s", o->fma_peak > 0 ? o->fma_peak : NAN);
    json_text(j, "fma_peak_isa", o->isa);
    json_number(j, "peak_fraction", o->fma_peak > 0 ? flops / o->fma_peak : NAN);
    json_end(j);
}

static void json_check(const struct outcome *o, struct json *j)
{
    const struct checked *c = &o->check;
    char hash[24];
    if (!c->given) {
        json_none(j, "correctness");
        return;
    }
    json_open_object(j, "correctness");
    json_number(j, "worst", c->worst);
    json_number(j, "l2_rel", c->l2);
    json_number(j, "max_abs", c->max_abs);
    json_number(j, "checked_ratio", c->ratio);
    json_int(j, "problems", c->problems);
    json_int(j, "seed", (int64_t)c->seed);
    json_bool(j, "rechecked", o->rechecked);
    snprintf(hash, sizeof hash, "%016" PRIx64, o->frames_hash);
    json_text(j, "frames_hash", o->frames_hash ? hash : NULL);
    json_end(j);
}

/* What was asked for; the recipe has what it became. */
const char *outcome_plan(const struct outcome *o)
{
    if (o->external)
        return o->external->name[0] ? o->external->name : "external";
    return o->c.spec.kernels ? o->c.spec.kernels : "auto";
}

/* By formula, whether or not the case was timed. */
static struct counted_work counted_work_of(const struct outcome *o)
{
    const double flops = outcome_work(o, "flops");
    return (struct counted_work){o->summary.median * 1e-9, isnan(flops) ? 0 : flops};
}

/* The members of a case record, for the file and for --format json. */
void outcome_json(const struct outcome *o, struct json *j)
{
    bool timed = outcome_timed(o);
    json_text(j, "case_kind", "pipeline");
    json_text(j, "status", outcome_state(o));
    json_text(j, "status_reason", o->reason[0] ? o->reason : NULL);
    json_text(j, "claim", o->external ? "external" : o->sampling ? "sampled" : "measured");
    json_text(j, "ran_on",
              o->external    ? external_ran_on(o)
              : o->check.given ? device_ran_on_of(o->c.config.device, o->c.config.device_index)
                             : NULL);
    json_text(j, "repro", o->repro);
    json_raw(j, "recipe", o->recipe[0] ? o->recipe : "null");
    json_text(j, "recipe_sha256", o->sha256[0] ? o->sha256 : NULL);
    json_open_object(j, "impl");
    json_text(j, "requested", o->external ? command_shown(o->c.spec.engine) : outcome_plan(o));
    if (!o->external)
        tuned_use_json(&o->tuned, o->c.spec.untuned, j);
    json_open_array(j, "plugins");
    for (const char *hash = o->plugins; *hash; hash += strcspn(hash, " ") + 1)
        json_bytes(j, NULL, hash, strcspn(hash, " "));
    json_end(j);
    json_end(j);
    if (o->external)
        external_correctness_json(o, j);
    else
        json_check(o, j);
    if (timed) {
        json_timing(o, j);
        json_stages(o, j);
        json_derived(o, j);
        if (o->sampling)
            sampled_json(&o->sampled, j, "sampled");
        if (o->throughput)
            throughput_json(o, j, "replicas");
        if (o->sustained)
            sustained_json(o->sustained, j, "sustained");
    } else {
        json_none(j, "timing");
        json_none(j, "stages");
        json_none(j, "derived");
    }
    if (o->elapsed_ns > 0)
        json_number(j, "elapsed_ns", o->elapsed_ns);
    scenario_json(o, j);
    external_json(o, j);
    if (o->gpu.used)
        json_raw(j, "gpu", o->gpu.text);
    outcome_energy_json(o, j);
    json_raw(j, "work", o->work[0] ? o->work : "null");
    json_open_object(j, "memory");
    json_number(j, "planned_bytes", o->planned > 0 ? o->planned : NAN);
    json_number(j, "host_peak_bytes", o->resident > 0 ? o->resident : NAN);
    json_end(j);
    const struct counted_work done = counted_work_of(o);
    counted_json(o->counter, o->counters, "clip", j);
    counted_figures_json(o->counter, o->counters, &done, j);
}

/* Columns of names; what is said below a row stands under it, a little to the right. */
#define CASE_COLUMN "%-42s"
#define BELOW "    "

void outcome_heading(FILE *out)
{
    fprintf(out, CASE_COLUMN " %-10s %-9s %-18s %-20s %9s %8s %9s %8s %7s\n", "case", "plan",
            "status", "time of a clip", "input/denoise/decode", "tokens/s", "frames/s", "video s/h",
            "GFLOP/s", "of peak");
}

static void append(char *text, size_t bytes, const char *form, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, form);
    vsnprintf(text + used, bytes - used, form, args);
    va_end(args);
}

/* What was given otherwise than usual, so that rows of a list over it can be told apart. */
static void append_unusual(const struct case_spec *s, char *out, size_t bytes)
{
    const bool two = !isnan(s->guidance.second);
    if (!isnan(s->guidance.first))
        append(out, bytes, " g%g", s->guidance.first);
    if (two)
        append(out, bytes, ",%g", s->guidance.second);
    if (!isnan(s->shift))
        append(out, bytes, " shift%g", s->shift);
    if (!isnan(s->fps))
        append(out, bytes, " %gfps", s->fps);
    if (s->scheduler)
        append(out, bytes, " %s", s->scheduler);
    if (s->seed != 42)
        append(out, bytes, " seed%llu", (unsigned long long)s->seed);
    if (strcmp(s->residency, "auto"))
        append(out, bytes, " %s", s->residency);
    if (strcmp(s->fill, "normal"))
        append(out, bytes, " %s", s->fill);
}

void outcome_name(const struct outcome *o, char *out, size_t bytes)
{
    const struct geometry *g = &o->c.request.geometry;
    bool f32 = o->c.config.type == ELEM_F32;
    const struct case_spec *s = &o->c.spec;
    char where[64], batch[24] = "", replicas[24] = "";
    snprintf(where, sizeof where, "t%d", o->c.config.threads);
    if (o->c.config.device == DEVICE_CUDA)
        snprintf(where, sizeof where, "%.40s%s", s->devices ? s->devices : s->device,
                 o->c.config.launch == LAUNCH_GRAPH ? " graph" : "");
    if (s->batch != CASE_UNSET)
        snprintf(batch, sizeof batch, " b%lld", (long long)s->batch);
    if (s->replicas != CASE_UNSET)
        snprintf(replicas, sizeof replicas, " x%lld", (long long)s->replicas);
    snprintf(out, bytes, "%s %lldx%lldx%lld s%lld %s%s%s%s%s%s%s", o->c.request.model->name,
             (long long)g->width, (long long)g->height, (long long)g->frames,
             (long long)o->c.request.steps, where, batch, replicas, f32 ? "" : " ",
             f32 ? "" : elem_name(o->c.config.type), s->scenario ? " " : "",
             s->scenario ? s->scenario : "");
    append_unusual(s, out, bytes);
}

/* What the encoders of text and image, the denoiser and the decoder took of the clip's time. */
static void describe_split(const struct outcome *o, char *out, size_t bytes)
{
    if (model_ends_as_latents(o->c.request.model)) {
        snprintf(out, bytes, "denoise only");
        return;
    }
    const double ns[] = {outcome_stage_ns(o, STAGE_TEXT) + outcome_stage_ns(o, STAGE_ENCODE),
                         outcome_stage_ns(o, STAGE_DENOISE), outcome_stage_ns(o, STAGE_DECODE)};
    char share[3][8];
    for (int i = 0; i < 3; i++)
        snprintf(share[i], sizeof share[i], isnan(ns[i]) ? "-" : "%.0f",
                 100 * ns[i] / o->summary.median);
    snprintf(out, bytes, "%s/%s/%s %%", share[0], share[1], share[2]);
}

/* A rate of any size: what a large model makes in a second is far below one. */
const char *rate_text(double rate, char out[24])
{
    snprintf(out, 24, rate < 10 ? "%.3g" : rate < 1000 ? "%.1f" : "%.0f", rate);
    return out;
}

/* "8.52 s", "12.3 min", "4.1 h": what is multiplied out may take any time. */
static const char *long_time(double seconds, char *out, size_t bytes)
{
    const bool days = seconds >= 3 * 86400, hours = seconds >= 2 * 3600, minutes = seconds >= 120;
    snprintf(out, bytes, "%.3g %s",
             seconds / (days      ? 86400
                        : hours   ? 3600
                        : minutes ? 60
                                  : 1),
             days      ? "days"
             : hours   ? "h"
             : minutes ? "min"
                       : "s");
    return out;
}

/* What stands behind the figures of the row above, and what they mean. */
static void sampled_line(const struct outcome *o, FILE *out)
{
    const struct sampled *s = &o->sampled;
    char step[32], total[32], clip[48] = "a still";
    if (o->c.request.geometry.frames > 1)
        snprintf(clip, sizeof clip, "a clip of %.3g s",
                 (double)o->c.request.geometry.frames / o->c.fps);
    const double step_s = outcome_stage_ns(o, STAGE_DENOISE) * 1e-9 / (double)o->c.request.steps;
    fprintf(out,
            BELOW "~ sampled: %.2g%% of the work ran (%d of %d problems whole, %d passes);"
                  " %s a step; +- is what passes differ by\n",
            100 * s->flops_share, s->whole, s->parts, s->passes,
            long_time(step_s, step, sizeof step));
    fprintf(out, BELOW "on this machine %s%s from %s would take about %s; sampled, not run whole\n",
            model_ends_as_latents(o->c.request.model) ? "denoising " : "", clip,
            o->c.request.model->name, long_time(s->total_s, total, sizeof total));
    if (s->micro_share > SAMPLE_MICRO_SHARE)
        fprintf(out,
                BELOW
                "%.0f%% of this time is of operations below a millisecond, where sampling errs"
                " by tens of percent\n",
                100 * s->micro_share);
    const struct against *a = &s->against;
    if (a->rounds)
        fprintf(out, BELOW "in %d rounds: full %.3f s, sampled %.3f s, %+.1f%%\n", a->rounds,
                a->full_s, a->sampled_s, 100 * against_deviation(a));
}

/* How much of the plan is a tuned table's. */
static void tuned_below(const struct outcome *o, FILE *out)
{
    const struct tuned_use *t = &o->tuned;
    if (!t->asked)
        return;
    if (t->why[0])
        fprintf(out, BELOW "untuned: %s\n", t->why);
    else
        fprintf(out, BELOW "tuned %d of %d shapes (table %s)%s\n", t->tuned, t->problems, t->hash,
                t->stale ? "; lines of kernels that changed since or are not here are left out"
                         : "");
}

void outcome_row(const struct outcome *o, FILE *out)
{
    char name[96], time[48], seconds[32], split[48], peak[16] = "-";
    char tokens[24], frames[24], video[24];
    outcome_name(o, name, sizeof name);
    fprintf(out, CASE_COLUMN " %-10s %-9s ", name, outcome_plan(o), outcome_state(o));
    if (!outcome_timed(o)) {
        fprintf(out, "%s\n", o->reason);
        scenario_row(o, out);
        return;
    }
    double m = o->summary.median, flops = outcome_work(o, "flops") * 1e9 / m;
    if (o->sampling)
        long_time(m * 1e-9, seconds, sizeof seconds);
    else
        snprintf(seconds, sizeof seconds, "%.3f s", m * 1e-9);
    snprintf(time, sizeof time, "%s%s +-%.1f%%", o->sampling ? "~" : "", seconds,
             50 * (o->summary.hi - o->summary.lo) / m);
    describe_split(o, split, sizeof split);
    if (o->fma_peak > 0)
        snprintf(peak, sizeof peak, "%.1f%%", 100 * flops / o->fma_peak);
    fprintf(out, "%-18s %-20s %9s ", time, split, rate_text(tokens_per_s(o), tokens));
    if (model_ends_as_latents(o->c.request.model))
        fprintf(out, "%8s %9s ", "-", "-");
    else
        fprintf(out, "%8s %9s ", rate_text(frames_per_s(o), frames),
                rate_text(video_s_per_h(o), video));
    fprintf(out, "%8.1f %7s\n", flops * 1e-9, peak);
    if (o->unstable)
        fprintf(out, BELOW "%s\n", o->reason);
    char redone[160];
    guard_describe(&o->guard, o->sampling ? "pass" : "clip", o->sampling ? "passes" : "clips",
                   redone, sizeof redone);
    if (redone[0])
        fprintf(out, BELOW "%s\n", redone);
    external_row(o, out);
    tuned_below(o, out);
    if (o->sampling)
        sampled_line(o, out);
    const struct counted_work done = counted_work_of(o);
    counted_print(o->counter, o->counters, "clip", &done, BELOW, out);
    counted_print_missing(o->counter, o->counters, BELOW, out);
    if (o->energy_line[0])
        fprintf(out, BELOW "%s\n", o->energy_line);
    if (o->c.request.batch > 1)
        fprintf(out, BELOW "batch of %lld: %.3f s a batch, %.3f s a clip\n",
                (long long)o->c.request.batch, m * 1e-9, m * 1e-9 / (double)o->c.request.batch);
    if (o->throughput)
        throughput_row(o, out);
    scenario_row(o, out);
    if (o->sustained)
        sustained_row(o->sustained, out);
}
