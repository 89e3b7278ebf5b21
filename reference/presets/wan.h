// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wan.h   What the geometries of the Wan models have in common, as initialisers. */
#ifndef PATCHMARK_PRESETS_WAN_H
#define PATCHMARK_PRESETS_WAN_H

#include "model/model.h"

/* The relative positions of UMT5; sizes are the preset's. */
#define WAN_TEXT(vocab_, heads, width, mlp, layers_, rows_)                                        \
    {                                                                                              \
        .vocab = (vocab_), .C = (heads) * (width), .N = (heads), .D = (width), .F = (mlp),         \
        .layers = (layers_), .buckets = 32, .max_distance = 128, .rows = (rows_), .eps = 1e-6      \
    }

/* What the network reads and what it predicts; image_width, image_rows_: as in struct
 * transformer_config, 0 where it attends to no image. */
#define WAN_NETWORK(channels_in, channels_out, heads, width, mlp, layers_, text_width,             \
                    image_width, image_rows_)                                                      \
    {                                                                                              \
        .in_channels = (channels_in), .out_channels = (channels_out), .pt = 1, .ph = 2, .pw = 2,   \
        .layers = (layers_), .N = (heads), .D = (width), .F = (mlp), .text_dim = (text_width),     \
        .freq_dim = 256, .eps = 1e-6, .image_dim = (image_width), .image_rows = (image_rows_)      \
    }

#define WAN_TRANSFORMER(heads, width, mlp, layers_, text_width)                                    \
    WAN_NETWORK(16, 16, heads, width, mlp, layers_, text_width, 0, 0)

#define WAN_14B(channels_in, image_width, image_rows_)                                             \
    WAN_NETWORK(channels_in, 16, 40, 128, 13824, 40, 4096, image_width, image_rows_)

#define WAN_5B WAN_NETWORK(48, 48, 24, 128, 14336, 30, 4096, 0, 0)

/* The vision transformer of CLIP ViT-H/14. */
#define WAN_CLIP                                                                                   \
    {                                                                                              \
        .size = 224, .patch = 14, .N = 16, .D = 80, .F = 5120, .layers = 32, .eps = 1e-5           \
    }

#define WAN_TINY_CLIP                                                                              \
    {                                                                                              \
        .size = 56, .patch = 14, .N = 2, .D = 32, .F = 128, .layers = 3, .eps = 1e-5               \
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

/* Of Wan 2.2's smaller model: 16 x 16 pixels to a cell of 48 channels, shortcuts around levels, a
 * decoder wider than the encoder. */
#define WAN_2_2_VAE(base_, decoder_base_)                                                          \
    {                                                                                              \
        .mean = {-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174,  0.1838,  0.1557,            \
                 -0.1382, 0.0542,  0.2813,  0.0891,  0.1570,  -0.0098, 0.0375,  -0.1825,           \
                 -0.2246, -0.1207, -0.0698, 0.5109,  0.2665,  -0.2108, -0.2158, 0.2502,            \
                 -0.2055, -0.0322, 0.1109,  0.1567,  -0.0729, 0.0899,  -0.2799, -0.1230,           \
                 -0.0313, -0.1649, 0.0117,  0.0723,  -0.2839, -0.2083, -0.0520, 0.3748,            \
                 0.0152,  0.1957,  0.1433,  -0.2944, 0.3573,  -0.0548, -0.1681, -0.0667},          \
        .std = {0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344,    \
                0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804,    \
                0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999,    \
                0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,    \
                0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744},                   \
        .base = (base_), .z_dim = 48, .res_blocks = 2, .mult = {1, 2, 4, 4}, .time_up = {1, 1, 0}, \
        .scale_time = 4, .scale_space = 16, .decoder_base = (decoder_base_), .residual = 1,        \
        .patch = 2                                                                                 \
    }

#define WAN_UMT5_XXL WAN_TEXT(256384, 64, 64, 10240, 24, 512)

/* Vocabulary of the byte tokenizer: 256 bytes and the special tokens, rounded up. */
#define WAN_BYTE_VOCAB 384

extern const struct model_config preset_tiny, preset_small;
extern const struct model_config preset_tiny_a14b, preset_tiny_i2v, preset_tiny_flf2v;
extern const struct model_config preset_tiny_ti2v;
extern const struct model_config preset_wan_2_1_t2v_1_3b, preset_wan_2_1_t2v_14b;
extern const struct model_config preset_wan_2_1_i2v_14b_480p, preset_wan_2_1_i2v_14b_720p;
extern const struct model_config preset_wan_2_1_flf2v_14b;
extern const struct model_config preset_wan_2_2_ti2v_5b, preset_wan_2_2_ti2v_5b_4step;
extern const struct model_config preset_wan_2_2_t2v_a14b, preset_wan_2_2_i2v_a14b;
extern const struct model_config preset_wan_2_1_t2v_1_3b_4step, preset_wan_2_1_t2v_14b_4step;
extern const struct model_config preset_wan_2_1_i2v_14b_4step;
extern const struct model_config preset_wan_2_2_t2v_a14b_4step, preset_wan_2_2_i2v_a14b_4step;

#endif
