// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* transformer.h   The Wan diffusion transformer: latents, text and a time in, a velocity out.
 * Every block: self attention over all tokens, cross attention to the text, MLP. Six vectors per
 * block (its table + a projection of the time) shift, scale and gate the first and the last. */
#ifndef PATCHMARK_TRANSFORMER_H
#define PATCHMARK_TRANSFORMER_H

#include "model/denoiser.h"

struct transformer_attention {
    struct layer_linear q, k, v, o;
    struct tensor norm_q, norm_k; /* over all heads at once */
};

struct transformer_block {
    struct transformer_attention self, cross;
    struct tensor norm_weight, norm_bias; /* of the layer norm before cross attention */
    struct layer_linear up, down;
    struct tensor table; /* [6][C] */
};

struct transformer {
    struct ops *ops;
    const struct transformer_config *config;
    int64_t C; /* N D */
    struct layer_linear patch, time_1, time_2, time_projection, text_1, text_2, head;
    struct tensor table; /* [2][C]: shift and scale of the head */
    struct transformer_block *block;

    int64_t T, H, W, S;       /* latent grid and tokens, set by transformer_begin() */
    struct tensor cos, sin;   /* [S][D/2] */
    struct tensor time;       /* [1][C], embedding of the step's time */
    struct tensor modulation; /* [6][C], its projection */
    struct tensor rows;       /* [6][C], a block's table + modulation */
};

/* Keys and values of one prompt for every block: they depend on neither latents nor time. */
struct transformer_context {
    int64_t M;
    struct tensor *k, *v; /* one per layer, [M][C] */
};

/* Asks for every weight. transformer_free() gives back host memory only. */
enum status transformer_load(struct ops *ops, const struct transformer_config *config,
                             struct transformer *out);
void transformer_free(struct transformer *t);

/* Fixes the latent grid; makes the rotation tables and the vectors that live as long as the
 * stage. */
enum status transformer_begin(struct transformer *t, int64_t T, int64_t H, int64_t W);

/* text [M][text_dim] on the host (NULL unless executing), zero rows of padding included: they turn
 * into a constant vector that takes part in attention, as in the published model. */
enum status transformer_context_new(struct transformer *t, const float *text, int64_t M,
                                    struct transformer_context *out);
void transformer_context_free(struct transformer_context *context);

/* Sets the time (0..1000) of the forwards that follow. */
enum status transformer_set_time(struct transformer *t, double time);

/* latents [T][H][W][in_channels] f32 -> velocity [T][H][W][out_channels] f32 */
enum status transformer_forward(struct transformer *t, const struct transformer_context *context,
                                struct tensor latents, struct tensor velocity);

extern const struct denoiser_family transformer_family_wan;

#endif
