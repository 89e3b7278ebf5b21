// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media_read.h   Reading clips and stills as RGB frames, one after another. Built in: .y4m (8 bits,
 * BT.601) and binary .ppm. Everything else through FFmpeg's libraries, which scaling needs too. The
 * kind is judged by what is in the file, not by its name. */
#ifndef PATCHMARK_MEDIA_READ_H
#define PATCHMARK_MEDIA_READ_H

#include "op.h"

struct media_reader;

/* Frames come out as width x height, the picture stretched where its own size differs; 0x0: as in
 * the file. ST_BAD_INPUT where the file cannot be opened or is no clip or still, ST_NOT_BUILT where
 * it takes FFmpeg and there is none; *out is NULL then. */
enum status media_read_open(const char *path, int64_t width, int64_t height,
                            struct media_reader **out, struct fault *fault);
void media_read_size(const struct media_reader *r, int64_t *width, int64_t *height);
double media_read_fps(const struct media_reader *r); /* 0 where the file does not say */

/* The next frame, [height][width][3]; behind the last one *end is set and rgb left alone. A file
 * that ends early or is damaged is ST_BAD_INPUT, naming the frame. */
enum status media_read_frame(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault);
void media_read_free(struct media_reader *r); /* NULL is harmless */

#endif
