// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/dit.h"

static const struct dit_config own = {
    .classes = 10,
    .sample = 16,
    .time_drop = 1,
    .shared_embedder = 1,
    .mlp_eps = 1e-5,
};

const struct model_config preset_tiny_dit = {
    .name = "tiny-dit",
    .summary = "the DiT architecture, small enough for a test on two cores",
    .family = FAMILY_DIT,
    .transformer = DIT_TRANSFORMER(4, 72, 4, 2),
    .vae = DIT_LATENTS,
    .guidance = 4.0,
    .fps = 1.0,
    .steps = 20,
    .width = 128,
    .height = 128,
    .frames = 1,
    .scheduler = SCHEDULER_DDIM,
    .dit = &own,
};
