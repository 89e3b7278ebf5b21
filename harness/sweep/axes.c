// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/axes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct case_spec, name)
#define ANY (-INFINITY)

/* In the order in which cases are listed, the last axis fastest. */
const struct axis axis_table[] = {
    {"--model", "LIST", "presets or folders of published weights, comma-separated (tiny)", ",",
     AXIS_TEXT, FIELD(model), 0},
    {"--prompt", "TEXT", "the same prompt for every case", NULL, AXIS_TEXT, FIELD(prompt), 0},
    {"--negative", "TEXT", "what guidance steers away from", NULL, AXIS_TEXT, FIELD(negative), 0},
    {"--image", "FILE", "the first frame, for models that take an image (drawn from the seed)",
     NULL, AXIS_TEXT, FIELD(image), 0},
    {"--last-image", "FILE", "the last frame too, for models that take both", NULL, AXIS_TEXT,
     FIELD(last_image), 0},
    {"--class", "LIST", "what to show, of models that know classes in place of prompts (DiT)", ",",
     AXIS_WHOLE, FIELD(class_label), 0},
    {"--size", "LIST", "sizes, as 128x72,72x128 or 96x64-384x256*2", ",", AXIS_SIZE, FIELD(size),
     0},
    {"--frames", "LIST", "frame counts, as 1,17 or 17-81+16", ",", AXIS_WHOLE, FIELD(frames), 1},
    {"--seconds", "LIST", "durations, instead of --frames", ",", AXIS_REAL, FIELD(seconds), 0},
    {"--fps", "LIST", "frames per second (the model's own)", ",", AXIS_REAL, FIELD(fps), 0},
    {"--steps", "LIST", "denoising steps", ",", AXIS_WHOLE, FIELD(steps), 1},
    {"--scheduler", "LIST",
     "unipc, unipc-original, euler, euler-once, euler-terminal, euler-quadratic, ddim, ddpm,"
     " ddim-cogvideox (the model's own)",
     ",", AXIS_TEXT, FIELD(scheduler), 0},
    {"--shift", "LIST", "shift of the noise levels (the model's own)", ",", AXIS_REAL, FIELD(shift),
     ANY},
    {"--guidance", "HIGH[,LOW]",
     "classifier-free guidance, several by '/'; 1 or less: off; LOW: of a second expert (as HIGH)",
     "/", AXIS_PAIR, FIELD(guidance), 0},
    {"--seed", "LIST", "seed of the noise (42)", ",", AXIS_SEED, FIELD(seed), 0},
    {"--threads", "LIST", "CPU threads, as 1-8*2 or 1,all", ",", AXIS_WHOLE, FIELD(threads), 1},
    {"--dtype", "LIST", "f32, bf16, f16", ",", AXIS_TEXT, FIELD(dtype), 0},
    {"--fill", "LIST", "synthetic weights: normal or outlier", ",", AXIS_TEXT, FIELD(fill), 0},
    {"--residency", "LIST",
     "how long weights stay: resident (all), stage (expert-swap where there are two),"
     " block-stream (read again for every block), auto (stage, else block-stream)",
     ",", AXIS_TEXT, FIELD(residency), 0},
    {"--device", "LIST", "cpu, cuda:N; with --replicas cuda:0-3, cuda:0+2, cuda:all (cpu)", ",",
     AXIS_TEXT, FIELD(device), 0},
    {"--launch", "LIST", "on a CUDA device: stream, or graph (one CUDA graph per step)", ",",
     AXIS_TEXT, FIELD(launch), 0},
    {"--noise", "FILE", "the first latent, as generate takes it, in place of the seed's", NULL,
     AXIS_TEXT, FIELD(noise), 0},
    {"--scenario", "LIST",
     "every clip a prompt of its own, one latent: single-stream (p50 and p90 of one clip after the"
     " other), offline (clips per hour of all --replicas), repeat-audit (is a repeated prompt"
     " faster?); in the shape of a public benchmark, and not that benchmark",
     ",", AXIS_TEXT, FIELD(scenario), 0},
    {"--batch", "LIST",
     "clips that pass the denoiser together, so that its weights are read once for all of them",
     ",", AXIS_WHOLE, FIELD(batch), 1},
    {"--replicas", "LIST",
     "workers that make clips side by side, on processors of their own (--threads each) or one for"
     " each device of --device cuda:0-3: clips per hour of them all",
     ",", AXIS_WHOLE, FIELD(replicas), 1},
    {"--engine", "LIST",
     "commands of other stacks that run the case, between ';'; default: we do (README has one)",
     ";", AXIS_TEXT, FIELD(engine), 0},
    {"--kernels", "LIST", "plans, separated by '/', as base/auto", "/", AXIS_TEXT, FIELD(kernels),
     0},
};

