// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* hunyuan.h   The HunyuanVideo geometries: transformers alone. Of the text encoders there is how
 * many rows of which width the network takes, of the autoencoders the latent grid. */
#ifndef PATCHMARK_PRESETS_HUNYUAN_H
#define PATCHMARK_PRESETS_HUNYUAN_H

#include "model/hunyuan.h"

extern const struct model_config preset_tiny_hunyuanvideo;
extern const struct model_config preset_hunyuanvideo, preset_hunyuanvideo_1_5;

#endif
