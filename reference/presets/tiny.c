// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/wan.h"

const struct model_config preset_tiny = {
    .name = "tiny",
    .summary = "the Wan 2.1 architecture, small enough for a test on two cores",
    .text = WAN_TEXT(WAN_BYTE_VOCAB, 2, 64, 256, 2, 64),
    .transformer = WAN_TRANSFORMER(2, 128, 1024, 4, 128),
    .vae = WAN_VAE(8),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
};
