// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external_truth.c   What an engine's clip is held against: our own of the same case in f32 on the CPU,
 * every kernel of its plan verified, from the same noise. */
#include "base/worker.h"
#include "engine/dump.h"
#include "external/external.h"
#include "random.h"
#include "weights/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_ELEMS ((int64_t)1 << 18)

struct truth {
    char folder[1024], ours[1100];
    char noise[1100], embeds[1200], latents[1100], frames[1100];
    bool has_noise, has_embeds, made;
};

/* ---- files ---- */

static void empty(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void truth_free(struct truth *t)
{
    if (!t)
        return;
    empty(t->ours);
    empty(t->folder);
    free(t);
}

static enum status make_folder(struct truth *t, struct fault *fault)
{
    const char *place = getenv("TMPDIR");
    const int n = snprintf(t->folder, sizeof t->folder, "%s/patchmark-engine-XXXXXX",
                           place && place[0] == '/' ? place : "/tmp");
    if (n >= (int)sizeof t->folder || !mkdtemp(t->folder))
        return fault_set(fault, ST_IO, "no temporary folder %s: %s", t->folder, strerror(errno));
    snprintf(t->ours, sizeof t->ours, "%s/ours", t->folder);
    snprintf(t->noise, sizeof t->noise, "%s/noise.safetensors", t->folder);
    snprintf(t->embeds, sizeof t->embeds, "%s/text_embeds.safetensors", t->ours);
    snprintf(t->latents, sizeof t->latents, "%s/latents.safetensors", t->folder);
    snprintf(t->frames, sizeof t->frames, "%s/frames.safetensors", t->folder);
    return ST_OK;
}

static void draw(uint64_t seed, const char *name, int64_t count, float *out)
{
    const struct random_stream stream = random_stream_of(seed, name);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)random_normal(stream, (uint64_t)i);
}

/* The generator's own numbers, so that a case has the same noise whoever runs it. */
static enum status write_noise(struct truth *t, const struct outcome *o, struct fault *fault)
{
    const struct generate_request *r = &o->c.request;
    const struct geometry *g = &r->geometry;
    const int64_t cells = g->C * g->T * g->H * g->W;
    const int64_t rows = generate_extra_rows(r->model, g, r->fps);
    float *noise = NULL, *extra = NULL;
    enum status s = ST_OK;
    if (o->c.spec.noise) {
        s = load_noise(o->c.spec.noise, r, &noise, &extra, fault);
    } else if ((noise = malloc((size_t)(cells + rows * g->C) * sizeof *noise))) {
        draw(r->seed, "noise", cells, noise);
        draw(r->seed, "noise.extra", rows * g->C, noise + cells);
    } else {
        s = fault_set(fault, ST_NO_MEMORY, "no memory for the noise");
    }
    const struct safetensor_out tensors[2] = {
        {"latents", 5, {1, g->C, g->T, g->H, g->W}, noise},
        {"audio_latents",
         3,
         {1, rows, g->C},
         extra   ? extra
         : noise ? noise + cells
                 : NULL},
    };
    if (s == ST_OK)
        s = safetensors_write(t->noise, tensors, rows ? 2 : 1, fault);
    t->has_noise = s == ST_OK;
    free(noise);
    free(extra);
    return s;
}

/* ---- our clip ---- */

static struct case_spec truth_spec(const struct truth *t, const struct case_spec *spec)
{
    struct case_spec own = *spec;
    own.engine = own.devices = own.scenario = NULL;
    own.noise = t->noise;
    own.dtype = "f32";
    own.device = "cpu";
    own.launch = "stream";
    own.residency = "auto";
    return own;
}

static void keep_progress(const struct outcome *o, double share) { (void)o, (void)share; }

