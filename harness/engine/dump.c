// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* dump.c   Tensors out of and into a generation. */
#include "engine/dump.h"
#include "base/words.h"
#include "weights/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dump {
    char folder[3072];
    const struct pipeline_case *c;
    struct safetensors_stream *frames;
    struct words written; /* names of files */
};

#define TEXT_FILE "text_embeds.safetensors"
#define FINAL_FILE "latents_final.safetensors"
#define IMAGE_FILE "image_condition.safetensors"
#define FRAMES_FILE "frames.safetensors"
#define STEP_FILE "latents_%04lld.safetensors"

/* Of a file that will be written. */
static enum status path_of(struct dump *d, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/%s", d->folder, name);
    return words_add(&d->written, name) ? ST_OK : ST_NO_MEMORY;
}

enum status dump_check(const char *folder, struct fault *fault)
{
    struct stat info;
    if (strlen(folder) >= sizeof((struct dump *)0)->folder)
        return fault_set(fault, ST_BAD_INPUT, "--dump: the folder's name is too long");
    if (!stat(folder, &info) && !S_ISDIR(info.st_mode))
        return fault_set(fault, ST_BAD_INPUT, "--dump %s is a file; name a folder", folder);
    return ST_OK;
}

enum status dump_open(const char *folder, const struct pipeline_case *c, struct dump **out,
                      struct fault *fault)
{
    TRY(dump_check(folder, fault));
    if (mkdir(folder, 0777) && errno != EEXIST)
        return fault_set(fault, ST_BAD_INPUT, "--dump %s: the folder cannot be made: %s", folder,
                         strerror(errno));
    struct dump *d = calloc(1, sizeof *d);
    if (!d)
        return ST_NO_MEMORY;
    strcpy(d->folder, folder);
    d->c = c;
    *out = d;
    return ST_OK;
}

enum status dump_text(struct dump *d, const float *prompt, const float *negative,
                      struct fault *fault)
{
    const struct text_config *t = &d->c->request.model->text;
    char path[4096];
    TRY(path_of(d, TEXT_FILE, path));
    struct safetensor_out tensors[2] = {
        {"prompt_embeds", 3, {1, t->rows, t->C}, prompt},
        {"negative_prompt_embeds", 3, {1, t->rows, t->C}, negative},
    };
    return safetensors_write(path, tensors, negative ? 2 : 1, fault);
}

static enum status write_latents(struct dump *d, const char *name, const float *latents,
                                 struct fault *fault)
{
    const struct generate_request *r = &d->c->request;
    const struct geometry *g = &r->geometry;
    const int64_t rows = generate_extra_rows(r->model, g, r->fps);
    char path[4096];
    TRY(path_of(d, name, path));
    struct safetensor_out tensors[2] = {
        {"latents", 5, {1, g->C, g->T, g->H, g->W}, latents},
        {"audio_latents", 3, {1, rows, g->C}, latents + g->C * g->T * g->H * g->W},
    };
    return safetensors_write(path, tensors, rows ? 2 : 1, fault);
}

enum status dump_latents(struct dump *d, const float *latents, int64_t index, struct fault *fault)
{
    char name[64];
    snprintf(name, sizeof name, STEP_FILE, (long long)index);
    return write_latents(d, name, latents, fault);
}

enum status dump_denoised(struct dump *d, const float *latents, struct fault *fault)
{
    return write_latents(d, FINAL_FILE, latents, fault);
}

enum status dump_image(struct dump *d, const float *rows, int64_t count, const float *condition,
                       int64_t channels, int64_t frames, struct fault *fault)
{
    const struct geometry *g = &d->c->request.geometry;
    const int64_t width = d->c->request.model->transformer.image_dim;
    char path[4096];
    TRY(path_of(d, IMAGE_FILE, path));
    struct safetensor_out tensors[2] = {
        {"condition", 5, {1, channels, frames, g->H, g->W}, condition},
        {"image_embeds", 3, {1, count, width}, rows},
    };
    return safetensors_write(path, tensors, rows ? 2 : 1, fault);
}

enum status dump_frames(struct dump *d, const float *rgb, int64_t count, struct fault *fault)
{
    const struct geometry *g = &d->c->request.geometry;
    if (!d->frames) {
        char path[4096];
        int64_t dim[4] = {g->frames, g->height, g->width, 3};
        TRY(path_of(d, FRAMES_FILE, path));
        TRY(safetensors_stream_open(path, "frames", 4, dim, &d->frames, fault));
    }
    return safetensors_stream_add(d->frames, rgb, count * g->height * g->width * 3, fault);
}

