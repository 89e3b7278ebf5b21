// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#ifndef PATCHMARK_PRESETS_OPEN_SORA_H
#define PATCHMARK_PRESETS_OPEN_SORA_H

#include "model/model.h"

extern const struct model_config preset_open_sora_1_2, preset_open_sora_2_0;

#endif
