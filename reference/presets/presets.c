// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "presets/cogvideox.h"
#include "presets/dit.h"
#include "presets/hunyuan.h"
#include "presets/open_sora.h"
#include "presets/ltx.h"
#include "presets/wan.h"

const struct model_config *const model_presets[] = {
    &preset_tiny,
    &preset_tiny_a14b,
    &preset_tiny_i2v,
    &preset_tiny_flf2v,
    &preset_tiny_ti2v,
    &preset_tiny_dit,
    &preset_tiny_hunyuanvideo,
    &preset_tiny_cogvideox,
    &preset_tiny_ltx_2,
    &preset_small,
    &preset_wan_2_1_t2v_1_3b,
    &preset_wan_2_1_t2v_1_3b_4step,
    &preset_wan_2_1_t2v_14b,
    &preset_wan_2_1_t2v_14b_4step,
    &preset_wan_2_1_i2v_14b_480p,
    &preset_wan_2_1_i2v_14b_720p,
    &preset_wan_2_1_i2v_14b_4step,
    &preset_wan_2_1_flf2v_14b,
    &preset_wan_2_2_ti2v_5b,
    &preset_wan_2_2_ti2v_5b_4step,
    &preset_wan_2_2_t2v_a14b,
    &preset_wan_2_2_t2v_a14b_4step,
    &preset_wan_2_2_i2v_a14b,
    &preset_wan_2_2_i2v_a14b_4step,
    DIT_PRESETS,
    &preset_hunyuanvideo,
    &preset_hunyuanvideo_1_5,
    &preset_cogvideox_2b,
    &preset_cogvideox_5b,
    &preset_cogvideox_1_5_5b,
    &preset_ltx_video_2b,
    &preset_ltx_video_13b,
    &preset_ltx_2_19b,
    &preset_open_sora_1_2,
    &preset_open_sora_2_0,
    NULL,
};
