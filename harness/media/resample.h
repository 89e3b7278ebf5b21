// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* resample.h   An image in another size, to the bit as Pillow 13 makes it, whose resampling the
 * published models' own code uses: each pixel is a weighted mean of all that lie under the filter,
 * which grows with the reduction; one axis after the other, with 8 bits between. */
#ifndef PATCHMARK_RESAMPLE_H
#define PATCHMARK_RESAMPLE_H

#include "op.h"

enum resample_filter { RESAMPLE_CUBIC = 0, RESAMPLE_LANCZOS };

/* from [height][width][3] -> to [to_height][to_width][3], sides from 1 up. */
enum status resample_rgb(enum resample_filter filter, const uint8_t *from, int64_t width,
                         int64_t height, uint8_t *to, int64_t to_width, int64_t to_height,
                         struct fault *fault);

#endif
