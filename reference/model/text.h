// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* text.h   The UMT5 encoder: token numbers in, one row of features per token out.
 * Pre-norm blocks without any bias: x += O attention(RMS(x)), x += Wo(gelu(Wi0 u) * (Wi1 u)) with
 * u = RMS(x). Attention is not scaled; each block adds its own table of relative positions. */
#ifndef PATCHMARK_TEXT_H
#define PATCHMARK_TEXT_H

#include "model/layer.h"
#include "model/model.h"

struct text_block {
    struct layer_linear q, k, v, o;
    struct layer_linear gate, up, down;
    struct tensor attention_norm, mlp_norm;
    struct tensor positions; /* [buckets][N] */
};

struct text {
    struct ops *ops;
    const struct text_config *config;
    struct tensor embedding, final_norm;
    struct text_block *block;
};

/* Asks for every weight. text_free() gives back host memory only: tensors end with their stage. */
enum status text_load(struct ops *ops, const struct text_config *config, struct text *out);
void text_free(struct text *text);

/* Encodes `rows` tokens into out [rows][C] on the host (NULL unless executing). Only real tokens
 * run: the published encoder masks the padding, so its rows cannot reach these. */
enum status text_encode(struct text *text, const int32_t *ids, int64_t rows, float *out);

/* Bucket of the key at distance j - i = `offset` from the query. */
int64_t text_bucket(const struct text_config *config, int64_t offset);

#endif
