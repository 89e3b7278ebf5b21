// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* throughput.c   What replicas made together: set against one of them, as a row and in a record. */
#include "run/run_replicas.h"

#include <stdlib.h>
#include <string.h>

/* ---- against one replica of the same sweep --------------------------------------------------- */

struct baseline {
    char *recipe; /* without replicas, threads and how long weights stay */
    int threads;
    double rate;
};
static struct baseline *baselines;
static int baseline_count;

/* Cuts `"key":value,` out of one line of JSON. */
static void cut_member(char *recipe, const char *key)
{
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    char *at = strstr(recipe, quoted), *end = at ? strchr(at, ',') : NULL;
    if (end)
        memmove(at, end + 1, strlen(end + 1) + 1);
}

static void remember(const char *recipe, const struct outcome *o)
{
    struct baseline *grown = realloc(baselines, (size_t)(baseline_count + 1) * sizeof *baselines);
    if (!grown)
        return;
    baselines = grown;
    grown[baseline_count] = (struct baseline){strdup(recipe), o->c.config.threads,
                                              throughput_clips_per_s(o->throughput)};
    baseline_count += grown[baseline_count].recipe != NULL;
}

void throughput_compare(struct outcome *o)
{
    struct throughput *t = o->throughput;
    char recipe[sizeof o->recipe];
    memcpy(recipe, o->recipe, sizeof recipe);
    cut_member(recipe, "replicas");
    cut_member(recipe, "threads");
    cut_member(recipe, "residency");
    for (int i = 0; i < baseline_count; i++) {
        const struct baseline *b = &baselines[i];
        if (strcmp(b->recipe, recipe))
            continue;
        t->speedup = throughput_clips_per_s(t) / b->rate;
        t->one_rate = b->rate;
        t->one_threads = b->threads;
        if (b->threads == o->c.config.threads)
            t->efficiency = t->speedup / t->replicas;
    }
    if (t->replicas == 1)
        remember(recipe, o);
}

/* ---- telling --------------------------------------------------------------------------------- */

double throughput_clips_per_s(const struct throughput *t) { return t->clips / t->window_s; }

void throughput_free(struct throughput *t) { free(t); }

static void extremes(const struct throughput *t, double *slowest, double *fastest)
{
    *slowest = *fastest = t->rate[0];
    for (int i = 1; i < t->replicas; i++) {
        *slowest = fmin(*slowest, t->rate[i]);
        *fastest = fmax(*fastest, t->rate[i]);
    }
}

void throughput_json(const struct outcome *o, struct json *j, const char *key)
{
    const struct throughput *t = o->throughput;
    double slowest, fastest;
    const char *const alone =
        t->replicas == 1 ? "one replica is what more are held against"
                         : "one replica of as many threads was not timed before in this run";
    extremes(t, &slowest, &fastest);
    json_open_object(j, key);
    json_int(j, "count", t->replicas);
    json_int(j, "devices", t->devices);
    json_text(j, "device_list", o->c.spec.devices);
    json_number(j, "window_s", t->window_s);
    json_number(j, "clips", t->clips);
    json_number(j, "clips_per_h", 3600 * throughput_clips_per_s(t));
    json_number(j, "device_s_per_clip", t->devices / throughput_clips_per_s(t));
    if (o->c.config.device == DEVICE_CPU)
        json_number(j, "core_s_per_clip",
                    t->replicas * o->c.config.threads / throughput_clips_per_s(t));
    json_number(j, "p50_ns", t->p50_ns);
    json_number(j, "p90_ns", t->p90_ns);
    json_number(j, "slowest_over_fastest", slowest / fastest);
    if (isnan(t->efficiency))
        json_unavailable(j, "efficiency", alone);
    else
        json_number(j, "efficiency", t->efficiency);
    json_number(j, "speedup_over_one", t->speedup);
    json_open_array(j, "each_clips_per_h");
    for (int i = 0; i < t->replicas; i++)
        json_number(j, NULL, 3600 * t->rate[i]);
    json_end(j);
    json_end(j);
}

void throughput_row(const struct outcome *o, FILE *out)
{
    const struct throughput *t = o->throughput;
    const bool cpu = o->c.config.device == DEVICE_CPU;
    const double per_clip = cpu ? t->replicas * o->c.config.threads : t->devices;
    double slowest, fastest;
    char rate[24];
    extremes(t, &slowest, &fastest);
    fprintf(
        out, "    %d replica%s: %s clips/h over %.3g s, %.3g %s-s a clip, p50 %.3f s, p90 %.3f s",
        t->replicas, t->replicas == 1 ? "" : "s", rate_text(3600 * throughput_clips_per_s(t), rate),
        t->window_s, per_clip / throughput_clips_per_s(t), cpu ? "core" : "device",
        t->p50_ns * 1e-9, t->p90_ns * 1e-9);
    if (t->replicas > 1)
        fprintf(out, "; the slowest at %.0f%% of the fastest", 100 * slowest / fastest);
    fputc('\n', out);
    if (t->replicas > 1)
        fprintf(out,
                "    in the row above frames and video are of all %d, tokens, GFLOP/s and of"
                " peak of one\n",
                t->replicas);
    if (!isnan(t->efficiency) && t->replicas > 1)
        fprintf(out, "    efficiency %.0f%%: %.2fx one replica of %d thread%s\n",
                100 * t->efficiency, t->speedup, t->one_threads, t->one_threads == 1 ? "" : "s");
    else if (!isnan(t->speedup) && t->replicas > 1)
        fprintf(out, "    %.2fx one replica of %d thread%s\n", t->speedup, t->one_threads,
                t->one_threads == 1 ? "" : "s");
}
