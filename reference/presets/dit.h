// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* dit.h   The original DiT: four sizes, three patches, two resolutions. */
#ifndef PATCHMARK_PRESETS_DIT_H
#define PATCHMARK_PRESETS_DIT_H

#include "model/dit.h"

#define DIT_TRANSFORMER(heads, width, layers_, patch)                                              \
    {                                                                                              \
        .in_channels = 4, .out_channels = 8, .pt = 1, .ph = (patch), .pw = (patch),                \
        .layers = (layers_), .N = (heads), .D = (width), .F = 4 * (heads) * (width),               \
        .freq_dim = 256, .eps = 1e-6                                                               \
    }

/* As published, with one embedder; times and norms as in diffusers, which runs it. */
#define DIT_CONFIG(side)                                                                           \
    {                                                                                              \
        .classes = 1000, .sample = (side) / 8, .time_drop = 1, .shared_embedder = 1,               \
        .mlp_eps = 1e-5                                                                            \
    }

/* The latents of Stable Diffusion's autoencoder, which is not here. */
#define DIT_LATENTS                                                                                \
    {                                                                                              \
        .z_dim = 4, .scale_time = 1, .scale_space = 8                                              \
    }

extern const struct dit_config dit_256, dit_512;

extern const struct model_config preset_tiny_dit;
extern const struct model_config preset_dit_s_2_256, preset_dit_s_4_256, preset_dit_s_8_256;
extern const struct model_config preset_dit_b_2_256, preset_dit_b_4_256, preset_dit_b_8_256;
extern const struct model_config preset_dit_l_2_256, preset_dit_l_4_256, preset_dit_l_8_256;
extern const struct model_config preset_dit_xl_2_256, preset_dit_xl_4_256, preset_dit_xl_8_256;
extern const struct model_config preset_dit_xl_2_512;

#define DIT_PRESETS                                                                                \
    &preset_dit_s_2_256, &preset_dit_s_4_256, &preset_dit_s_8_256, &preset_dit_b_2_256,            \
        &preset_dit_b_4_256, &preset_dit_b_8_256, &preset_dit_l_2_256, &preset_dit_l_4_256,        \
        &preset_dit_l_8_256, &preset_dit_xl_2_256, &preset_dit_xl_4_256, &preset_dit_xl_8_256,     \
        &preset_dit_xl_2_512

#endif
