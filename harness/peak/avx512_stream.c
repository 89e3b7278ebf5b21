// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx512_stream.c   Walks through memory in registers of 64 bytes. */
#ifdef __AVX512F__
#define STREAM_BYTES 64
#endif
#include "peak/stream.h"

#ifdef STREAM_BYTES
const struct stream_probe stream_avx512 = {
    "avx512", CPU_AVX512, {walk_read, walk_copy, walk_triad}};
#else
const struct stream_probe stream_avx512 = {"avx512", CPU_AVX512, {NULL, NULL, NULL}};
#endif
