// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* dit.h   The original diffusion transformer (arXiv 2212.09748): latents of one picture, a class
 * and a time in, the noise and its variance out. Every block: self attention and MLP, each shifted,
 * scaled and gated by vectors made of time + class. Weights as diffusers names them. */
#ifndef PATCHMARK_DIT_H
#define PATCHMARK_DIT_H

#include "model/denoiser.h"

/* Where the original release and diffusers differ, both can be had. */
struct dit_config {
    int64_t classes;         /* rows of the class table; one more means no class */
    int64_t sample;          /* side of the latents it was trained on: positions are scaled to it */
    int64_t time_drop;       /* as in time_embed.h: 0 original, 1 diffusers */
    int64_t shared_embedder; /* 1: one embedder of time and class for all blocks, as published;
                                0: one for each block, as diffusers stores the copies */
    double mlp_eps;          /* of the norm before the MLP: 1e-6 original, 1e-5 diffusers */
};

struct dit_embedder {
    struct layer_linear time_1, time_2;
    struct tensor classes; /* [classes + 1][C] */
};

struct dit_block {
    struct layer_linear modulation, q, k, v, o, up, down;
};

struct dit {
    struct ops *ops;
    const struct transformer_config *config;
    const struct dit_config *own;
    int64_t C;         /* N D */
    int64_t embedders; /* 1, or one for each block */
    struct layer_linear patch, head_modulation, head;
    struct dit_embedder *embedder;
    struct dit_block *block;

    int64_t H, W, S;        /* latent grid and tokens, set by begin */
    struct tensor position; /* [S][C] f32 */
    struct tensor time;     /* [embedders][C] f32, the step's time */
    struct tensor rows;     /* [6][C] f32, shifts, scales and gates of the block at hand */
};

struct dit_condition {
    struct tensor classes; /* [embedders][C] f32, the row of the class */
};

extern const struct denoiser_family dit_family;

#endif