/* What a folder's weights are known by comes with a plan, for it is over what the clip uses. */
static void take_weights(struct external *x, const char *recipe)
{
    const char *from = strstr(recipe, "\"weights\":{"), *to = from ? strchr(from, '}') : NULL;
    from = from ? strchr(from, '{') : NULL;
    if (to && (size_t)(to - from) + 2 <= sizeof x->weights_recipe)
        snprintf(x->weights_recipe, sizeof x->weights_recipe, "%.*s}", (int)(to - from), from);
}

/* Work and peak are the engine's too; why there is no clip is in the reason. */
static void run_ours(struct truth *t, struct outcome *o, struct outcome *ours,
                     const struct run_limits *limits)
{
    struct external *x = o->external;
    struct worker *w = NULL;
    struct fault fault = {{0}};
    ours->dump = t->ours;
    ours->within_s = o->c.folder ? limits->engine_check_s : 0;
    ours->progress = keep_progress;
    enum status s = case_ready(&ours->c, &fault);
    if (s == ST_OK)
        s = outcome_spawn(ours, limits, &w, &fault);
    if (s == ST_OK)
        s = outcome_wait(ours, w, limits, "ready", &fault);
    worker_end(w);
    t->made = s == ST_OK && ours->first_ns > 0;
    t->has_embeds = t->made && !access(t->embeds, R_OK);
    memcpy(o->work, ours->work, sizeof o->work);
    if (o->c.folder)
        take_weights(x, ours->recipe);
    if (o->c.config.device == DEVICE_CPU) {
        o->fma_peak = ours->fma_peak;
        memcpy(o->isa, ours->isa, sizeof o->isa);
    }
    if (!t->made && o->c.folder)
        snprintf(x->not_compared, sizeof x->not_compared, "%.380s",
                 ours->reason[0] ? ours->reason : fault.text);
}

enum status truth_new(struct outcome *o, const struct run_limits *limits, struct truth **out,
                      struct fault *fault)
{
    struct outcome *ours = NULL;
    struct truth *t = calloc(1, sizeof *t);
    if (!t)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a case");
    *out = t;
    TRY(make_folder(t, fault));
    TRY(write_noise(t, o, fault));
    const struct case_spec spec = truth_spec(t, &o->c.spec);
    enum status s = outcome_new(&spec, &ours, fault);
    if (s == ST_OK)
        run_ours(t, o, ours, limits);
    outcome_free(ours);
    return interrupted_by ? fault_set(fault, ST_INTERRUPTED, "interrupted") : s;
}

void truth_paths(const struct truth *t, struct external_paths *out)
{
    *out = (struct external_paths){.noise = t->has_noise ? t->noise : NULL,
                                   .embeds = t->has_embeds ? t->embeds : NULL,
                                   .latents = t->made ? t->latents : NULL,
                                   .frames = t->made ? t->frames : NULL};
}

/* ---- comparing ---- */

struct apart {
    double square, norm, largest;
    int64_t values;
};

static enum status read_piece(struct safetensors *file, const struct safetensor *t, int64_t first,
                              int64_t count, float *out, struct fault *fault)
{
    TRY(safetensors_read(file, t, first, count, out, fault));
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(out[i]))
            return fault_set(fault, ST_NONFINITE, "the engine's '%s' are not finite at value %lld",
                             t->name, (long long)(first + i));
    return ST_OK;
}

static enum status add_up(struct safetensors *ours, const struct safetensor *want,
                          struct safetensors *theirs, const struct safetensor *got, struct apart *a,
                          struct fault *fault)
{
    float *x = malloc(2 * PIECE_ELEMS * sizeof *x), *y = x ? x + PIECE_ELEMS : NULL;
    enum status s = x ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory to compare clips");
    a->values = safetensor_elems(want);
    for (int64_t at = 0, n; s == ST_OK && at < a->values; at += n) {
        n = a->values - at < PIECE_ELEMS ? a->values - at : PIECE_ELEMS;
        s = safetensors_read(ours, want, at, n, x, fault);
        if (s == ST_OK)
            s = read_piece(theirs, got, at, n, y, fault);
        for (int64_t i = 0; s == ST_OK && i < n; i++) {
            const double d = (double)y[i] - x[i];
            a->square += d * d;
            a->norm += (double)x[i] * x[i];
            a->largest = fmax(a->largest, fabs(d));
        }
    }
    free(x);
    return s;
}

