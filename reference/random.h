// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* random.h   One counter-based generator: (seed, stream, index) -> value, any index alone.
 *   bits    = mix(mix(seed ^ hash(stream)) + index * 0x9e3779b97f4a7c15), mix = the finaliser of
 *             splitmix64, hash = FNV-1a 64 of the stream's name
 *   uniform = top 24 bits / 2^23 - 1, in [-1, 1), exact in f32
 *   normal  = Box-Muller in double from the bits at 2 index and 2 index + 1 */
#ifndef PATCHMARK_RANDOM_H
#define PATCHMARK_RANDOM_H

#include <stdint.h>

struct random_stream {
    uint64_t key;
};

struct random_stream random_stream_of(uint64_t seed, const char *name);
uint64_t random_bits(struct random_stream stream, uint64_t index);
float random_uniform(struct random_stream stream, uint64_t index);
double random_normal(struct random_stream stream, uint64_t index);

#endif
