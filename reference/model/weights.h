// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* weights.h   Synthetic weights: a value for any element of any named tensor.
 *   normal   u * 2^e as the spec's kind and gain say (op.h), u = random_uniform(stream of the name)
 *   outlier  the same with input channels c (the second axis) where random_bits("outlier", c) % 64
 *            is 0 of every WEIGHT_MATRIX 32 times larger, then the whole tensor times the power of
 *            two nearest to 1 / sqrt(1 + 1023 outliers / channels), so that the output keeps its
 *            variance; the gains of q/k norms (names ending in norm_q.weight, norm_k.weight) are 4
 *            times larger: peaked attention. Powers of two only, so still exact.
 * The name is the checkpoint's tensor name, for the second expert behind "transformer_2." and for
 * the image encoder behind "image_encoder.", where those of other components begin anew. */
#ifndef PATCHMARK_WEIGHTS_H
#define PATCHMARK_WEIGHTS_H

#include "op.h"

enum fill { FILL_NORMAL = 0, FILL_OUTLIER };

/* Writes elements first .. first + count - 1 of the tensor as f32. */
void weights_synthetic(uint64_t seed, enum fill fill, const struct weight_spec *spec, int64_t first,
                       int64_t count, float *out);

#endif
