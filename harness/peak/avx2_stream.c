// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* avx2_stream.c   Walks through memory in registers of 32 bytes. */
#ifdef __AVX2__
#define STREAM_BYTES 32
#endif
#include "peak/stream.h"

#ifdef STREAM_BYTES
const struct stream_probe stream_avx2 = {"avx2", CPU_AVX2, {walk_read, walk_copy, walk_triad}};
#else
const struct stream_probe stream_avx2 = {"avx2", CPU_AVX2, {NULL, NULL, NULL}};
#endif
