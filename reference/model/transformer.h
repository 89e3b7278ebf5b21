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

/* Of the image's rows, in cross attention. */
struct transformer_image_keys {
    struct layer_linear k, v;
    struct tensor norm_k;
};

struct transformer_block {
    struct transformer_attention self, cross;
    struct transformer_image_keys image; /* where config->image_dim */
    struct layer_norm norm;              /* before cross attention */
    struct layer_linear up, down;
    struct tensor table; /* [6][C] */
};

/* What turns rows of the image encoder into rows that blocks attend to. */
struct transformer_image {
    struct tensor position; /* [image_rows][image_dim], where config->image_rows */
    struct layer_norm norm_1, norm_2;
    struct layer_linear up, down;
};

enum { TRANSFORMER_ROWS = 6, TRANSFORMER_HEAD_ROWS = 2 };

struct transformer {
    struct ops *ops;
    const struct transformer_config *config;
    int64_t C; /* N D */
    struct layer_linear patch, time_1, time_2, time_projection, text_1, text_2, head;
    struct transformer_image image; /* where config->image_dim */
    struct tensor table;            /* [2][C]: shift and scale of the head */
    struct transformer_block *block;
    bool frame_times; /* times may differ between latent frames; set before transformer_begin() */

    int64_t clips;            /* that pass together; 1 unless set before transformer_begin() */
    int64_t T, H, W, S;       /* latent grid and tokens, set by transformer_begin() */
    int64_t times;            /* set by transformer_set_time(): 1, or one per frame of tokens */
    struct tensor cos, sin;   /* [S][D/2] */
    struct tensor time;       /* [times][C], embedding of the step's times */
    struct tensor modulation; /* [6][times][C], its projection */
    struct tensor rows;       /* [6][times][C], a block's table + modulation */
};

/* Keys and values of M rows of each clip for every block. */
struct transformer_keys {
    int64_t M;
    struct tensor *k, *v; /* one per layer, [clips][M][C] */
};

/* What a prompt and an image come to: neither depends on latents or time. */
struct transformer_context {
    struct transformer_keys text, image; /* image.M = 0: none */
};

/* Asks for every weight. transformer_free() gives back host memory only. */
enum status transformer_load(struct ops *ops, const struct transformer_config *config,
                             struct transformer *out);
void transformer_free(struct transformer *t);

/* Fixes the latent grid; makes the rotation tables and the vectors that live as long as the
 * stage. */
enum status transformer_begin(struct transformer *t, int64_t T, int64_t H, int64_t W);

/* prompt->text with the zero rows of padding, which turn into a constant vector that takes part in
 * attention, as in the published model; prompt->image where the model attends to one: its rows, with
 * config->image_rows exactly as many. */
enum status transformer_context_new(struct transformer *t, const struct denoiser_prompt *prompt,
                                    struct transformer_context *out);
void transformer_context_free(struct transformer_context *context);

/* Sets the time (0..1000) of the forwards that follow: one, or with frame_times one for each of T
 * latent frames. */
enum status transformer_set_time(struct transformer *t, const double *time, int64_t frames);

/* RMS norm over all heads of S rows, in place. */
enum status transformer_norm_heads(struct transformer *t, int64_t S, struct tensor x,
                                   struct tensor weight);

/* latents [clips][T][H][W][in_channels] f32 -> velocity [clips][T][H][W][out_channels] f32 */
enum status transformer_forward(struct transformer *t, const struct transformer_context *context,
                                struct tensor latents, struct tensor velocity);

extern const struct denoiser_family transformer_family_wan;

#endif
