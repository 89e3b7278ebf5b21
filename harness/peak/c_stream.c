// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* c_stream.c   Walks through memory in registers of 16 bytes, which x86-64 and aarch64 all have. */
#define STREAM_BYTES 16
#include "peak/stream.h"

const struct stream_probe stream_c = {"c", 0, {walk_read, walk_copy, walk_triad}};
