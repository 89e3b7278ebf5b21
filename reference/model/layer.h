// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* layer.h   What the networks share: views of tensors, weights by name, and the layers that
 * are in all of them. Internal to reference/model. After a failure the owner of `ops` frees what a
 * stage still holds, so model code returns at once. */
#ifndef PATCHMARK_LAYER_H
#define PATCHMARK_LAYER_H

#include "op.h"

/* Rank and extents of a weight, as two arguments. */
#define DIMS(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }

/* Large enough for every tensor name of the published checkpoints. */
#define LAYER_NAME_MAX 128

/* The same tensor from element `first` on; works without data too. */
struct tensor layer_view(struct tensor t, int64_t first);

/* From row `index` on, a stride being a row. */
struct tensor layer_row(struct tensor t, int64_t index);

/* The weight named prefix + name; its stride is the last extent (a matrix: all but the first). */
enum status layer_load(struct ops *ops, const char *prefix, const char *name, enum weight_kind kind,
                       int gain, int rank, const int64_t *dim, struct tensor *out);

struct layer_linear {
    int64_t O, K;
    struct tensor w, bias;
};

/* prefix + name + ".weight" and, where `biased`, ".bias". Rank 2 is a linear layer [O][K]; 4 and 5
 * are 1x1 and 1x1x1 convolutions, whose checkpoint shape ends in ones. */
enum status layer_load_linear(struct ops *ops, const char *prefix, const char *name, int rank,
                              int64_t O, int64_t K, int gain, bool biased,
                              struct layer_linear *out);

/* y = x w^T + bias over S rows */
enum status layer_linear(struct ops *ops, const struct layer_linear *l, int64_t S, struct tensor x,
                         struct tensor y);
/* the same with an epilogue of linear.h; gate is one row; unused operands are NO_TENSOR */
enum status layer_linear_with(struct ops *ops, const struct layer_linear *l, int64_t S,
                              struct tensor x, int epilogue, struct tensor aux, struct tensor gate,
                              struct tensor y);
#define NO_TENSOR ((struct tensor){.elem = ELEM_NONE})

struct layer_norm {
    struct tensor weight, bias; /* [C] */
};

/* prefix + name + ".weight" and ".bias" */
enum status layer_load_norm(struct ops *ops, const char *prefix, const char *name, int64_t C,
                            struct layer_norm *out);

/* y = layer norm of S rows of x (f32), then weight and bias */
enum status layer_norm(struct ops *ops, int64_t S, int64_t C, double eps, struct tensor x,
                       const struct layer_norm *n, struct tensor y);

/* x = gelu(x) in the exact form, in place */
enum status layer_gelu_erf(struct ops *ops, int64_t S, int64_t C, struct tensor x);

/* o = softmax(q k^T / sqrt(D)) v of B clips, no bias: Sq queries, Sk keys, N heads of width D */
enum status layer_attend(struct ops *ops, int64_t B, int64_t N, int64_t D, int64_t Sq, int64_t Sk,
                         struct tensor q, struct tensor k, struct tensor v, struct tensor o);

/* y [1][C] = sines and cosines of a number; drop as in time_embed.h */
enum status layer_embed_number(struct ops *ops, double number, int64_t C, int64_t drop,
                               struct tensor y);

/* y = a, row by row */
enum status layer_copy(struct ops *ops, int64_t S, int64_t C, struct tensor a, struct tensor y);

/* cos and sin [S][pairs] f32, made here; `fill` makes them on the host, where all is 0 before. */
enum status layer_rotation(struct ops *ops, int64_t S, int64_t pairs,
                           void (*fill)(const void *user, float *cosine, float *sine),
                           const void *user, struct tensor *cosine, struct tensor *sine);

/* Zeroed host memory for put and get, or NULL where ops does not execute; free() it. */
enum status layer_host_alloc(struct ops *ops, int64_t count, size_t elem_bytes, void *out);

#endif
