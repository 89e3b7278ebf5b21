// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wan_4step.c   The forms that need few steps and no guidance: the same networks, one forward a step,
 * so that decoding counts. Shift as the published distillations have it. */
#include "presets/wan.h"

const struct model_config preset_wan_2_1_t2v_1_3b_4step = {
    .name = "wan2.1-t2v-1.3b-4step",
    .summary = "wan2.1-t2v-1.3b in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_TRANSFORMER(12, 128, 8960, 30, 4096),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 16.0,
    .steps = 4,
    .width = 832,
    .height = 480,
    .frames = 81,
    .few_steps = true,
};

const struct model_config preset_wan_2_1_t2v_14b_4step = {
    .name = "wan2.1-t2v-14b-4step",
    .summary = "wan2.1-t2v-14b in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_14B(16, 0, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 16.0,
    .steps = 4,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .few_steps = true,
};

const struct model_config preset_wan_2_1_i2v_14b_4step = {
    .name = "wan2.1-i2v-14b-4step",
    .summary = "wan2.1-i2v-14b-720p in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .image = WAN_CLIP,
    .transformer = WAN_14B(36, 1280, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 16.0,
    .steps = 4,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
    .few_steps = true,
};

const struct model_config preset_wan_2_2_ti2v_5b_4step = {
    .name = "wan2.2-ti2v-5b-4step",
    .summary = "wan2.2-ti2v-5b in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_5B,
    .vae = WAN_2_2_VAE(160, 256),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 24.0,
    .steps = 4,
    .width = 1280,
    .height = 704,
    .frames = 121,
    .image_input = IMAGE_FIRST_FRAME,
    .few_steps = true,
};

const struct model_config preset_wan_2_2_t2v_a14b_4step = {
    .name = "wan2.2-t2v-a14b-4step",
    .summary = "wan2.2-t2v-a14b in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_14B(16, 0, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 16.0,
    .steps = 4,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .boundary = 0.875,
    .few_steps = true,
};

const struct model_config preset_wan_2_2_i2v_a14b_4step = {
    .name = "wan2.2-i2v-a14b-4step",
    .summary = "wan2.2-i2v-a14b in 4 steps without guidance",
    .text = WAN_UMT5_XXL,
    .transformer = WAN_14B(36, 0, 0),
    .vae = WAN_VAE(96),
    .shift = 5.0,
    .guidance = 1.0,
    .fps = 16.0,
    .steps = 4,
    .width = 1280,
    .height = 720,
    .frames = 81,
    .image_input = IMAGE_CHANNELS,
    .boundary = 0.9,
    .few_steps = true,
};
