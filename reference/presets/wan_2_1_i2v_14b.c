// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_1_i2v_14b_480p = {
    .name = "wan2.1-i2v-14b-480p",
    .summary = "Wan 2.1 image to video, made for 832x480",
    .text = WAN_UMT5_XXL,
    .image = WAN_CLIP,
    .transformer = WAN_14B(36, 1280, 0),
    .vae = WAN_VAE(96),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 40,
    .width = 832,
    .height = 480,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
};

const struct model_config preset_wan_2_1_i2v_14b_720p = {
    .name = "wan2.1-i2v-14b-720p",
    .summary = "Wan 2.1 image to video, made for 1280x720",
    .text = WAN_UMT5_XXL,
    .image = WAN_CLIP,
    .transformer = WAN_14B(36, 1280, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 40,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
};
