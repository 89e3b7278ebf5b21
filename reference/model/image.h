// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* image.h   CLIP's vision transformer: an image in, the rows that a video model attends to out.
 * What it gives is the hidden state before the last layer, without the norm that would follow, so
 * the last layer and that norm are never asked for. */
#ifndef PATCHMARK_IMAGE_H
#define PATCHMARK_IMAGE_H

#include "model/layer.h"
#include "model/model.h"

struct image_block {
    struct layer_norm norm_1, norm_2;
    struct layer_linear q, k, v, o, up, down;
};

struct image {
    struct ops *ops;
    const struct image_config *config;
    int64_t C;                     /* N D */
    struct tensor first, position; /* [1][C] the row that stands for all; [rows][C] */
    struct layer_linear patch;     /* without a bias */
    struct layer_norm norm;        /* before the blocks */
    struct image_block *block;     /* layers - 1 */
};

/* One row for the whole image, then one per patch. */
int64_t image_rows(const struct image_config *config);

/* Asks for every weight that is used. image_free() gives back host memory only. */
enum status image_load(struct ops *ops, const struct image_config *config, struct image *out);
void image_free(struct image *image);

/* pixels [size][size][3] with CLIP's mean and deviation taken out -> out [image_rows][C] on the
 * host; both are NULL unless executing. */
enum status image_encode(struct image *image, const float *pixels, float *out);

#endif
