// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_1_flf2v_14b = {
    .name = "wan2.1-flf2v-14b",
    .summary = "Wan 2.1 from a first and a last image to the video between",
    .text = WAN_UMT5_XXL,
    .image = WAN_CLIP,
    .transformer = WAN_14B(36, 1280, 514),
    .vae = WAN_VAE(96),
    .shift = 16.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 50,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
};
