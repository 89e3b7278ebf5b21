// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* hunyuan_15.h   The HunyuanVideo 1.5 transformer: HunyuanVideo's blocks of two streams alone, and
 * more kinds of rows beside the video's: of a given image, of text to paint (glyphs), of the prompt,
 * each marked by a vector of its kind. */
#ifndef PATCHMARK_HUNYUAN_15_H
#define PATCHMARK_HUNYUAN_15_H

#include "model/hunyuan.h"

struct hunyuan_15 {
    struct hunyuan shared;   /* first, so that its functions serve both versions */
    struct tensor kinds;     /* [3][C], one row for each kind: prompt, glyphs, image */
    struct tensor kind_rows; /* the same as an activation, for rows of a weight are not views */
    struct layer_norm glyph_norm;
    struct layer_linear glyph_1, glyph_2, glyph_3;
    struct layer_norm image_norm_in, image_norm_out;
    struct layer_linear image_1, image_2;
};

extern const struct denoiser_family hunyuan_15_family;

#endif
