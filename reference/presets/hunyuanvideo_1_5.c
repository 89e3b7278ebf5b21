// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/hunyuan.h"

/* Up to 1000 rows of Qwen2.5-VL features. Beside the noise stand 32 channels of a given image's
 * latents and one of its mask. */
static const struct hunyuan_config own = {
    .refiner_layers = 2,
    .axis = {16, 56, 56},
    .theta = 256.0,
    .image_channels = 33,
    .glyph_dim = 1472,
    .glyph_F = 2048,
};

const struct model_config preset_hunyuanvideo_1_5 = {
    .name = "hunyuanvideo-1.5",
    .summary = "HunyuanVideo 1.5 text to video, 8.3 billion parameters: denoise only, no weights",
    .family = FAMILY_HUNYUAN_15,
    .text = {.C = 3584, .rows = 1000},
    .transformer = {.in_channels = 32,
                    .out_channels = 32,
                    .pt = 1,
                    .ph = 1,
                    .pw = 1,
                    .layers = 54,
                    .N = 16,
                    .D = 128,
                    .F = 8192,
                    .text_dim = 3584,
                    .freq_dim = 256,
                    .eps = 1e-6,
                    .image_dim = 1152},
    .vae = {.z_dim = 32, .scale_time = 4, .scale_space = 16},
    .shift = 9.0,
    .guidance = 6.0,
    .fps = 24.0,
    .steps = 50,
    .width = 1280,
    .height = 720,
    .frames = 121,
    .scheduler = SCHEDULER_EULER_ONCE,
    .hunyuan = &own,
};
