// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/weights.h"

#include <math.h>
#include <string.h>

#include "random.h"

#define OUTLIER_ONE_IN 64
#define OUTLIER_GAIN 5 /* 2^5 times larger */
#define OUTLIER_QK_GAIN 2

static int64_t product(const struct weight_spec *spec, int from)
{
    int64_t p = 1;
    for (int i = from; i < spec->rank; i++)
        p *= spec->dim[i];
    return p;
}

static bool is_outlier(struct random_stream stream, int64_t channel)
{
    return random_bits(stream, (uint64_t)channel) % OUTLIER_ONE_IN == 0;
}

/* The power of two that takes back what the outlier channels add to the variance of the output. */
static int outlier_compensation(struct random_stream stream, int64_t channels)
{
    int64_t outliers = 0;
    for (int64_t c = 0; c < channels; c++)
        outliers += is_outlier(stream, c);
    const double large = ldexp(1.0, 2 * OUTLIER_GAIN) - 1.0;
    return (int)lround(-0.5 * log2(1.0 + large * (double)outliers / (double)channels));
}

static bool ends_with(const char *name, const char *tail)
{
    const size_t n = strlen(name), m = strlen(tail);
    return n >= m && strcmp(name + n - m, tail) == 0;
}

/* Norms of queries and keys, those of a second stream and of an image among them. */
static bool peaks_attention(const char *name)
{
    static const char *const tails[] = {"norm_q.weight", "norm_k.weight", "norm_added_q.weight",
                                        "norm_added_k.weight"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_with(name, tails[i]))
            return true;
    return false;
}

static int exponent_of(const struct weight_spec *spec, enum fill fill)
{
    const bool peaked = fill == FILL_OUTLIER && peaks_attention(spec->name);
    switch (spec->kind) {
    case WEIGHT_MATRIX: return spec->gain + (int)lround(0.5 * log2(3.0 / (double)product(spec, 1)));
    case WEIGHT_BIAS: return spec->gain - 3;
    case WEIGHT_GAIN: return spec->gain + (peaked ? OUTLIER_QK_GAIN : 0);
    default: return spec->gain;
    }
}

void weights_synthetic(uint64_t seed, enum fill fill, const struct weight_spec *spec, int64_t first,
                       int64_t count, float *out)
{
    const struct random_stream stream = random_stream_of(seed, spec->name);
    const float scale = ldexpf(1.0f, exponent_of(spec, fill));
    for (int64_t i = 0; i < count; i++) {
        const float u = random_uniform(stream, (uint64_t)(first + i));
        out[i] = scale * (spec->kind == WEIGHT_GAIN ? 1.0f + u / 8.0f : u);
    }
    if (fill != FILL_OUTLIER || spec->kind != WEIGHT_MATRIX)
        return;
    const struct random_stream channels = random_stream_of(seed, "outlier");
    const int64_t taps = product(spec, 2);
    const float rest = ldexpf(1.0f, outlier_compensation(channels, spec->dim[1]));
    const float large = ldexpf(rest, OUTLIER_GAIN);
    for (int64_t i = 0; i < count; i++)
        out[i] *= is_outlier(channels, (first + i) / taps % spec->dim[1]) ? large : rest;
}
