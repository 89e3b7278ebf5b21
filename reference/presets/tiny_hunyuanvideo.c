// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/hunyuan.h"

static const struct hunyuan_config own = {
    .single_layers = 2,
    .refiner_layers = 2,
    .axis = {16, 56, 56},
    .theta = 256.0,
    .pooled_dim = 128,
};

const struct model_config preset_tiny_hunyuanvideo = {
    .name = "tiny-hunyuanvideo",
    .summary = "the HunyuanVideo architecture, small enough for a test: denoise only, no weights",
    .family = FAMILY_HUNYUAN,
    .text = {.C = 128, .rows = 64},
    .transformer = {.in_channels = 16,
                    .out_channels = 16,
                    .pt = 1,
                    .ph = 2,
                    .pw = 2,
                    .layers = 2,
                    .N = 2,
                    .D = 128,
                    .F = 1024,
                    .text_dim = 128,
                    .freq_dim = 256,
                    .eps = 1e-6},
    .vae = {.z_dim = 16, .scale_time = 4, .scale_space = 8},
    .shift = 7.0,
    .guidance = 6.0,
    .told_guidance = 1,
    .fps = 24.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
    .scheduler = SCHEDULER_EULER_ONCE,
    .hunyuan = &own,
};
