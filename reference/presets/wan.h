// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wan.h   What every Wan 2.1 text-to-video geometry has in common, as initialisers. */
#ifndef PATCHMARK_PRESETS_WAN_H
#define PATCHMARK_PRESETS_WAN_H

#include "model/model.h"

/* The relative positions of UMT5; sizes are the preset's. */
#define WAN_TEXT(vocab_, heads, width, mlp, layers_, rows_)                                        \
    {                                                                                              \
        .vocab = (vocab_), .C = (heads) * (width), .N = (heads), .D = (width), .F = (mlp),         \
        .layers = (layers_), .buckets = 32, .max_distance = 128, .rows = (rows_), .eps = 1e-6      \
    }

#define WAN_TRANSFORMER(heads, width, mlp, layers_, text_width)                                    \
    {                                                                                              \
        .in_channels = 16, .out_channels = 16, .pt = 1, .ph = 2, .pw = 2, .layers = (layers_),     \
        .N = (heads), .D = (width), .F = (mlp), .text_dim = (text_width), .freq_dim = 256,         \
        .eps = 1e-6                                                                                \
    }

/* Statistics of the 16 latent channels of the published autoencoder. */
#define WAN_VAE(base_)                                                                             \
    {                                                                                              \
        .base = (base_), .z_dim = 16, .res_blocks = 2, .mult = {1, 2, 4, 4}, .time_up = {1, 1, 0}, \
        .scale_time = 4, .scale_space = 8,                                                         \
        .mean = {-0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,            \
                 0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921},          \
        .std = {                                                                                   \
            2.8184,                                                                                \
            1.4541,                                                                                \
            2.3275,                                                                                \
            2.6558,                                                                                \
            1.2196,                                                                                \
            1.7708,                                                                                \
            2.6052,                                                                                \
            2.0743,                                                                                \
            3.2687,                                                                                \
            2.1526,                                                                                \
            2.8652,                                                                                \
            1.5579,                                                                                \
            1.6382,                                                                                \
            1.1253,                                                                                \
            2.8251,                                                                                \
            1.9160                                                                                 \
        }                                                                                          \
    }

#define WAN_UMT5_XXL WAN_TEXT(256384, 64, 64, 10240, 24, 512)

/* Vocabulary of the byte tokenizer: 256 bytes and the special tokens, rounded up. */
#define WAN_BYTE_VOCAB 384

extern const struct model_config preset_tiny, preset_small;
extern const struct model_config preset_wan_2_1_t2v_1_3b, preset_wan_2_1_t2v_14b;

#endif
