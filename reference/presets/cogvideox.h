// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cogvideox.h   What every CogVideoX geometry has in common, as initialisers. */
#ifndef PATCHMARK_PRESETS_COGVIDEOX_H
#define PATCHMARK_PRESETS_COGVIDEOX_H

#include "model/cogvideox.h"

#define COGVIDEOX_TRANSFORMER(heads, layers_, frames_of_patch)                                     \
    {                                                                                              \
        .in_channels = 16, .out_channels = 16, .pt = (frames_of_patch), .ph = 2, .pw = 2,          \
        .layers = (layers_), .N = (heads), .D = 64, .F = 4 * 64 * (heads), .text_dim = 4096,       \
        .eps = 1e-5                                                                                \
    }

/* Rows of T5 features, and the latents of an autoencoder that is not here. */
#define COGVIDEOX_TEXT_ROWS                                                                        \
    {                                                                                              \
        .C = 4096, .rows = 226                                                                     \
    }
#define COGVIDEOX_LATENTS                                                                          \
    {                                                                                              \
        .z_dim = 16, .scale_time = 4, .scale_space = 8                                             \
    }

extern const struct model_config preset_tiny_cogvideox;
extern const struct model_config preset_cogvideox_2b, preset_cogvideox_5b, preset_cogvideox_1_5_5b;

#endif
