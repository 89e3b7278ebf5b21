// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* random.c   The generator of random.h; its values are part of every result and never change. */
#include "random.h"

#include <math.h>

/* Finaliser of splitmix64 (Steele, Lea, Flood 2014; variant 13 of Stafford's mixers). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t fnv1a(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

struct random_stream random_stream_of(uint64_t seed, const char *name)
{
    return (struct random_stream){mix(seed ^ fnv1a(name))};
}

uint64_t random_bits(struct random_stream stream, uint64_t index)
{
    return mix(stream.key + index * UINT64_C(0x9e3779b97f4a7c15));
}

float random_uniform(struct random_stream stream, uint64_t index)
{
    return (float)(random_bits(stream, index) >> 40) * 0x1p-23f - 1;
}

double random_normal(struct random_stream stream, uint64_t index)
{
    const double tau = 6.283185307179586;
    double u = (double)((random_bits(stream, 2 * index) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)(random_bits(stream, 2 * index + 1) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(tau * v);
}
