// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tiny_wan.c   tiny with what the later Wan models have. */
#include "presets/wan.h"

const struct model_config preset_tiny_a14b = {
    .name = "tiny-a14b",
    .summary = "as wan2.2-t2v-a14b, small enough for a test on two cores",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 2, 64, 256, 2, 64),
    .transformer = WAN_TRANSFORMER(2, 128, 1024, 4, 128),
    .vae = WAN_VAE(8),
    .shift = 3.0,
    .guidance = 4.0,
    .fps = 16.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
    .boundary = 0.875,
    .guidance_low = 3.0,
};

const struct model_config preset_tiny_i2v = {
    .name = "tiny-i2v",
    .summary = "as wan2.1-i2v-14b, small enough for a test on two cores",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 2, 64, 256, 2, 64),
    .image = WAN_TINY_CLIP,
    .transformer = WAN_NETWORK(36, 16, 2, 128, 1024, 4, 128, 64, 0),
    .vae = WAN_VAE(8),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
    .image_input = IMAGE_CHANNELS,
};

const struct model_config preset_tiny_flf2v = {
    .name = "tiny-flf2v",
    .summary = "as wan2.1-flf2v-14b, small enough for a test on two cores",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 2, 64, 256, 2, 64),
    .image = WAN_TINY_CLIP,
    .transformer = WAN_NETWORK(36, 16, 2, 128, 1024, 4, 128, 64, 34),
    .vae = WAN_VAE(8),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
    .image_input = IMAGE_CHANNELS,
};

const struct model_config preset_tiny_ti2v = {
    .name = "tiny-ti2v",
    .summary = "as wan2.2-ti2v-5b, small enough for a test on two cores",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 2, 64, 256, 2, 64),
    .transformer = WAN_NETWORK(48, 48, 2, 128, 1024, 4, 128, 0, 0),
    .vae = WAN_2_2_VAE(8, 8),
    .shift = 5.0,
    .guidance = 5.0,
    .fps = 24.0,
    .steps = 20,
    .width = 128,
    .height = 64,
    .frames = 17,
    .image_input = IMAGE_FIRST_FRAME,
};
