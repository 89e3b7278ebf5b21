// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/ltx.h"

static const struct ltx_config ltx_video_2b = {.pixel_frames = 0};

const struct model_config preset_ltx_video_2b = {
    .name = "ltx-video-2b",
    .summary = "LTX-Video 0.9, 2 billion parameters: denoise only, no weights",
    .family = FAMILY_LTX,
    .text = LTX_TEXT(4096, 128),
    .transformer = LTX_TRANSFORMER(32, 64, 28, 4096),
    .vae = LTX_VAE,
    .guidance = 3.0,
    .fps = 25.0,
    .steps = 50,
    .width = 704,
    .height = 512,
    .frames = 161,
    .scheduler = SCHEDULER_EULER_TERMINAL,
    .ltx = &ltx_video_2b,
};
