// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media_source.h   What the kinds of file share behind media_read.h. */
#ifndef PATCHMARK_MEDIA_SOURCE_H
#define PATCHMARK_MEDIA_SOURCE_H

#include "media/media_read.h"

/* One kind of file. begin learns own_width, own_height and fps, which are looked at only then;
 * frame writes r->width x r->height where the kind scales, else the file's own size; drop frees
 * what begin made, after its failure too. */
struct media_source {
    const char *magic; /* how such a file begins; "": any */
    bool scales;
    enum status (*begin)(struct media_reader *r, struct fault *fault);
    enum status (*frame)(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault);
    void (*drop)(struct media_reader *r);
};

extern const struct media_source media_source_y4m, media_source_ppm, media_source_ffmpeg;

struct media_reader {
    const struct media_source *source;
    char *path;
    FILE *file; /* at its begin when begin is called */
    int64_t own_width, own_height, width, height;
    double fps;
    int64_t done;  /* frames handed out */
    void *state;   /* the kind's own */
    uint8_t *own;  /* a frame of the file's own size, where another hand scales it */
    void *scaling; /* media_scale's */
};

#define MEDIA_SOURCE_SIDE_MAX 65535

/* One line up to its '\n', which is cut; false where none ends within `bytes`. */
bool media_source_line(struct media_reader *r, char *line, size_t bytes);
/* All bytes or ST_BAD_INPUT: the file ends within the frame r->done. */
enum status media_source_bytes(struct media_reader *r, void *to, size_t bytes, struct fault *fault);
/* "PATH is no ... that can be read: WHY" */
enum status media_source_refuse(const struct media_reader *r, const char *why, struct fault *fault);

/* r->own to rgb; needs FFmpeg. */
enum status media_scale(struct media_reader *r, uint8_t *rgb, struct fault *fault);
void media_scale_free(struct media_reader *r);

#endif
