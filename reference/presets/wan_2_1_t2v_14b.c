// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_1_t2v_14b = {
    .name = "wan2.1-t2v-14b",
    .summary = "Wan 2.1 text to video, 14 billion parameters, made for 1280x720",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_TRANSFORMER(40, 128, 13824, 40, 4096),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 50,
    .width = 1280,
    .height = 720,
    .frames = 81,
};
