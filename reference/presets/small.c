// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_small = {
    .name = "small",
    .summary = "the Wan 2.1 architecture at a size that a workstation runs in minutes",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 4, 64, 512, 4, 128),
    .transformer = WAN_TRANSFORMER(6, 128, 3072, 12, 256),
    .vae = WAN_VAE(32),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 30,
    .width = 416,
    .height = 240,
    .frames = 33,
};
