// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/image.h"

#include <stdlib.h>

#include "attention/patchify/patchify.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"

#define CHANNELS 3
#define ROOT "vision_model."

int64_t image_rows(const struct image_config *c)
{
    return 1 + (c->size / c->patch) * (c->size / c->patch);
}

/* ---- weights --------------------------------------------------------------------------------- */

static enum status load_block(struct image *m, int64_t index, struct image_block *b)
{
    struct ops *ops = m->ops;
    const int64_t C = m->C, F = m->config->F;
    char prefix[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, ROOT "encoder.layers.%d.", (int)index);
    TRY(layer_load_norm(ops, prefix, "layer_norm1", C, &b->norm_1));
    TRY(layer_load_linear(ops, prefix, "self_attn.q_proj", 2, C, C, 0, true, &b->q));
    TRY(layer_load_linear(ops, prefix, "self_attn.k_proj", 2, C, C, 0, true, &b->k));
    TRY(layer_load_linear(ops, prefix, "self_attn.v_proj", 2, C, C, 0, true, &b->v));
    TRY(layer_load_linear(ops, prefix, "self_attn.out_proj", 2, C, C, 0, true, &b->o));
    TRY(layer_load_norm(ops, prefix, "layer_norm2", C, &b->norm_2));
    TRY(layer_load_linear(ops, prefix, "mlp.fc1", 2, F, C, 0, true, &b->up));
    return layer_load_linear(ops, prefix, "mlp.fc2", 2, C, F, 0, true, &b->down);
}

static enum status load_embeddings(struct image *m)
{
    const struct image_config *c = m->config;
    const char *prefix = ROOT "embeddings.";
    m->patch =
        (struct layer_linear){.O = m->C, .K = CHANNELS * c->patch * c->patch, .bias = NO_TENSOR};
    TRY(layer_load(m->ops, prefix, "class_embedding", WEIGHT_TABLE, 0, DIMS(m->C), &m->first));
    TRY(layer_load(m->ops, prefix, "patch_embedding.weight", WEIGHT_MATRIX, 0,
                   DIMS(m->C, CHANNELS, c->patch, c->patch), &m->patch.w));
    TRY(layer_load(m->ops, prefix, "position_embedding.weight", WEIGHT_TABLE, 0,
                   DIMS(image_rows(c), m->C), &m->position));
    return layer_load_norm(m->ops, ROOT, "pre_layrnorm", m->C, &m->norm);
}

enum status image_load(struct ops *ops, const struct image_config *config, struct image *out)
{
    *out = (struct image){.ops = ops, .config = config, .C = config->N * config->D};
    out->block = calloc((size_t)config->layers, sizeof *out->block);
    if (!out->block)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the image encoder's layers");
    TRY(load_embeddings(out));
    for (int64_t i = 0; i < config->layers - 1; i++)
        TRY(load_block(out, i, &out->block[i]));
    return ST_OK;
}

void image_free(struct image *image)
{
    free(image->block);
    image->block = NULL;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* x = norm([class row; patches] + positions) */
static enum status embed(struct image *m, const float *pixels, struct tensor x)
{
    struct ops *ops = m->ops;
    const struct image_config *c = m->config;
    const int64_t rows = image_rows(c);
    struct tensor raw, patches;
    TRY(ops->alloc(ops, &raw, ELEM_F32, c->size * c->size, CHANNELS, "image.pixels"));
    TRY(ops->alloc(ops, &patches, ops->type, rows - 1, m->patch.K, "image.patches"));
    TRY(ops->put(ops, &raw, pixels, c->size * c->size, CHANNELS));
    const struct patchify_problem cut = {.B = 1,
                                         .T = 1,
                                         .H = c->size,
                                         .W = c->size,
                                         .C = CHANNELS,
                                         .pt = 1,
                                         .ph = c->patch,
                                         .pw = c->patch,
                                         .x = raw,
                                         .y = patches};
    TRY(ops->patchify(ops, &cut));
    TRY(layer_copy(ops, 1, m->C, m->first, x));
    TRY(layer_linear(ops, &m->patch, rows - 1, patches, layer_view(x, m->C)));
    const struct elementwise_problem add = {
        .S = rows, .C = m->C, .G = rows, .kind = ELEMENTWISE_ADD, .a = x, .b = m->position, .y = x};
    TRY(ops->elementwise(ops, &add));
    TRY(layer_norm(ops, rows, m->C, c->eps, x, &m->norm, x));
    ops->release(ops, &patches);
    ops->release(ops, &raw);
    return ST_OK;
}

static enum status run_attention(struct image *m, const struct image_block *b, struct tensor x,
                                 struct tensor u)
{
    struct ops *ops = m->ops;
    const struct image_config *c = m->config;
    const int64_t rows = image_rows(c);
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, rows, m->C, "image.q"));
    TRY(ops->alloc(ops, &k, ops->type, rows, m->C, "image.k"));
    TRY(ops->alloc(ops, &v, ops->type, rows, m->C, "image.v"));
    TRY(layer_norm(ops, rows, m->C, c->eps, x, &b->norm_1, u));
    TRY(layer_linear(ops, &b->q, rows, u, q));
    TRY(layer_linear(ops, &b->k, rows, u, k));
    TRY(layer_linear(ops, &b->v, rows, u, v));
    TRY(layer_attend(ops, 1, c->N, c->D, rows, rows, q, k, v, u));
    TRY(layer_linear_with(ops, &b->o, rows, u, EPI_ADD, x, NO_TENSOR, x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

static enum status run_mlp(struct image *m, const struct image_block *b, struct tensor x,
                           struct tensor u)
{
    struct ops *ops = m->ops;
    const int64_t rows = image_rows(m->config), F = m->config->F;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, rows, F, "image.mlp"));
    TRY(layer_norm(ops, rows, m->C, m->config->eps, x, &b->norm_2, u));
    TRY(layer_linear(ops, &b->up, rows, u, h));
    TRY(layer_gelu_erf(ops, rows, F, h));
    TRY(layer_linear_with(ops, &b->down, rows, h, EPI_ADD, x, NO_TENSOR, x));
    ops->release(ops, &h);
    return ST_OK;
}

enum status image_encode(struct image *m, const float *pixels, float *out)
{
    struct ops *ops = m->ops;
    const int64_t rows = image_rows(m->config);
    struct tensor x, u;
    TRY(ops->alloc(ops, &x, ELEM_F32, rows, m->C, "image.x"));
    TRY(ops->alloc(ops, &u, ops->type, rows, m->C, "image.u"));
    TRY(embed(m, pixels, x));
    for (int64_t i = 0; i < m->config->layers - 1; i++) {
        TRY(run_attention(m, &m->block[i], x, u));
        TRY(run_mlp(m, &m->block[i], x, u));
    }
    TRY(ops->get(ops, &x, out, rows, m->C));
    ops->release(ops, &u);
    ops->release(ops, &x);
    return ST_OK;
}
