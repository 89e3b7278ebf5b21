// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* given_image.h   What a given image adds to the denoising of a clip: rows to attend to, channels
 * beside the noise, or a first frame that stays. Internal to reference/model. */
#ifndef PATCHMARK_GIVEN_IMAGE_H
#define PATCHMARK_GIVEN_IMAGE_H

#include "model/generate.h"
#include "model/layer.h"

struct given_image {
    const struct model_config *model;
    const struct geometry *grid;
    enum image_input input; /* IMAGE_NONE where the clip is made without an image */
    float *rows;            /* [row_count][image_dim], or NULL: not executing, or none */
    int64_t row_count;
    float *latents; /* [T][H][W][channels] beside the noise, or the first frame [H][W][channels] */
    int64_t channels;
};

/* Runs the stages that look at the images. Where the model needs one and the request has none, one
 * is drawn from the seed, so that the work is the same. given_image_free() also after a failure. */
enum status given_image_new(struct ops *ops, const struct generate_request *request,
                            struct given_image *out);
void given_image_free(struct given_image *g);

/* What the network sees is the noisy latents x themselves where no image is given; else a tensor of
 * its own, which alloc makes, put gives what stays the same and refresh x, before every step. */
enum status given_image_alloc(struct ops *ops, const struct given_image *g, struct tensor x,
                              struct tensor *input);
enum status given_image_put(struct ops *ops, const struct given_image *g, struct tensor input);
enum status given_image_refresh(struct ops *ops, const struct given_image *g, struct tensor x,
                                struct tensor input);

/* The times of a step, room for one per latent frame; returns how many. */
int64_t given_image_times(const struct given_image *g, double time, double *times);

/* Puts a first frame that stays back into finished latents, cells [T][H][W][C]. */
void given_image_keep(const struct given_image *g, float *cells);

#endif
