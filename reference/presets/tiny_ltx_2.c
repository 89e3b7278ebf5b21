// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/ltx.h"

static const struct ltx_2_config tiny_ltx_2 = {
    .audio_channels = 128,
    .audio_N = 4,
    .audio_D = 16,
    .audio_F = 256,
    .sample_rate = 16000,
    .hop = 160,
    .scale = 4,
    .gate_time = 1.0,
};

const struct model_config preset_tiny_ltx_2 = {
    .name = "tiny-ltx-2",
    .summary = "the LTX-2 architecture, small enough for a test on two cores",
    .family = FAMILY_LTX_2,
    .text = LTX_TEXT(2 * 64, 32),
    .transformer = LTX_TRANSFORMER(4, 32, 2, 64),
    .vae = LTX_VAE,
    .guidance = 4.0,
    .fps = 24.0,
    .steps = 20,
    .width = 256,
    .height = 160,
    .frames = 33,
    .scheduler = SCHEDULER_EULER_TERMINAL,
    .ltx_2 = &tiny_ltx_2,
};
