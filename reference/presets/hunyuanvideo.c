// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/hunyuan.h"

/* 256 rows of LLaMA features and the pooled vector of CLIP-L. */
static const struct hunyuan_config own = {
    .single_layers = 40,
    .refiner_layers = 2,
    .axis = {16, 56, 56},
    .theta = 256.0,
    .pooled_dim = 768,
};

const struct model_config preset_hunyuanvideo = {
    .name = "hunyuanvideo",
    .summary = "HunyuanVideo text to video, 13 billion parameters: denoise only, no weights",
    .family = FAMILY_HUNYUAN,
    .text = {.C = 4096, .rows = 256},
    .transformer = {.in_channels = 16,
                    .out_channels = 16,
                    .pt = 1,
                    .ph = 2,
                    .pw = 2,
                    .layers = 20,
                    .N = 24,
                    .D = 128,
                    .F = 12288,
                    .text_dim = 4096,
                    .freq_dim = 256,
                    .eps = 1e-6},
    .vae = {.z_dim = 16, .scale_time = 4, .scale_space = 8},
    .shift = 7.0,
    .guidance = 6.0,
    .told_guidance = 1,
    .fps = 24.0,
    .steps = 50,
    .width = 1280,
    .height = 720,
    .frames = 129,
    .scheduler = SCHEDULER_EULER_ONCE,
    .hunyuan = &own,
};
