// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ltx.h   What the published LTX geometries have in common, as initialisers. */
#ifndef PATCHMARK_PRESETS_LTX_H
#define PATCHMARK_PRESETS_LTX_H

#include "model/ltx_2.h"

/* Rows are given or drawn. */
#define LTX_TEXT(width, rows_)                                                                     \
    {                                                                                              \
        .C = (width), .rows = (rows_)                                                              \
    }

#define LTX_TRANSFORMER(heads, width, layers_, text_width)                                         \
    {                                                                                              \
        .in_channels = 128, .out_channels = 128, .pt = 1, .ph = 1, .pw = 1, .layers = (layers_),   \
        .N = (heads), .D = (width), .F = 4 * (heads) * (width), .text_dim = (text_width),          \
        .freq_dim = 256, .eps = 1e-6                                                               \
    }

/* The autoencoder is not here: the size of its latents alone. */
#define LTX_VAE                                                                                    \
    {                                                                                              \
        .z_dim = 128, .scale_time = 8, .scale_space = 32                                           \
    }

extern const struct model_config preset_ltx_video_2b, preset_ltx_video_13b, preset_ltx_2_19b;
extern const struct model_config preset_tiny_ltx_2;

#endif
