// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_words.c   A pipeline case as words: what its worker is started with, and the command line that
 * repeats it. */
#include "base/worker.h"
#include "run/run_case.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 76

struct words {
    const char *word[WORDS_MAX]; /* NULL-terminated */
    char number[14][40], guidance[80], size[48], seed[24];
    int count, numbers;
};

static void add(struct words *w, const char *flag, const char *value)
{
    if (value) {
        w->word[w->count++] = flag;
        w->word[w->count++] = value;
    }
}

static void add_number(struct words *w, const char *flag, double value)
{
    if (!isnan(value)) {
        char *text = w->number[w->numbers++];
        snprintf(text, sizeof w->number[0], "%.17g", value);
        add(w, flag, text);
    }
}

static void add_guidance(struct words *w, struct real2 guidance)
{
    if (isnan(guidance.second)) {
        add_number(w, "--guidance", guidance.first);
        return;
    }
    snprintf(w->guidance, sizeof w->guidance, "%.17g,%.17g", guidance.first, guidance.second);
    add(w, "--guidance", w->guidance);
}

/* Everything that makes the case, as flags; the worker and the line that repeats it read the same.
 */
static void words_of(const struct outcome *o, const char *counters, struct words *w)
{
    const struct case_spec *s = &o->c.spec;
    const struct geometry *g = &o->c.request.geometry;
    snprintf(w->size, sizeof w->size, "%lldx%lld", (long long)g->width, (long long)g->height);
    snprintf(w->seed, sizeof w->seed, "%llu", (unsigned long long)s->seed);
    add(w, "--model", s->model);
    add(w, "--prompt", s->prompt);
    add(w, "--image", s->image);
    add(w, "--last-image", s->last_image);
    if (s->class_label != CASE_UNSET)
        add_number(w, "--class", (double)s->class_label);
    add(w, "--negative", s->negative[0] ? s->negative : NULL);
    add(w, "--size", w->size);
    add_number(w, "--frames", (double)g->frames);
    add_number(w, "--steps", (double)o->c.request.steps);
    add_number(w, "--threads", (double)o->c.config.threads);
    add_number(w, "--fps", s->fps);
    add_guidance(w, s->guidance);
    add_number(w, "--shift", s->shift);
    add(w, "--seed", w->seed);
    add(w, "--pin", s->pin);
    add(w, "--dtype", s->dtype);
    add(w, "--kernels", s->kernels);
    add(w, "--scheduler", s->scheduler);
    add(w, "--device", s->devices ? s->devices : s->device);
    add(w, "--launch", o->c.config.device == DEVICE_CUDA ? s->launch : NULL);
    add(w, "--fill", s->fill);
    add(w, "--residency", strcmp(s->residency, "auto") ? s->residency : NULL);
    add(w, "--noise", s->noise);
    add(w, "--scenario", s->scenario);
    add(w, "--engine", s->engine);
    if (s->batch != CASE_UNSET)
        add_number(w, "--batch", (double)s->batch);
    if (s->replicas != CASE_UNSET)
        add_number(w, "--replicas", (double)s->replicas);
    add(w, "--tuned", s->untuned ? NULL : s->tuned);
    if (s->untuned)
        w->word[w->count++] = "--untuned";
    add(w, "--counters", counters);
}

/* The budget also says how large tiles are, so the worker knows it. */
static void add_sampling(struct words *w, const struct outcome *o, const struct run_limits *limits)
{
    if (o->sampling)
        add_number(w, "--sample", limits->budget_s);
}

enum status outcome_spawn(const struct outcome *o, const struct run_limits *limits,
                          struct worker **out, struct fault *fault)
{
    struct words w = {.word = {"worker", "pipeline"}, .count = 2};
    words_of(o, limits->counters, &w);
    add_sampling(&w, o, limits);
    add(&w, "--cpus", o->pinning.list[0] ? o->pinning.list : NULL);
    if (o->visible >= 0)
        add_number(&w, "--visible", o->visible);
    add(&w, "--dump", o->dump);
    if (o->dump)
        add_number(&w, "--within", o->within_s);
    return worker_spawn(w.word, out, fault);
}

/* Told by its last name alone. */
static bool is_place(const char *flag)
{
    return !strcmp(flag, "--model") || !strcmp(flag, "--image") || !strcmp(flag, "--last-image") ||
           !strcmp(flag, "--noise");
}

void outcome_repro(struct outcome *o, const struct run_limits *limits)
{
    struct words w = {.count = 0};
    words_of(o, limits->counters, &w);
    if (o->sampling)
        add_number(&w, "--budget", limits->budget_s);
    snprintf(o->repro, sizeof o->repro, "build/patchmark run%s", o->sampling ? " --sample" : "");
    for (int i = 0; i < w.count; i++)
        command_append(o->repro, sizeof o->repro,
                       i && is_place(w.word[i - 1])                 ? models_shown(w.word[i])
                       : i && !strcmp(w.word[i - 1], "--engine") ? command_shown(w.word[i])
                                                                  : w.word[i]);
    for (const char *const *plugin = registry_plugins(); *plugin; plugin++) {
        command_append(o->repro, sizeof o->repro, "--plugin");
        command_append(o->repro, sizeof o->repro, *plugin);
    }
}

/* Folders by their whole path: two of the same last name are two cases. */
char *outcome_key(const struct outcome *o)
{
    struct words w = {.count = 0};
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    words_of(o, NULL, &w);
    fputs(o->sampling ? "run --sample" : "run", out);
    for (int i = 0; i < w.count; i += 2)
        if (strcmp(w.word[i], "--kernels") || strcmp(w.word[i + 1], "auto")) /* as if not given */
            fprintf(out, " %s=%s", w.word[i], w.word[i + 1]);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}
