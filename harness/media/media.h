// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media.h   Writing clips and stills. Built in: .y4m (C444, BT.601 limited range) and .ppm. Through
 * FFmpeg's libraries: .mp4 (H.264, yuv420p), .gif, .png. The kind is the file name's ending. */
#ifndef PATCHMARK_MEDIA_H
#define PATCHMARK_MEDIA_H

#include "op.h"

struct media_writer;

/* Checks everything that can be checked before the first frame: a known ending, FFmpeg built in
 * where needed, an even size for .mp4, a folder that can be written, %0Nd in .png and .ppm names
 * when frames > 1. Nothing is left behind where it fails. */
enum status media_check(const char *path, int64_t width, int64_t height, int64_t frames,
                        struct fault *fault);
/* Refuses to write over `input`, the file that a clip is made of; NULL: there is none. */
enum status media_check_input(const char *path, const char *input, struct fault *fault);
/* Writes to a temporary name beside the target; media_close renames. Numbered stills are written
 * one by one, each likewise. */
enum status media_open(const char *path, int64_t width, int64_t height, int64_t frames, double fps,
                       struct media_writer **out, struct fault *fault);
enum status media_frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault);
enum status media_close(struct media_writer *w, struct fault *fault); /* frees w on every path */
void media_abort(struct media_writer *w); /* removes what was written, frees w */

#endif
