// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model.h   Geometry of a text-to-video model: text encoder, transformer, video autoencoder.
 * Sizes only; the architecture is the published Wan 2.1 one (UMT5, Wan transformer, Wan VAE). */
#ifndef PATCHMARK_MODEL_H
#define PATCHMARK_MODEL_H

#include "op.h"

struct text_config {
    int64_t vocab, C, N, D, F, layers;
    int64_t buckets, max_distance;
    int64_t rows; /* text rows the transformer sees, padding included */
    double eps;
};

struct transformer_config {
    int64_t in_channels, out_channels;
    int64_t pt, ph, pw;
    int64_t layers, N, D, F; /* C = N D */
    int64_t text_dim, freq_dim;
    double eps;
};

#define VAE_LEVELS 4
#define VAE_Z_MAX 64

struct vae_config {
    int64_t base, z_dim, res_blocks;
    int64_t mult[VAE_LEVELS];
    int64_t time_up[VAE_LEVELS - 1]; /* 1 where the level's upsampler also doubles time */
    int64_t scale_time, scale_space; /* pixels per latent cell */
    double mean[VAE_Z_MAX], std[VAE_Z_MAX];
};

/* UNIPC_ORIGINAL is UniPC on the noise levels of the original release (diffusers before 0.37). */
enum scheduler { SCHEDULER_UNIPC = 0, SCHEDULER_EULER, SCHEDULER_UNIPC_ORIGINAL };

struct model_config {
    const char *name, *summary;
    struct text_config text;
    struct transformer_config transformer;
    struct vae_config vae;
    double shift, guidance, fps; /* defaults of the model's own pipeline */
    int64_t steps;
    int64_t width, height, frames;
};

extern const struct model_config *const model_presets[]; /* NULL-terminated */

/* Parameters of each part, counted from the geometry. */
int64_t text_parameters(const struct text_config *config);
int64_t transformer_parameters(const struct transformer_config *config);
int64_t vae_decoder_parameters(const struct vae_config *config);

#endif
