// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media_palette.h   256 colours for a frame of a .gif: median cut, then ordered dithering. */
#ifndef PATCHMARK_MEDIA_PALETTE_H
#define PATCHMARK_MEDIA_PALETTE_H

#include "op.h"

#define PALETTE_COLORS 256

struct palette;

struct palette *palette_new(void);
void palette_free(struct palette *p);
/* Colours for the frame at hand. Frames before it count too, each half as much as the next, so that
 * colours stay steady while the picture does. colors: 0xAARRGGBB, opaque. */
void palette_choose(struct palette *p, const uint8_t *rgb, int64_t pixels,
                    uint32_t colors[PALETTE_COLORS]);
/* One row of pixels to indices into the colours last chosen. */
void palette_map(struct palette *p, const uint8_t *rgb, int64_t width, int64_t row, uint8_t *out);

#endif
