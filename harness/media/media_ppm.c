// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* Binary portable pixmap (P6): a line of header and the bytes as they are. */
#include "media/media_format.h"

#include <inttypes.h>

static enum status begin(struct media_writer *w, struct fault *fault)
{
    char header[64];
    int n =
        snprintf(header, sizeof header, "P6\n%" PRId64 " %" PRId64 "\n255\n", w->width, w->height);
    return out_file_write(&w->out, header, (size_t)n, fault);
}

static enum status frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    return out_file_write(&w->out, rgb, (size_t)(w->width * w->height) * 3, fault);
}

static enum status end(struct media_writer *w, struct fault *fault)
{
    (void)w;
    (void)fault;
    return ST_OK;
}

static void drop(struct media_writer *w) { (void)w; }

const struct media_kind media_ppm = {".ppm", true, false, 65535, true, begin, frame, end, drop};
