// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* vae.h   The decoder of the Wan video autoencoders, one latent frame at a time.
 * The first latent frame becomes one frame, every later one scale_time frames. What a convolution
 * must see of earlier chunks it keeps in a cache of two frames, so memory does not grow with the
 * clip, and the result equals decoding the whole clip at once. */
#ifndef PATCHMARK_VAE_H
#define PATCHMARK_VAE_H

#include "model/vae_layer.h"

struct vae_level {
    struct vae_block block[VAE_BLOCKS_MAX];
    bool upsamples, doubles_time; /* in space; in time as well */
    bool shortcut;                /* around the whole level */
    struct vae_conv time, space;
};

struct vae {
    struct ops *ops;
    const struct vae_config *config;
    int64_t blocks;          /* per level */
    struct tensor mean, std; /* [1][z] */
    struct layer_linear post_quant;
    struct vae_conv in, out;
    struct vae_middle middle;
    struct tensor out_gamma;
    struct vae_level level[VAE_LEVELS];
    int64_t H, W, chunk; /* latent grid; chunks decoded so far */
};

/* Asks for every weight of the decoder and of post_quant_conv. */
enum status vae_load(struct ops *ops, const struct vae_config *config, struct vae *out);

/* Fixes the latent grid and makes empty caches: the next chunk is the first of a clip. */
enum status vae_begin(struct vae *vae, int64_t H, int64_t W);

/* z [H][W][z] f32, one normalised latent frame -> frames [T][H'][W'][3] f32, about -1..1, allocated
 * here and released by the caller; T = 1 for the first chunk, else scale_time. */
enum status vae_decode(struct vae *vae, struct tensor z, struct tensor *frames, int64_t *T);
/* The same of `count` latent frames [count][H][W][z] at once, after the first chunk. */
enum status vae_decode_many(struct vae *vae, struct tensor z, int64_t count, struct tensor *frames,
                            int64_t *T);

#endif
