// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_1_t2v_1_3b = {
    .name = "wan2.1-t2v-1.3b",
    .summary = "Wan 2.1 text to video, 1.3 billion parameters, made for 832x480",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_TRANSFORMER(12, 128, 8960, 30, 4096),
    .vae = WAN_VAE(96),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 50,
    .width = 832,
    .height = 480,
    .frames = 81,
};
