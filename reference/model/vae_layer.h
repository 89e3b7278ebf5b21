// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* vae_layer.h   What encoder and decoder of the Wan video autoencoder are made of: causal
 * convolutions that keep what they must see of earlier chunks, residual blocks, the middle with its
 * attention. Internal to reference/model. */
#ifndef PATCHMARK_VAE_LAYER_H
#define PATCHMARK_VAE_LAYER_H

#include "model/layer.h"
#include "model/model.h"

/* Residual blocks per level; the published decoders have 3. */
#define VAE_BLOCKS_MAX 4

/* A chunk on its way through the network. */
struct vae_clip {
    int64_t T, H, W, C;
    struct tensor data;
};

static inline int64_t vae_pixels(const struct vae_clip *c) { return c->T * c->H * c->W; }

/* Channels of a pixel as the networks see it: squares of patch x patch are folded into one. */
static inline int64_t vae_pixel_channels(const struct vae_config *c)
{
    return c->patch ? 3 * c->patch * c->patch : 3;
}

/* ST_BAD_INPUT where the geometry is none that is computed here. */
enum status vae_check(struct ops *ops, const struct vae_config *config);

enum status vae_clip_new(struct ops *ops, int64_t T, int64_t H, int64_t W, int64_t C,
                         enum elem elem, const char *name, struct vae_clip *out);

/* The last input frames of a causal convolution, before the norm in front of it. */
struct vae_cache {
    struct tensor frames; /* [keep][H][W][C] */
    int64_t P, keep;      /* frames in it; most of them */
    int64_t room;         /* pixels of the memory it has */
};

/* Stride st in time, ss in space. With stride 2 a frame gets a line of zeros below and a column on
 * its right, else a border all around. */
struct vae_conv {
    int64_t C, O, kt, k, st, ss;
    struct tensor w, bias;
    struct vae_cache past; /* used where kt > 1 */
};

struct vae_block {
    struct tensor gamma_1, gamma_2;
    struct vae_conv conv_1, conv_2;
    struct layer_linear shortcut; /* where the width changes */
    bool widens;
};

/* Two residual blocks, between them attention: every frame to itself, one head as wide as the frame
 * has channels. */
struct vae_middle {
    struct vae_block block[2];
    struct layer_linear qkv, proj;
    struct tensor gamma;
};

/* ---- weights --------------------------------------------------------------------------------- */

/* prefix + name + ".weight" [O][C][kt][k][k] and ".bias" */
enum status vae_conv_load(struct ops *ops, const char *prefix, const char *name, int64_t O,
                          int64_t C, int64_t kt, int64_t k, struct vae_conv *out);
/* The 3x3 convolution of a resampler; its checkpoint shape has no time axis. */
enum status vae_resample_load(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                              struct vae_conv *out);
/* The gain in front of the last convolution. Around 0 here, not 1: what synthetic weights decode is
 * neither tinted nor saturated. */
enum status vae_out_gamma_load(struct ops *ops, const char *prefix, int64_t C, struct tensor *out);
enum status vae_block_load(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                           struct vae_block *b);
/* prefix + "mid_block. ..." */
enum status vae_middle_load(struct ops *ops, const char *prefix, int64_t C, struct vae_middle *m);

/* ---- caches: empty ones for frames of H x W; memory of earlier ones is used again ------------- */

enum status vae_conv_begin(struct ops *ops, struct vae_conv *conv, int64_t H, int64_t W);
enum status vae_block_begin(struct ops *ops, struct vae_block *b, int64_t H, int64_t W);
enum status vae_middle_begin(struct ops *ops, struct vae_middle *m, int64_t H, int64_t W);
/* Takes the last frames of a chunk that the convolution has seen, or passed over. */
enum status vae_conv_remember(struct ops *ops, struct vae_conv *conv, const struct vae_clip *x);

/* ---- layers ---------------------------------------------------------------------------------- */

/* y is allocated here. */
enum status vae_convolve(struct ops *ops, struct vae_conv *conv, const struct vae_clip *x,
                         struct vae_clip *y);
/* y = conv(silu(norm(x))) + aux, into memory of y's */
enum status vae_norm_convolve(struct ops *ops, struct tensor gamma, struct vae_conv *conv,
                              const struct vae_clip *x, struct tensor aux, struct tensor y);
/* x becomes the block's output. Its memory is used again, or freed where the width changes, unless
 * the input is to be kept. */
enum status vae_block_run(struct ops *ops, struct vae_block *b, struct vae_clip *x, bool keep);
enum status vae_middle_run(struct ops *ops, struct vae_middle *m, struct vae_clip *x);

/* A row of `count` values per channel as f32, from doubles. */
enum status vae_row_put(struct ops *ops, const double *values, int64_t count, struct tensor *out);

#endif