static enum status compare_tensor(struct safetensors *ours, struct safetensors *theirs,
                                  const char *name, struct apart *a, struct fault *fault)
{
    const struct safetensor *want = safetensors_find(ours, name);
    const struct safetensor *got = safetensors_find(theirs, name);
    if (!want)
        return fault_set(fault, ST_IO, "our own dump has no '%s'", name);
    if (!got || got->rank != want->rank ||
        memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) != 0)
        return fault_set(fault, ST_WRONG, "the engine's dump has no '%s' of the clip's shape",
                         name);
    if (got->elem == ELEM_NONE)
        return fault_set(fault, ST_WRONG, "the engine's '%s' are of a type that is not read: %s",
                         name, got->dtype);
    return add_up(ours, want, theirs, got, a, fault);
}

/* *there is false where the engine dumped none; what it dumped is gone afterwards. */
static enum status compare_file(const char *own_path, const char *path, const char *name,
                                struct apart *a, bool *there, struct fault *fault)
{
    struct safetensors *ours = NULL, *theirs = NULL;
    struct fault why = {{0}};
    *a = (struct apart){0};
    *there = !access(path, F_OK);
    if (!*there)
        return ST_OK;
    enum status s = safetensors_open(own_path, &ours, fault);
    if (s == ST_OK && safetensors_open(path, &theirs, &why) != ST_OK)
        s = fault_set(fault, ST_WRONG, "the engine's dump cannot be read: %s", why.text);
    if (s == ST_OK)
        s = compare_tensor(ours, theirs, name, a, fault);
    safetensors_free(ours);
    safetensors_free(theirs);
    unlink(path);
    return s;
}

static enum status judge(const struct external *x, struct fault *fault)
{
    if (x->gated && x->latent_l2 > EXTERNAL_GATE_L2)
        return fault_set(fault, ST_WRONG,
                         "the engine's latents are %.3g (relative L2) apart from ours; in f32 at"
                         " most %.0e pass",
                         x->latent_l2, EXTERNAL_GATE_L2);
    if (x->gated && x->psnr_db < EXTERNAL_GATE_PSNR_DB)
        return fault_set(fault, ST_WRONG,
                         "the engine's frames are %.1f dB (PSNR) from ours; in f32 %.0f dB pass",
                         x->psnr_db, EXTERNAL_GATE_PSNR_DB);
    return ST_OK;
}

enum status truth_compare(struct truth *t, struct outcome *o, struct fault *fault)
{
    struct external *x = o->external;
    char path[1200];
    struct apart a;
    bool latents, frames;
    if (!t->made)
        return ST_OK;
    snprintf(path, sizeof path, "%s/latents_final.safetensors", t->ours);
    TRY(compare_file(path, t->latents, "latents", &a, &latents, fault));
    if (latents)
        x->latent_l2 = fmax(x->latent_l2, sqrt(a.square / a.norm));
    snprintf(path, sizeof path, "%s/frames.safetensors", t->ours);
    TRY(compare_file(path, t->frames, "frames", &a, &frames, fault));
    if (frames) {
        const double db = a.square > 0 ? 10 * log10((double)a.values / a.square) : 200;
        x->psnr_db = fmin(x->psnr_db, fmin(db, 200));
        x->max_abs = fmax(x->max_abs, a.largest);
    }
    if (!latents && !frames) {
        if (x->compared)
            return fault_set(fault, ST_WRONG, "the engine dumped its first clip and not its last");
        snprintf(x->not_compared, sizeof x->not_compared, "the engine dumped nothing");
        return ST_OK;
    }
    x->rechecked = x->compared;
    x->compared = true;
    return judge(x, fault);
}
