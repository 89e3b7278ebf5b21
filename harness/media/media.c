// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "media/media_format.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FPS_MAX 1000.0

static const struct media_kind *const kinds[] = {&media_mp4, &media_gif, &media_png, &media_y4m,
                                                 &media_ppm};
#define KINDS (sizeof kinds / sizeof *kinds)

/* ---- names ----------------------------------------------------------------------------------- */

static enum status find_kind(const char *path, const struct media_kind **out, struct fault *fault)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < KINDS; i++)
        if (strcasecmp(ending, kinds[i]->ending) == 0) {
            *out = kinds[i];
            return ST_OK;
        }
    return fault_set(
        fault, ST_BAD_INPUT,
        "cannot tell the kind of \"%s\": end the name in .mp4, .gif, .png, .y4m or .ppm", path);
}

/* The number's place in a name of stills: %d, or %0Nd with N from 1 to 9. */
struct place {
    size_t begin, end; /* of the conversion within the path; equal where there is none */
    int width;
};

static enum status find_place(const char *path, struct place *out, struct fault *fault)
{
    *out = (struct place){0};
    for (const char *at = path; (at = strchr(at, '%')) != NULL;) {
        const char *digit = at + 1;
        int width = 0;
        if (digit[0] == '0' && digit[1] >= '1' && digit[1] <= '9') {
            width = digit[1] - '0';
            digit += 2;
        }
        if (*digit != 'd' || out->end > 0)
            return fault_set(
                fault, ST_BAD_INPUT,
                "\"%s\": a %% in a name of stills stands for the frame's number, once, "
                "as %%d or %%04d",
                path);
        *out = (struct place){(size_t)(at - path), (size_t)(digit + 1 - path), width};
        at = digit;
    }
    return ST_OK;
}

/* The name of still `number`, counted from 1; free() it. The path has passed find_place. */
static char *still_name(const char *path, int64_t number)
{
    struct place place;
    char *name;
    if (find_place(path, &place, NULL) != ST_OK || place.end == 0)
        return strdup(path);
    if (asprintf(&name, "%.*s%0*" PRId64 "%s", (int)place.begin, path, place.width, number,
                 path + place.end) < 0)
        return NULL;
    return name;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static enum status check_size(const struct media_kind *kind, const char *path, int64_t width,
                              int64_t height, int64_t frames, struct fault *fault)
{
    if (width < 1 || height < 1 || frames < 1)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: %" PRId64 "x%" PRId64 " with %" PRId64 " frames is no clip", path,
                         width, height, frames);
    if (width > kind->side_max || height > kind->side_max)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: %" PRId64 "x%" PRId64 " is too large for %s, which ends at %dx%d%s",
                         path, width, height, kind->ending, kind->side_max, kind->side_max,
                         kind->side_max < media_y4m.side_max ? "; write a .y4m" : "");
    if (kind->even && (width % 2 || height % 2))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: %" PRId64 "x%" PRId64
                         " is odd, and %s stores colour for pairs of pixels: "
                         "choose an even size, or write a .y4m",
                         path, width, height, kind->ending);
    return ST_OK;
}

static enum status check_stills(const char *path, int64_t frames, struct fault *fault)
{
    struct place place;
    TRY(find_place(path, &place, fault));
    if (frames > 1 && place.end == 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "\"%s\" names one still, and there are %" PRId64
                         " frames: put %%04d into the "
                         "name, or ask for one frame",
                         path, frames);
    return ST_OK;
}

enum status media_check(const char *path, int64_t width, int64_t height, int64_t frames,
                        struct fault *fault)
{
    const struct media_kind *kind = NULL;
    TRY(find_kind(path, &kind, fault));
    if (!kind->built)
        return fault_set(
            fault, ST_NOT_BUILT,
            "%s: this build has no FFmpeg, which %s needs: write a .y4m (a clip) or .ppm "
            "(stills), or install the FFmpeg libraries and build again",
            path, kind->ending);
    TRY(check_size(kind, path, width, height, frames, fault));
    if (!kind->stills)
        return out_file_check(path, fault);
    TRY(check_stills(path, frames, fault));
    char *first = still_name(path, 1);
    if (!first)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for a file name");
    enum status status = out_file_check(first, fault);
    free(first);
    return status;
}

