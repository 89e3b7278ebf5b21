// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_2_t2v_a14b = {
    .name = "wan2.2-t2v-a14b",
    .summary = "Wan 2.2 text to video, one expert for much noise and one for little",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_14B(16, 0, 0),
    .vae = WAN_VAE(96),
    .shift = 12.0,
    .guidance = 4.0,
    .fps = 16.0,
    .steps = 40,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .boundary = 0.875,
    .guidance_low = 3.0,
};

const struct model_config preset_wan_2_2_i2v_a14b = {
    .name = "wan2.2-i2v-a14b",
    .summary = "Wan 2.2 image to video, one expert for much noise and one for little",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_14B(36, 0, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 3.5,
    .fps = 16.0,
    .steps = 40,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
    .boundary = 0.9,
    .guidance_low = 3.5,
};
