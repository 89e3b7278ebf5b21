// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* bucket.h   Which problems one tuned choice serves: shapes that a kernel meets in the same way.
 *
 * A bucket is the op, every element type, and every dim of the shape line, taken so:
 *   K O C N D V F ...   exact: widths, heads, filters, strides, groups and kinds decide about tiles
 *   S Sq Sk B           by powers of two: how many rows there are
 *   T H W               their product by powers of two, as `voxels`
 *   P lead pad_* Ho Wo guided   left out: where rows come from, not how many products there are
 * As text: "linear:S=1024-2047,K=1536,O=1536,epilogue=gelu,type=bf16". Dims at their fallback are
 * left out as in a shape line. What holds for one shape of a bucket may not hold for another, so a
 * variant that refuses the shape at hand is passed over, and `tune --check` times shapes anew. */
#ifndef PATCHMARK_BUCKET_H
#define PATCHMARK_BUCKET_H

#include "ops/op_info.h"

#define BUCKET_BYTES 320

void bucket_print(const struct problem *problem, char *out, size_t bytes);

#endif
