// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* stream.h   Walks through memory, for bandwidths: the same loops for every vector width. A file
 * that includes this sets STREAM_BYTES, the width of a register, and is named after the target whose
 * compiler flags it needs.
 *   read   every word of b is combined into the result
 *   copy   a[i] = b[i]
 *   triad  a[i] = b[i] + 0.5 c[i]
 * Plain stores: a line that is written is fetched first, which is not counted as moved. */
#ifndef PATCHMARK_STREAM_H
#define PATCHMARK_STREAM_H

#include "op.h"

enum stream_walk { WALK_READ = 0, WALK_COPY, WALK_TRIAD, WALK_COUNT };

/* `bytes` of each array, a multiple of STREAM_GRAIN, aligned to 64; the result must be used. */
#define STREAM_GRAIN 512
typedef uint64_t stream_fn(void *a, const void *b, const void *c, size_t bytes, int64_t passes);

struct stream_probe {
    const char *isa;
    uint64_t needs;             /* CPU_* */
    stream_fn *run[WALK_COUNT]; /* NULL where not compiled for this machine */
};

extern const struct stream_probe stream_c, stream_avx2, stream_avx512;

#ifdef STREAM_BYTES

typedef uint64_t words __attribute__((vector_size(STREAM_BYTES)));
typedef float floats __attribute__((vector_size(STREAM_BYTES)));

enum { AT_ONCE = STREAM_GRAIN / STREAM_BYTES < 8 ? STREAM_GRAIN / STREAM_BYTES : 8 };

/* The next pass may be through other memory, for all that the compiler knows. */
#define NEXT_PASS(pointer) __asm__ volatile("" : "+r"(pointer))

static uint64_t walk_read(void *a, const void *b, const void *c, size_t bytes, int64_t passes)
{
    const words *from = b;
    words sum[AT_ONCE] = {{0}};
    uint64_t result = 0;
    (void)a, (void)c;
    for (int64_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < bytes / STREAM_BYTES; i += AT_ONCE)
#pragma GCC unroll 8
            for (int k = 0; k < AT_ONCE; k++)
                sum[k] ^= from[i + (size_t)k];
        NEXT_PASS(from);
    }
    for (int k = 0; k < AT_ONCE; k++)
        for (size_t lane = 0; lane < STREAM_BYTES / 8; lane++)
            result ^= sum[k][lane];
    return result;
}

static uint64_t walk_copy(void *a, const void *b, const void *c, size_t bytes, int64_t passes)
{
    const words *from = b;
    words *to = a;
    (void)c;
    for (int64_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < bytes / STREAM_BYTES; i += AT_ONCE)
#pragma GCC unroll 8
            for (int k = 0; k < AT_ONCE; k++)
                to[i + (size_t)k] = from[i + (size_t)k];
        NEXT_PASS(to);
    }
    return to[0][0];
}

static uint64_t walk_triad(void *a, const void *b, const void *c, size_t bytes, int64_t passes)
{
    const floats *one = b, *two = c;
    floats *to = a;
    for (int64_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < bytes / STREAM_BYTES; i += AT_ONCE)
#pragma GCC unroll 8
            for (int k = 0; k < AT_ONCE; k++)
                to[i + (size_t)k] = one[i + (size_t)k] + 0.5f * two[i + (size_t)k];
        NEXT_PASS(to);
    }
    return (uint64_t)(to[0][0] > 0);
}

#endif
#endif