/* A name that a dump gives to its files. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {TEXT_FILE, FINAL_FILE, IMAGE_FILE, FRAMES_FILE};
    char step[64];
    long long index;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return true;
    if (sscanf(name, "latents_%lld", &index) != 1)
        return false;
    snprintf(step, sizeof step, STEP_FILE, index);
    return !strcmp(step, name);
}

static bool was_written(const struct dump *d, const char *name)
{
    for (int i = 0; i < d->written.count; i++)
        if (!strcmp(d->written.word[i], name))
            return true;
    return false;
}

static int clear_older(const struct dump *d)
{
    DIR *dir = opendir(d->folder);
    int cleared = 0;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (is_ours(e->d_name) && !was_written(d, e->d_name))
            cleared += !unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    return cleared;
}

enum status dump_close(struct dump *d, bool complete, int *cleared, struct fault *fault)
{
    *cleared = 0;
    if (!d)
        return ST_OK;
    struct fault ignored = {{0}};
    enum status s = ST_OK;
    if (d->frames)
        s = safetensors_stream_close(d->frames, complete ? fault : &ignored);
    if (complete && s == ST_OK)
        *cleared = clear_older(d);
    words_free(&d->written);
    free(d);
    return complete ? s : ST_OK;
}

static void shape_text(const struct safetensor *t, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "[");
    for (int i = 0; i < t->rank && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%lld", i ? "," : "",
                                 (long long)t->dim[i]);
    if (used < bytes)
        snprintf(out + used, bytes - used, "]");
}

static enum status check_finite(const char *path, const char *name, const float *data,
                                int64_t elems, struct fault *fault)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < elems; i++)
        bad += !isfinite(data[i]);
    return bad ? fault_set(fault, ST_BAD_INPUT,
                           "%s: '%s' holds %lld values that are NaN or infinite", path, name,
                           (long long)bad)
               : ST_OK;
}

/* Reads a tensor of exactly the wanted shape; a 0 in `want` takes any size up to `most` there. */
static enum status load_exact(struct safetensors *file, const char *path, const char *name,
                              int rank, const int64_t *want, int64_t most, float **out,
                              int64_t *found_rows, struct fault *fault)
{
    const struct safetensor *t = safetensors_find(file, name);
    if (!t)
        return fault_set(fault, ST_BAD_INPUT, "%s holds no tensor '%s'", path, name);
    struct safetensor wanted = {.rank = rank};
    int64_t elems = 1;
    bool fits = t->rank == rank;
    for (int i = 0; i < rank; i++) {
        int64_t have = fits ? t->dim[i] : 0;
        wanted.dim[i] = want[i] ? want[i] : most;
        fits = fits && (want[i] ? have == want[i] : have >= 1 && have <= most);
        if (!want[i])
            *found_rows = have;
        elems *= have;
    }
    if (!fits) {
        char is[160], should[160];
        shape_text(t, is, sizeof is);
        shape_text(&wanted, should, sizeof should);
        return fault_set(fault, ST_BAD_INPUT, "%s: '%s' has shape %s, this clip wants %s", path,
                         name, is, should);
    }
    if (!(*out = malloc((size_t)elems * sizeof **out)))
        return fault_set(fault, ST_NO_MEMORY, "no memory for '%s' of %s", name, path);
    enum status s = safetensors_read(file, t, 0, elems, *out, fault);
    if (s == ST_OK)
        s = check_finite(path, name, *out, elems, fault);
    if (s != ST_OK) {
        free(*out);
        *out = NULL;
    }
    return s;
}

enum status load_noise(const char *path, const struct generate_request *request, float **out,
                       float **extra, struct fault *fault)
{
    const struct geometry *g = &request->geometry;
    struct safetensors *file;
    int64_t shape[5] = {1, g->C, g->T, g->H, g->W}, unused;
    int64_t sound[3] = {1, generate_extra_rows(request->model, g, request->fps), g->C};
    TRY(safetensors_open(path, &file, fault));
    enum status s = load_exact(file, path, "latents", 5, shape, 0, out, &unused, fault);
    if (s == ST_OK && sound[1])
        s = load_exact(file, path, "audio_latents", 3, sound, 0, extra, &unused, fault);
    safetensors_free(file);
    return s;
}

enum status load_embeds(const char *path, const struct model_config *model, bool want_negative,
                        float **prompt, float **negative, int64_t *rows, struct fault *fault)
{
    struct safetensors *file;
    int64_t shape[3] = {1, 0, model->text.C};
    TRY(safetensors_open(path, &file, fault));
    enum status s =
        load_exact(file, path, "prompt_embeds", 3, shape, model->text.rows, prompt, rows, fault);
    if (s == ST_OK && want_negative) {
        shape[1] = *rows;
        s = load_exact(file, path, "negative_prompt_embeds", 3, shape, model->text.rows, negative,
                       rows, fault);
    }
    safetensors_free(file);
    return s;
}
