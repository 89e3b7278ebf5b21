// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* Binary portable pixmap (P6) of 8 bits: one still. */
#include "media/media_source.h"

#include <ctype.h>

/* A number of the header behind blanks and comments; -1 where there is none. The one blank behind it
 * is taken as well, so that the pixels follow the last number. */
static int64_t header_number(FILE *file)
{
    int c = getc(file);
    while (isspace(c) || c == '#') {
        while (c == '#' && (c = getc(file)) != '\n' && c != EOF)
            c = '#';
        c = getc(file);
    }
    int64_t value = isdigit(c) ? 0 : -1;
    for (; isdigit(c) && value <= MEDIA_SOURCE_SIDE_MAX; c = getc(file))
        value = 10 * value + c - '0';
    return isspace(c) ? value : -1;
}

static enum status begin(struct media_reader *r, struct fault *fault)
{
    getc(r->file), getc(r->file); /* the magic */
    r->own_width = header_number(r->file);
    r->own_height = header_number(r->file);
    const int64_t most = header_number(r->file);
    if (r->own_width < 0 || r->own_height < 0 || most < 0)
        return media_source_refuse(r, "its header lacks width, height and largest value", fault);
    if (most != 255)
        return media_source_refuse(r, "only pixmaps whose largest value is 255 are read", fault);
    return ST_OK;
}

static enum status frame(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault)
{
    *end = r->done > 0;
    if (*end)
        return ST_OK;
    return media_source_bytes(r, rgb, (size_t)(r->own_width * r->own_height) * 3, fault);
}

static void drop(struct media_reader *r) { (void)r; }

const struct media_source media_source_ppm = {"P6", false, begin, frame, drop};
