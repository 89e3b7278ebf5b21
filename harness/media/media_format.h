// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media_format.h   What the kinds of file share behind media.h. */
#ifndef PATCHMARK_MEDIA_FORMAT_H
#define PATCHMARK_MEDIA_FORMAT_H

#include "base/out_file.h"
#include "media/media.h"

struct media_writer;

/* One kind of file. begin and end stand around all frames of one file: a clip, or one still. end
 * leaves a whole file under w->out's temporary name; drop frees what begin made, after end too. */
struct media_kind {
    const char *ending;
    bool stills;  /* one file per frame */
    bool even;    /* chroma is subsampled: even sizes only */
    int side_max; /* largest width and height */
    bool built;
    enum status (*begin)(struct media_writer *w, struct fault *fault);
    enum status (*frame)(struct media_writer *w, const uint8_t *rgb, struct fault *fault);
    enum status (*end)(struct media_writer *w, struct fault *fault);
    void (*drop)(struct media_writer *w);
};

extern const struct media_kind media_y4m, media_ppm, media_mp4, media_gif, media_png;

struct media_writer {
    const struct media_kind *kind;
    char *path; /* as given, %0Nd and all */
    int64_t width, height, frames, done;
    int64_t rate, rate_base; /* frames per second = rate / rate_base */
    struct out_file out;     /* the file being written */
    void *state;             /* the kind's own */
};

/* Eight-bit Y Cb Cr of limited range in 16.16 fixed point; integers only, so every machine gets the
 * same bytes. */
struct media_matrix {
    int32_t y[3], cb[3], cr[3]; /* factors of R, G, B, times 65536 */
};
extern const struct media_matrix media_bt601, media_bt709;

static inline uint8_t media_luma(const struct media_matrix *m, const uint8_t *rgb)
{
    return (
        uint8_t)((m->y[0] * rgb[0] + m->y[1] * rgb[1] + m->y[2] * rgb[2] + (16 << 16) + 32768) >>
                 16);
}

/* factors: cb or cr; sum: R, G, B summed over 2^shift pixels */
static inline uint8_t media_chroma(const int32_t factors[3], const int32_t sum[3], int shift)
{
    int32_t v = (factors[0] * sum[0] + factors[1] * sum[1] + factors[2] * sum[2]) >> shift;
    return (uint8_t)((v + (128 << 16) + 32768) >> 16);
}

#endif
