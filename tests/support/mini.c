// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "support/mini.h"

#include <math.h>
#include <stdlib.h>

#include "presets/wan.h"
#include "random.h"

const struct model_config mini = {
    .name = "mini",
    .summary = "for tests",
    .text = WAN_TEXT(384, 2, 16, 96, 2, 24),
    .transformer = WAN_TRANSFORMER(3, 16, 112, 2, 32),
    .vae = WAN_VAE(4),
    .shift = 3.0,
    .guidance = 5.0,
    .fps = 16.0,
    .steps = 4,
    .width = 48,
    .height = 32,
    .frames = 9,
};

float *mini_uniform(const char *name, int64_t count, float scale)
{
    const struct random_stream stream = random_stream_of(MINI_SEED, name);
    float *out = malloc((size_t)count * sizeof *out);
    if (!out)
        abort();
    for (int64_t i = 0; i < count; i++)
        out[i] = scale * random_uniform(stream, (uint64_t)i);
    return out;
}

double mini_relative_l2(const float *got, const float *want, int64_t count)
{
    double error = 0.0, size = 0.0;
    for (int64_t i = 0; i < count; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    return sqrt(error / size);
}
