// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention/attention/attention.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"
#include "denoise/time_embed/time_embed.h"
#include "elem.h"

struct tensor layer_view(struct tensor t, int64_t first)
{
    if (t.data)
        t.data = (char *)t.data + (size_t)first * elem_bytes(t.elem);
    return t;
}

struct tensor layer_row(struct tensor t, int64_t index) { return layer_view(t, index * t.stride); }

enum status layer_load(struct ops *ops, const char *prefix, const char *name, enum weight_kind kind,
                       int gain, int rank, const int64_t *dim, struct tensor *out)
{
    char full[2 * LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    struct weight_spec spec = {.name = full, .kind = kind, .gain = gain, .rank = rank};
    memcpy(spec.dim, dim, (size_t)rank * sizeof *dim);
    TRY(ops->weight(ops, out, &spec));
    out->stride = dim[rank - 1];
    if (kind == WEIGHT_MATRIX)
        for (int i = 1; i < rank - 1; i++)
            out->stride *= dim[i];
    return ST_OK;
}

enum status layer_load_linear(struct ops *ops, const char *prefix, const char *name, int rank,
                              int64_t O, int64_t K, int gain, bool biased, struct layer_linear *out)
{
    char full[LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    *out = (struct layer_linear){.O = O, .K = K, .bias = NO_TENSOR};
    const int64_t dim[WEIGHT_RANK_MAX] = {O, K, 1, 1, 1};
    TRY(layer_load(ops, full, ".weight", WEIGHT_MATRIX, gain, rank, dim, &out->w));
    if (biased)
        TRY(layer_load(ops, full, ".bias", WEIGHT_BIAS, 0, DIMS(O), &out->bias));
    return ST_OK;
}

enum status layer_linear(struct ops *ops, const struct layer_linear *l, int64_t S, struct tensor x,
                         struct tensor y)
{
    return layer_linear_with(ops, l, S, x, EPI_NONE, NO_TENSOR, NO_TENSOR, y);
}

enum status layer_linear_with(struct ops *ops, const struct layer_linear *l, int64_t S,
                              struct tensor x, int epilogue, struct tensor aux, struct tensor gate,
                              struct tensor y)
{
    const struct linear_problem p = {.S = S,
                                     .K = l->K,
                                     .O = l->O,
                                     .G = 1,
                                     .epilogue = epilogue,
                                     .x = x,
                                     .w = l->w,
                                     .bias = l->bias,
                                     .gate = gate,
                                     .aux = aux,
                                     .y = y};
    return ops->linear(ops, &p);
}

enum status layer_load_norm(struct ops *ops, const char *prefix, const char *name, int64_t C,
                            struct layer_norm *out)
{
    char full[LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    TRY(layer_load(ops, full, ".weight", WEIGHT_GAIN, 0, DIMS(C), &out->weight));
    return layer_load(ops, full, ".bias", WEIGHT_BIAS, 0, DIMS(C), &out->bias);
}

enum status layer_norm(struct ops *ops, int64_t S, int64_t C, double eps, struct tensor x,
                       const struct layer_norm *n, struct tensor y)
{
    const struct modulate_problem p = {.S = S,
                                       .C = C,
                                       .G = 1,
                                       .norm = MODULATE_LAYER,
                                       .form = MODULATE_AFFINE,
                                       .eps = eps,
                                       .x = x,
                                       .scale = n->weight,
                                       .shift = n->bias,
                                       .y = y};
    return ops->modulate(ops, &p);
}

enum status layer_gelu_erf(struct ops *ops, int64_t S, int64_t C, struct tensor x)
{
    const struct elementwise_problem p = {
        .S = S, .C = C, .G = 1, .kind = ELEMENTWISE_GELU_ERF, .a = x, .y = x};
    return ops->elementwise(ops, &p);
}

enum status layer_attend(struct ops *ops, int64_t B, int64_t N, int64_t D, int64_t Sq, int64_t Sk,
                         struct tensor q, struct tensor k, struct tensor v, struct tensor o)
{
    const struct attention_problem p = {.B = B,
                                        .Sq = Sq,
                                        .Sk = Sk,
                                        .N = N,
                                        .D = D,
                                        .scale = 1.0 / sqrt((double)D),
                                        .q = q,
                                        .k = k,
                                        .v = v,
                                        .bias = NO_TENSOR,
                                        .o = o};
    return ops->attention(ops, &p);
}

enum status layer_embed_number(struct ops *ops, double number, int64_t C, int64_t drop,
                               struct tensor y)
{
    const float host = (float)number;
    struct tensor t;
    TRY(ops->alloc(ops, &t, ELEM_F32, 1, 1, "time.number"));
    TRY(ops->put(ops, &t, &host, 1, 1));
    const struct time_embed_problem p = {.S = 1, .C = C, .drop = drop, .t = t, .y = y};
    TRY(ops->time_embed(ops, &p));
    ops->release(ops, &t);
    return ST_OK;
}

enum status layer_copy(struct ops *ops, int64_t S, int64_t C, struct tensor a, struct tensor y)
{
    const struct elementwise_problem p = {
        .S = S, .C = C, .G = 1, .kind = ELEMENTWISE_COPY, .a = a, .y = y};
    return ops->elementwise(ops, &p);
}

enum status layer_host_alloc(struct ops *ops, int64_t count, size_t bytes_each, void *out)
{
    void *memory = NULL;
    if (ops->mode == MODE_EXECUTE && !(memory = calloc((size_t)count, bytes_each)))
        return fault_set(ops->fault, ST_NO_MEMORY,
                         "no memory: %.1f MiB of host memory were asked for",
                         (double)count * (double)bytes_each / 1048576.0);
    memcpy(out, &memory, sizeof memory);
    return ST_OK;
}

enum status layer_rotation(struct ops *ops, int64_t S, int64_t pairs,
                           void (*fill)(const void *user, float *cosine, float *sine),
                           const void *user, struct tensor *cosine, struct tensor *sine)
{
    float *host[2] = {NULL, NULL};
    TRY(ops->alloc(ops, cosine, ELEM_F32, S, pairs, "rope.cos"));
    TRY(ops->alloc(ops, sine, ELEM_F32, S, pairs, "rope.sin"));
    enum status status = layer_host_alloc(ops, S * pairs, sizeof *host[0], &host[0]);
    if (status == ST_OK)
        status = layer_host_alloc(ops, S * pairs, sizeof *host[1], &host[1]);
    if (status == ST_OK && host[1])
        fill(user, host[0], host[1]);
    if (status == ST_OK)
        status = ops->put(ops, cosine, host[0], S, pairs);
    if (status == ST_OK)
        status = ops->put(ops, sine, host[1], S, pairs);
    free(host[1]);
    free(host[0]);
    return status;
}
