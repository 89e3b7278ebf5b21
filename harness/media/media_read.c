// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "media/media_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* FFmpeg takes whatever the others do not know. */
static const struct media_source *const sources[] = {&media_source_y4m, &media_source_ppm,
                                                     &media_source_ffmpeg};
#define SOURCES (sizeof sources / sizeof *sources)
#define MAGIC_MAX 16

/* ---- for the kinds --------------------------------------------------------------------------- */

bool media_source_line(struct media_reader *r, char *line, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const int c = getc(r->file);
        if (c == EOF)
            return false;
        line[i] = c == '\n' ? '\0' : (char)c;
        if (c == '\n')
            return true;
    }
    return false;
}

enum status media_source_bytes(struct media_reader *r, void *to, size_t bytes, struct fault *fault)
{
    if (fread(to, 1, bytes, r->file) == bytes)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s ends within frame %" PRId64 ": the file is damaged or not whole", r->path,
                     r->done + 1);
}

enum status media_source_refuse(const struct media_reader *r, const char *why, struct fault *fault)
{
    return fault_set(fault, ST_BAD_INPUT, "%s cannot be read: %s", r->path, why);
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum status open_file(struct media_reader *r, struct fault *fault)
{
    struct stat info;
    r->file = fopen(r->path, "rb");
    if (!r->file)
        return media_source_refuse(r, strerror(errno), fault);
    if (fstat(fileno(r->file), &info) || !S_ISREG(info.st_mode))
        return media_source_refuse(r, "it is no regular file", fault);
    return ST_OK;
}

static enum status find_source(struct media_reader *r, struct fault *fault)
{
    char begin[MAGIC_MAX] = "";
    const size_t bytes = fread(begin, 1, sizeof begin, r->file);
    rewind(r->file);
    if (bytes == 0)
        return media_source_refuse(r, "the file is empty", fault);
    for (size_t i = 0; i < SOURCES; i++) {
        const size_t length = strlen(sources[i]->magic);
        if (bytes >= length && !memcmp(begin, sources[i]->magic, length)) {
            r->source = sources[i];
            return ST_OK;
        }
    }
    return media_source_refuse(r, "it is no clip or still", fault);
}

static enum status check_size(const struct media_reader *r, struct fault *fault)
{
    if (r->own_width >= 1 && r->own_height >= 1 && r->own_width <= MEDIA_SOURCE_SIDE_MAX &&
        r->own_height <= MEDIA_SOURCE_SIDE_MAX)
        return ST_OK;
    /* FFmpeg's answer where a file breaks off before its first frame. */
    if (r->own_width == 0 && r->own_height == 0)
        return media_source_refuse(r, "no frame of it can be decoded; is the file whole?", fault);
    return fault_set(fault, ST_BAD_INPUT,
                     "%s has frames of %" PRId64 "x%" PRId64 ": each side must be 1 to %d", r->path,
                     r->own_width, r->own_height, MEDIA_SOURCE_SIDE_MAX);
}

static bool same_size(const struct media_reader *r)
{
    return r->width == r->own_width && r->height == r->own_height;
}

static enum status set_size(struct media_reader *r, int64_t width, int64_t height,
                            struct fault *fault)
{
    TRY(check_size(r, fault));
    r->width = width ? width : r->own_width;
    r->height = height ? height : r->own_height;
    if (same_size(r) || r->source->scales)
        return ST_OK;
#ifndef HAVE_FFMPEG
    return fault_set(fault, ST_NOT_BUILT,
                     "%s has frames of %" PRId64 "x%" PRId64 ", wanted are %" PRId64 "x%" PRId64
                     ", and this build has no FFmpeg, which scaling needs: give a file of that "
                     "size, or install the FFmpeg libraries and build again",
                     r->path, r->own_width, r->own_height, r->width, r->height);
#endif
    r->own = malloc((size_t)(r->own_width * r->own_height) * 3);
    return r->own ? ST_OK
                  : fault_set(fault, ST_NO_MEMORY, "out of memory for a frame of %s", r->path);
}

enum status media_read_open(const char *path, int64_t width, int64_t height,
                            struct media_reader **out, struct fault *fault)
{
    *out = NULL;
    struct media_reader *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    enum status status = open_file(r, fault);
    if (status == ST_OK)
        status = find_source(r, fault);
    if (status == ST_OK)
        status = r->source->begin(r, fault);
    if (status == ST_OK)
        status = set_size(r, width, height, fault);
    if (status == ST_OK)
        *out = r;
    else
        media_read_free(r);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

void media_read_size(const struct media_reader *r, int64_t *width, int64_t *height)
{
    *width = r->width;
    *height = r->height;
}

double media_read_fps(const struct media_reader *r) { return r->fps; }

enum status media_read_frame(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault)
{
    *end = false;
    TRY(r->source->frame(r, r->own ? r->own : rgb, end, fault));
    if (*end)
        return ST_OK;
    if (r->own)
        TRY(media_scale(r, rgb, fault));
    r->done++;
    return ST_OK;
}

void media_read_free(struct media_reader *r)
{
    if (!r)
        return;
    if (r->source)
        r->source->drop(r);
    media_scale_free(r);
    if (r->file)
        fclose(r->file);
    free(r->own);
    free(r->path);
    free(r);
}
