// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/ltx.h"

static const struct ltx_config ltx_video_13b = {.pixel_frames = 1};

const struct model_config preset_ltx_video_13b = {
    .name = "ltx-video-13b",
    .summary = "LTX-Video 0.9.7, 13 billion parameters: denoise only, no weights",
    .family = FAMILY_LTX,
    .text = LTX_TEXT(4096, 256),
    .transformer = LTX_TRANSFORMER(32, 128, 48, 4096),
    .vae = LTX_VAE,
    .shift = 1.0,
    .guidance = 3.0,
    .fps = 25.0,
    .steps = 50,
    .width = 704,
    .height = 512,
    .frames = 161,
    .scheduler = SCHEDULER_EULER_QUADRATIC,
    .ltx = &ltx_video_13b,
};
