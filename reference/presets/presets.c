// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/dit.h"
#include "presets/hunyuan.h"
#include "presets/wan.h"

const struct model_config *const model_presets[] = {
    &preset_tiny,
    &preset_small,
    &preset_wan_2_1_t2v_1_3b,
    &preset_wan_2_1_t2v_14b,
    &preset_hunyuanvideo,
    &preset_hunyuanvideo_1_5,
    &preset_tiny_dit,
    DIT_PRESETS,
    NULL,
};
