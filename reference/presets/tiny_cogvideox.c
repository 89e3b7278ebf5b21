// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/cogvideox.h"

static const struct cogvideox_config own = {
    .time_dim = 128,
    .position = COGVIDEOX_COUNTED,
};

const struct model_config preset_tiny_cogvideox = {
    .name = "tiny-cogvideox",
    .summary = "the CogVideoX 1.5 architecture, small enough for a test: denoise only, no weights",
    .family = FAMILY_COGVIDEOX,
    .text = {.C = 128, .rows = 64},
    .transformer = {.in_channels = 16,
                    .out_channels = 16,
                    .pt = 2,
                    .ph = 2,
                    .pw = 2,
                    .layers = 3,
                    .N = 4,
                    .D = 64,
                    .F = 1024,
                    .text_dim = 128,
                    .eps = 1e-5},
    .vae = COGVIDEOX_LATENTS,
    .shift = 1.0,
    .guidance = 6.0,
    .fps = 16.0,
    .steps = 20,
    .width = 128,
    .height = 72,
    .frames = 17,
    .scheduler = SCHEDULER_DDIM_COGVIDEOX,
    .cogvideox = &own,
};
