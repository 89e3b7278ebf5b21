// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/cogvideox.h"

static const struct cogvideox_config own_2b = {
    .time_dim = 512,
    .position = COGVIDEOX_SINES,
    .interval = 1.875,
};

const struct model_config preset_cogvideox_2b = {
    .name = "cogvideox-2b",
    .summary = "CogVideoX text to video, 2 billion parameters: denoise only, no weights",
    .family = FAMILY_COGVIDEOX,
    .text = COGVIDEOX_TEXT_ROWS,
    .transformer = COGVIDEOX_TRANSFORMER(30, 30, 1),
    .vae = COGVIDEOX_LATENTS,
    .shift = 3.0,
    .guidance = 6.0,
    .fps = 8.0,
    .steps = 50,
    .width = 720,
    .height = 480,
    .frames = 49,
    .scheduler = SCHEDULER_DDIM_COGVIDEOX,
    .cogvideox = &own_2b,
};

static const struct cogvideox_config own_5b = {
    .time_dim = 512,
    .position = COGVIDEOX_FITTED,
    .trained_height = 60,
    .trained_width = 90,
};

const struct model_config preset_cogvideox_5b = {
    .name = "cogvideox-5b",
    .summary = "CogVideoX text to video, 5 billion parameters: denoise only, no weights",
    .family = FAMILY_COGVIDEOX,
    .text = COGVIDEOX_TEXT_ROWS,
    .transformer = COGVIDEOX_TRANSFORMER(48, 42, 1),
    .vae = COGVIDEOX_LATENTS,
    .shift = 1.0,
    .guidance = 6.0,
    .fps = 8.0,
    .steps = 50,
    .width = 720,
    .height = 480,
    .frames = 49,
    .scheduler = SCHEDULER_DDIM_COGVIDEOX,
    .cogvideox = &own_5b,
};

static const struct cogvideox_config own_1_5_5b = {
    .time_dim = 512,
    .position = COGVIDEOX_COUNTED,
};

/* Patches span two latent frames, so that 81 frames are padded to 85. */
const struct model_config preset_cogvideox_1_5_5b = {
    .name = "cogvideox-1.5-5b",
    .summary = "CogVideoX 1.5 text to video, 5 billion parameters: denoise only, no weights",
    .family = FAMILY_COGVIDEOX,
    .text = COGVIDEOX_TEXT_ROWS,
    .transformer = COGVIDEOX_TRANSFORMER(48, 42, 2),
    .vae = COGVIDEOX_LATENTS,
    .shift = 1.0,
    .guidance = 6.0,
    .fps = 16.0,
    .steps = 50,
    .width = 1360,
    .height = 768,
    .frames = 81,
    .scheduler = SCHEDULER_DDIM_COGVIDEOX,
    .cogvideox = &own_1_5_5b,
};