/* fps as a fraction with the smallest of the usual bases: 16, 12.5, 24000/1001, ... */
static enum status set_rate(struct media_writer *w, double fps, struct fault *fault)
{
    static const int64_t bases[] = {1, 2, 3, 4, 5, 8, 10, 16, 1001, 100, 1000};
    if (!(fps > 0) || fps > FPS_MAX || llround(fps * 1000) == 0)
        return fault_set(fault, ST_BAD_INPUT, "%g frames per second: choose 0.001 to %g", fps,
                         FPS_MAX);
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        w->rate_base = bases[i];
        w->rate = llround(fps * (double)bases[i]);
        /* 23.976 and 29.97 mean 24000/1001 and 30000/1001, a millionth away. */
        if (fabs((double)w->rate / (double)bases[i] - fps) < 2e-6 * fps)
            break;
    }
    return ST_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void writer_free(struct media_writer *w)
{
    w->kind->drop(w);
    out_file_discard(&w->out);
    free(w->path);
    free(w);
}

static enum status begin_file(struct media_writer *w, struct fault *fault)
{
    char *name = w->kind->stills ? still_name(w->path, w->done + 1) : strdup(w->path);
    if (!name)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for a file name");
    enum status status = out_file_open(&w->out, name, fault);
    free(name);
    TRY(status);
    return w->kind->begin(w, fault);
}

static enum status end_file(struct media_writer *w, struct fault *fault)
{
    TRY(w->kind->end(w, fault));
    w->kind->drop(w);
    return out_file_commit(&w->out, fault);
}

enum status media_check_input(const char *path, const char *input, struct fault *fault)
{
    struct stat out, in;
    if (!input || stat(path, &out) || stat(input, &in) || out.st_dev != in.st_dev ||
        out.st_ino != in.st_ino)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "-o %s is the file that is read; give it another name",
                     path);
}

enum status media_open(const char *path, int64_t width, int64_t height, int64_t frames, double fps,
                       struct media_writer **out, struct fault *fault)
{
    *out = NULL;
    TRY(media_check(path, width, height, frames, fault));
    struct media_writer *w = calloc(1, sizeof *w);
    char *copy = strdup(path);
    if (!w || !copy) {
        free(w);
        free(copy);
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    *w = (struct media_writer){.path = copy, .width = width, .height = height, .frames = frames};
    enum status status = find_kind(path, &w->kind, fault);
    if (status == ST_OK)
        status = set_rate(w, fps, fault);
    if (status == ST_OK && !w->kind->stills)
        status = begin_file(w, fault);
    if (status == ST_OK)
        *out = w;
    else
        writer_free(w);
    return status;
}

enum status media_frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    if (w->done == w->frames)
        return fault_set(fault, ST_BAD_INPUT, "%s: more than the %" PRId64 " frames announced",
                         w->path, w->frames);
    if (w->kind->stills)
        TRY(begin_file(w, fault));
    TRY(w->kind->frame(w, rgb, fault));
    if (w->kind->stills)
        TRY(end_file(w, fault));
    w->done++;
    return ST_OK;
}

enum status media_close(struct media_writer *w, struct fault *fault)
{
    enum status status = ST_OK;
    if (w->done != w->frames)
        status =
            fault_set(fault, ST_IO, "%s is not written: %" PRId64 " of %" PRId64 " frames came",
                      w->path, w->done, w->frames);
    else if (!w->kind->stills)
        status = end_file(w, fault);
    if (status == ST_OK)
        writer_free(w);
    else
        media_abort(w);
    return status;
}

void media_abort(struct media_writer *w)
{
    for (int64_t number = 1; w->kind->stills && number <= w->done; number++) {
        char *name = still_name(w->path, number);
        if (name)
            unlink(name);
        free(name);
    }
    writer_free(w);
}
