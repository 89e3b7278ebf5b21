// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* vae_encoder.h   The encoder of the Wan video autoencoders, one latent frame at a time: the first
 * from one frame, every later one from scale_time frames. Caches as in the decoder. */
#ifndef PATCHMARK_VAE_ENCODER_H
#define PATCHMARK_VAE_ENCODER_H

#include "model/vae_layer.h"

struct vae_encoder_level {
    struct vae_block block[VAE_BLOCKS_MAX];
    bool downsamples, halves_time; /* in space; in time as well */
    bool shortcut;                 /* around the whole level */
    struct vae_conv space, time;
};

struct vae_encoder {
    struct ops *ops;
    const struct vae_config *config;
    int64_t blocks;             /* per level */
    struct tensor scale, shift; /* [1][z]: 1 / std, -mean / std */
    struct vae_conv in, out;
    struct vae_middle middle;
    struct tensor out_gamma;
    struct layer_linear quant;
    struct vae_encoder_level level[VAE_LEVELS];
    int64_t H, W, chunk; /* pixel grid; chunks encoded so far */
};

/* Asks for every weight of the encoder and of quant_conv. */
enum status vae_encoder_load(struct ops *ops, const struct vae_config *config,
                             struct vae_encoder *out);

/* Fixes the pixel grid, sides multiples of scale_space, and makes empty caches: the next chunk is
 * the first of a clip. */
enum status vae_encoder_begin(struct vae_encoder *encoder, int64_t H, int64_t W);

/* pixels [T][H][W][3] f32, -1..1 -> z [T'][H/s][W/s][z] f32, the mode of the posterior, normalised:
 * (z - mean) / std; allocated here and released by the caller. T = 1 for the first chunk, then
 * scale_time (T' = 1) or a multiple of it. */
enum status vae_encode(struct vae_encoder *encoder, struct tensor pixels, int64_t T,
                       struct tensor *z);

#endif
