// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/ltx.h"

static const struct ltx_2_config ltx_2_19b = {
    .audio_channels = 128,
    .audio_N = 32,
    .audio_D = 64,
    .audio_F = 8192,
    .sample_rate = 16000,
    .hop = 160,
    .scale = 4,
    .gate_time = 1.0,
};

/* A text row is 3840 values for the video beside as many for the sound. */
const struct model_config preset_ltx_2_19b = {
    .name = "ltx-2-19b",
    .summary = "LTX-2, video and sound, 19 billion parameters: denoise only, no weights",
    .family = FAMILY_LTX_2,
    .text = LTX_TEXT(2 * 3840, 1024),
    .transformer = LTX_TRANSFORMER(32, 128, 48, 3840),
    .vae = LTX_VAE,
    .guidance = 4.0,
    .fps = 24.0,
    .steps = 40,
    .width = 768,
    .height = 512,
    .frames = 121,
    .scheduler = SCHEDULER_EULER_TERMINAL,
    .ltx_2 = &ltx_2_19b,
};
