// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_wan_2_2_ti2v_5b = {
    .name = "wan2.2-ti2v-5b",
    .summary = "Wan 2.2 text or image to video, 5 billion parameters, made for 1280x704",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_5B,
    .vae = WAN_2_2_VAE(160, 256),
    .shift = 5.0,
    .guidance = 5.0,
    .fps = 24.0,
    .steps = 50,
    .width = 1280,
    .height = 704,
    .frames = 121,
    .image_input = IMAGE_FIRST_FRAME,
};
