// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* picture.h   An image file as the networks take it: as a frame of the clip, and as CLIP sees it.
 * Sizes change as the published pipelines change them. */
#ifndef PATCHMARK_PICTURE_H
#define PATCHMARK_PICTURE_H

#include "model/generate.h"

struct picture {
    int64_t width, height;
    uint8_t *rgb; /* [height][width][3] */
};

/* The still, or the first frame of a clip (media_read.h). picture_free() also after a failure. */
enum status picture_read(const char *path, struct picture *out, struct fault *fault);
void picture_free(struct picture *p);

/* [pad_height][pad_width][3], -1..1: stretched to the clip's size, by Lanczos' filter, its right and
 * bottom edges repeated where more is generated than is kept. free() it. */
enum status picture_frame(const struct picture *p, const struct geometry *g, float **out,
                          struct fault *fault);

/* [size][size][3]: the shorter side made `size` by cubic convolution, the middle cut out, CLIP's
 * mean taken away and divided by its deviation. free() it. */
enum status picture_pixels(const struct picture *p, int64_t size, float **out, struct fault *fault);

#endif