int axes_count(void)
{
    _Static_assert(sizeof axis_table / sizeof *axis_table <= AXES_MOST, "AXES_MOST is too small");
    return (int)(sizeof axis_table / sizeof *axis_table);
}

int axis_find(const char *key)
{
    int i = axes_count() - 1;
    while (i >= 0 && strcmp(axis_key(&axis_table[i]), key))
        i--;
    return i;
}

enum word_kind axis_words(const struct axis *a)
{
    static const enum word_kind kinds[] = {
        [AXIS_TEXT] = WORD_TEXT, [AXIS_WHOLE] = WORD_WHOLE, [AXIS_REAL] = WORD_REAL,
        [AXIS_SIZE] = WORD_SIZE, [AXIS_PAIR] = WORD_TEXT,   [AXIS_SEED] = WORD_WHOLE};
    return kinds[a->type];
}

int axes_options(struct axes *axes, struct option *out)
{
    for (int i = 0; i < axes_count(); i++)
        out[i] = (struct option){axis_table[i].flag, axis_table[i].argument, OPTION_TEXT,
                                 &axes->text[i],     axis_table[i].help,     NULL};
    return axes_count();
}

/* ---- one word ---- */

static enum status whole(const struct axis *a, const char *word, int64_t *out, struct fault *fault)
{
    char *end;
    errno = 0;
    *out = strtoll(word, &end, 10);
    if (end != word && !*end && !errno && (double)*out >= a->least)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s wants whole numbers from %.0f, not '%s'", a->flag,
                     a->least, word);
}

static enum status real(const struct axis *a, const char *word, double *out, struct fault *fault)
{
    char *end;
    *out = strtod(word, &end);
    if (end != word && !*end && isfinite(*out) && *out > a->least)
        return ST_OK;
    return isinf(a->least)
               ? fault_set(fault, ST_BAD_INPUT, "%s wants numbers, not '%s'", a->flag, word)
               : fault_set(fault, ST_BAD_INPUT, "%s wants numbers over %g, not '%s'", a->flag,
                           a->least, word);
}

static enum status size(const struct axis *a, const char *word, struct size2 *out,
                        struct fault *fault)
{
    long long width, height;
    int used = 0;
    if (sscanf(word, "%lldx%lld%n", &width, &height, &used) != 2 || word[used] || width < 1 ||
        height < 1)
        return fault_set(fault, ST_BAD_INPUT, "%s wants WIDTHxHEIGHT, as 832x480, not '%s'",
                         a->flag, word);
    *out = (struct size2){width, height};
    return ST_OK;
}

static enum status pair(const struct axis *a, const char *word, struct real2 *out,
                        struct fault *fault)
{
    char *end;
    *out = (struct real2){strtod(word, &end), NAN};
    bool ok = end != word && isfinite(out->first);
    if (ok && *end == ',') {
        const char *second = end + 1;
        out->second = strtod(second, &end);
        ok = end != second && isfinite(out->second);
    }
    if (ok && !*end)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s wants one number, or two as 4,3, not '%s'", a->flag,
                     word);
}

static enum status seed(const struct axis *a, const char *word, uint64_t *out, struct fault *fault)
{
    char *end;
    errno = 0;
    *out = strtoull(word, &end, 0);
    if (end != word && !*end && !errno && !strchr(word, '-'))
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s wants a whole number from 0 to 2^64-1, not '%s'",
                     a->flag, word);
}

static void enter_default(const struct axis *a, struct case_spec *spec)
{
    static const struct case_spec defaults = CASE_DEFAULTS;
    static const size_t bytes[] = {
        [AXIS_TEXT] = sizeof(char *),       [AXIS_WHOLE] = sizeof(int64_t),
        [AXIS_REAL] = sizeof(double),       [AXIS_SIZE] = sizeof(struct size2),
        [AXIS_PAIR] = sizeof(struct real2), [AXIS_SEED] = sizeof(uint64_t)};
    memcpy((char *)spec + a->offset, (const char *)&defaults + a->offset, bytes[a->type]);
}

enum status axis_enter(const struct axis *a, struct case_spec *spec, const char *word,
                       struct fault *fault)
{
    void *field = (char *)spec + a->offset;
    const bool all = !strcmp(word, "all") && a->offset == FIELD(threads);
    if (all || (a->separators && !strcmp(word, "default"))) {
        enter_default(a, spec);
        return ST_OK;
    }
    switch (a->type) {
    case AXIS_WHOLE: return whole(a, word, field, fault);
    case AXIS_REAL: return real(a, word, field, fault);
    case AXIS_SIZE: return size(a, word, field, fault);
    case AXIS_PAIR: return pair(a, word, field, fault);
    case AXIS_SEED: return seed(a, word, field, fault);
    case AXIS_TEXT: break;
    }
    *(const char **)field = word;
    return ST_OK;
}
