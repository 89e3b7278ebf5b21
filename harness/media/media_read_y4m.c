// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* YUV4MPEG2 of 8 bits. Subsampled chroma is taken from the pixel's own cell, without a filter. */
#include "media/media_source.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256

/* How many pixels share a chroma value across and down (as shifts). The kinds of 420 differ in where
 * the value lies between the pixels. */
static const struct layout {
    const char *name;
    int across, down;
    bool grey;
} layouts[] = {
    {"420", 1, 1, false},      {"420jpeg", 1, 1, false}, {"420mpeg2", 1, 1, false},
    {"420paldv", 1, 1, false}, {"422", 1, 0, false},     {"444", 0, 0, false},
    {"mono", 0, 0, true},
};
#define LAYOUTS (sizeof layouts / sizeof *layouts)

/* BT.601 in 16.16 fixed point, of limited and of full range. */
static const struct range {
    int32_t black, y, cr_r, cb_g, cr_g, cb_b;
} limited = {16, 76309, 104597, 25675, 53279, 132201},
  full = {0, 65536, 91881, 22554, 46802, 116130};

struct y4m {
    struct layout layout;
    const struct range *range;
    int64_t chroma_width, chroma_height;
    uint8_t *planes;
};

static bool find_layout(const char *name, struct layout *out)
{
    for (size_t i = 0; i < LAYOUTS; i++)
        if (!strcmp(name, layouts[i].name)) {
            *out = layouts[i];
            return true;
        }
    return false;
}

static double rate_of(const char *text)
{
    char *colon;
    const double rate = strtod(text, &colon);
    const double base = *colon == ':' ? strtod(colon + 1, NULL) : 1.0;
    return rate > 0 && base > 0 ? rate / base : 0.0;
}

/* One word of the header; its first letter says what it holds. */
static enum status take_word(struct media_reader *r, struct y4m *s, const char *word,
                             struct fault *fault)
{
    if (*word == 'W')
        r->own_width = strtoll(word + 1, NULL, 10);
    else if (*word == 'H')
        r->own_height = strtoll(word + 1, NULL, 10);
    else if (*word == 'F')
        r->fps = rate_of(word + 1);
    else if (!strcmp(word, "XCOLORRANGE=FULL"))
        s->range = &full;
    else if (*word == 'C' && !find_layout(word + 1, &s->layout))
        return media_source_refuse(r, "only YUV4MPEG2 of 8 bits in 444, 422, 420 or mono is read",
                                   fault);
    return ST_OK;
}

static enum status take_header(struct media_reader *r, struct y4m *s, struct fault *fault)
{
    char line[LINE_MAX_BYTES], *rest = NULL;
    if (!media_source_line(r, line, sizeof line))
        return media_source_refuse(r, "its first line does not end", fault);
    strtok_r(line, " ", &rest);
    for (const char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;)
        TRY(take_word(r, s, word, fault));
    if (r->own_width < 1 || r->own_height < 1 || r->own_width > MEDIA_SOURCE_SIDE_MAX ||
        r->own_height > MEDIA_SOURCE_SIDE_MAX)
        return media_source_refuse(r, "its first line lacks a width and height that can be", fault);
    return ST_OK;
}

static int64_t chroma_elems(const struct y4m *s)
{
    return s->layout.grey ? 0 : s->chroma_width * s->chroma_height;
}

static int64_t frame_bytes(const struct media_reader *r, const struct y4m *s)
{
    return r->own_width * r->own_height + 2 * chroma_elems(s);
}

static enum status begin(struct media_reader *r, struct fault *fault)
{
    struct y4m *s = r->state = calloc(1, sizeof *s);
    if (!s)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", r->path);
    s->layout = layouts[0]; /* what a header without the word means */
    s->range = &limited;
    TRY(take_header(r, s, fault));
    s->chroma_width = (r->own_width + s->layout.across) >> s->layout.across;
    s->chroma_height = (r->own_height + s->layout.down) >> s->layout.down;
    s->planes = malloc((size_t)frame_bytes(r, s));
    return s->planes ? ST_OK
                     : fault_set(fault, ST_NO_MEMORY, "out of memory for a frame of %s", r->path);
}

static uint8_t rounded(int32_t v)
{
    v = (v + 32768) >> 16;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void to_rgb(const struct range *k, int32_t y, int32_t cb, int32_t cr, uint8_t *rgb)
{
    const int32_t luma = (y - k->black) * k->y;
    rgb[0] = rounded(luma + k->cr_r * cr);
    rgb[1] = rounded(luma - k->cb_g * cb - k->cr_g * cr);
    rgb[2] = rounded(luma + k->cb_b * cb);
}

static enum status frame(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault)
{
    const struct y4m *s = r->state;
    char line[LINE_MAX_BYTES];
    const int c = getc(r->file);
    *end = c == EOF;
    if (*end)
        return ST_OK;
    ungetc(c, r->file);
    if (!media_source_line(r, line, sizeof line) || strncmp(line, "FRAME", 5) != 0)
        return media_source_refuse(r, "a frame does not begin where it should", fault);
    TRY(media_source_bytes(r, s->planes, (size_t)frame_bytes(r, s), fault));
    const uint8_t *luma = s->planes, *blue = luma + r->own_width * r->own_height;
    const uint8_t *red = blue + chroma_elems(s);
    for (int64_t y = 0; y < r->own_height; y++)
        for (int64_t x = 0; x < r->own_width; x++, rgb += 3) {
            const int64_t at = (y >> s->layout.down) * s->chroma_width + (x >> s->layout.across);
            to_rgb(s->range, *luma++, s->layout.grey ? 0 : blue[at] - 128,
                   s->layout.grey ? 0 : red[at] - 128, rgb);
        }
    return ST_OK;
}

static void drop(struct media_reader *r)
{
    struct y4m *s = r->state;
    if (s)
        free(s->planes);
    free(s);
}

const struct media_source media_source_y4m = {"YUV4MPEG2 ", false, begin, frame, drop};
