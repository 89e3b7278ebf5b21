// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* mini.h   The geometry of the golden tensors, the same as in tests/golden/make_goldens.py. */
#ifndef PATCHMARK_MINI_H
#define PATCHMARK_MINI_H

#include "model/model.h"

#define MINI_SEED 7

extern const struct model_config mini;

/* scale * u for u of stream `name`, as the golden script draws its inputs; free() it. */
float *mini_uniform(const char *name, int64_t count, float scale);

/* ||got - want|| / ||want|| */
double mini_relative_l2(const float *got, const float *want, int64_t count);

#endif
