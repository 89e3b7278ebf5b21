// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/open_sora.h"

#include "model/open_sora.h"

static const struct open_sora_config alternating = {
    .form = OPEN_SORA_ALTERNATING,
    .chunk_frames = 17,
};

/* Mean and variance are predicted, hence twice the channels. */
const struct model_config preset_open_sora_1_2 = {
    .name = "open-sora-1.2",
    .summary = "Open-Sora 1.2 (STDiT3-XL/2) text to video: flops and parameters only",
    .family = FAMILY_OPEN_SORA,
    .text = {.C = 4096, .rows = 300},
    .transformer = {.in_channels = 4,
                    .out_channels = 8,
                    .pt = 1,
                    .ph = 2,
                    .pw = 2,
                    .layers = 28,
                    .N = 16,
                    .D = 72,
                    .F = 4608,
                    .text_dim = 4096,
                    .freq_dim = 256,
                    .eps = 1e-6},
    .vae = {.z_dim = 4, .scale_time = 4, .scale_space = 8},
    .shift = 1.0,
    .guidance = 7.0,
    .fps = 24.0,
    .steps = 30,
    .width = 1280,
    .height = 720,
    .frames = 51,
    .scheduler = SCHEDULER_EULER,
    .open_sora = &alternating,
};

static const struct open_sora_config streams = {
    .form = OPEN_SORA_STREAMS,
    .single_layers = 38,
    .pooled_dim = 768,
};

const struct model_config preset_open_sora_2_0 = {
    .name = "open-sora-2.0",
    .summary = "Open-Sora 2.0, 11 billion parameters, text to video: flops and parameters only",
    .family = FAMILY_OPEN_SORA,
    .text = {.C = 4096, .rows = 512},
    .transformer = {.in_channels = 16,
                    .out_channels = 16,
                    .pt = 1,
                    .ph = 2,
                    .pw = 2,
                    .layers = 19,
                    .N = 24,
                    .D = 128,
                    .F = 12288,
                    .text_dim = 4096,
                    .freq_dim = 256,
                    .eps = 1e-6},
    .vae = {.z_dim = 16, .scale_time = 4, .scale_space = 8},
    .shift = 1.0,
    .guidance = 7.5,
    .fps = 24.0,
    .steps = 50,
    .width = 1024,
    .height = 576,
    .frames = 129,
    .scheduler = SCHEDULER_EULER,
    .open_sora = &streams,
};
