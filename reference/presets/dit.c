// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/dit.h"

const struct dit_config dit_256 = DIT_CONFIG(256);
const struct dit_config dit_512 = DIT_CONFIG(512);

#define PRESET(size_, heads_, head_width, layers_, patch_, side)                                   \
    const struct model_config preset_dit_##size_##_##patch_##_##side = {                           \
        .name = "dit-" #size_ "-" #patch_ "-" #side,                                               \
        .summary = "DiT, class to picture, patch " #patch_ ", made for " #side "x" #side,          \
        .family = FAMILY_DIT,                                                                      \
        .transformer = DIT_TRANSFORMER(heads_, head_width, layers_, patch_),                       \
        .vae = DIT_LATENTS,                                                                        \
        .guidance = 4.0,                                                                           \
        .fps = 1.0,                                                                                \
        .steps = 50,                                                                               \
        .width = side,                                                                             \
        .height = side,                                                                            \
        .frames = 1,                                                                               \
        .scheduler = SCHEDULER_DDIM,                                                               \
        .dit = &dit_##side,                                                                        \
    }

PRESET(s, 6, 64, 12, 2, 256);
PRESET(s, 6, 64, 12, 4, 256);
PRESET(s, 6, 64, 12, 8, 256);
PRESET(b, 12, 64, 12, 2, 256);
PRESET(b, 12, 64, 12, 4, 256);
PRESET(b, 12, 64, 12, 8, 256);
PRESET(l, 16, 64, 24, 2, 256);
PRESET(l, 16, 64, 24, 4, 256);
PRESET(l, 16, 64, 24, 8, 256);
PRESET(xl, 16, 72, 28, 2, 256);
PRESET(xl, 16, 72, 28, 4, 256);
PRESET(xl, 16, 72, 28, 8, 256);
PRESET(xl, 16, 72, 28, 2, 512);
