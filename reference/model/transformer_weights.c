// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* transformer_weights.c   Asks for every weight of the Wan transformer. */
#include "model/transformer.h"

#include <stdlib.h>

#define TABLE_GAIN (-1)

static enum status load_attention(struct ops *ops, const char *prefix, int64_t C,
                                  struct transformer_attention *a)
{
    TRY(layer_load_linear(ops, prefix, "to_q", 2, C, C, 0, true, &a->q));
    TRY(layer_load_linear(ops, prefix, "to_k", 2, C, C, 0, true, &a->k));
    TRY(layer_load_linear(ops, prefix, "to_v", 2, C, C, 0, true, &a->v));
    TRY(layer_load_linear(ops, prefix, "to_out.0", 2, C, C, 0, true, &a->o));
    TRY(layer_load(ops, prefix, "norm_q.weight", WEIGHT_GAIN, 0, DIMS(C), &a->norm_q));
    return layer_load(ops, prefix, "norm_k.weight", WEIGHT_GAIN, 0, DIMS(C), &a->norm_k);
}

/* The second keys and values of cross attention, of the image's rows. */
static enum status load_image_keys(struct ops *ops, const char *prefix, int64_t C,
                                   struct transformer_image_keys *a)
{
    TRY(layer_load_linear(ops, prefix, "add_k_proj", 2, C, C, 0, true, &a->k));
    TRY(layer_load_linear(ops, prefix, "add_v_proj", 2, C, C, 0, true, &a->v));
    return layer_load(ops, prefix, "norm_added_k.weight", WEIGHT_GAIN, 0, DIMS(C), &a->norm_k);
}

static enum status load_block(struct transformer *t, int64_t index, struct transformer_block *b)
{
    struct ops *ops = t->ops;
    const int64_t C = t->C, F = t->config->F;
    char prefix[LAYER_NAME_MAX], part[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "blocks.%d.", (int)index);
    TRY(layer_load(ops, prefix, "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                   DIMS(1, TRANSFORMER_ROWS, C), &b->table));
    snprintf(part, sizeof part, "blocks.%d.attn1.", (int)index);
    TRY(load_attention(ops, part, C, &b->self));
    TRY(layer_load_norm(ops, prefix, "norm2", C, &b->norm));
    snprintf(part, sizeof part, "blocks.%d.attn2.", (int)index);
    TRY(load_attention(ops, part, C, &b->cross));
    if (t->config->image_dim)
        TRY(load_image_keys(ops, part, C, &b->image));
    TRY(layer_load_linear(ops, prefix, "ffn.net.0.proj", 2, F, C, 0, true, &b->up));
    return layer_load_linear(ops, prefix, "ffn.net.2", 2, C, F, 0, true, &b->down);
}

static enum status load_patch(struct transformer *t)
{
    const struct transformer_config *c = t->config;
    t->patch = (struct layer_linear){.O = t->C, .K = c->in_channels * c->pt * c->ph * c->pw};
    TRY(layer_load(t->ops, "patch_embedding", ".weight", WEIGHT_MATRIX, 0,
                   DIMS(t->C, c->in_channels, c->pt, c->ph, c->pw), &t->patch.w));
    return layer_load(t->ops, "patch_embedding", ".bias", WEIGHT_BIAS, 0, DIMS(t->C),
                      &t->patch.bias);
}

static enum status load_image_embedder(struct transformer *t)
{
    const char *prefix = "condition_embedder.image_embedder.";
    const int64_t width = t->config->image_dim, rows = t->config->image_rows;
    struct transformer_image *e = &t->image;
    if (rows)
        TRY(layer_load(t->ops, prefix, "pos_embed", WEIGHT_TABLE, TABLE_GAIN, DIMS(1, rows, width),
                       &e->position));
    TRY(layer_load_norm(t->ops, prefix, "norm1", width, &e->norm_1));
    TRY(layer_load_linear(t->ops, prefix, "ff.net.0.proj", 2, width, width, 0, true, &e->up));
    TRY(layer_load_linear(t->ops, prefix, "ff.net.2", 2, t->C, width, 0, true, &e->down));
    return layer_load_norm(t->ops, prefix, "norm2", t->C, &e->norm_2);
}

static enum status load_condition(struct transformer *t)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const char *prefix = "condition_embedder.";
    TRY(layer_load_linear(ops, prefix, "time_embedder.linear_1", 2, t->C, c->freq_dim, 0, true,
                          &t->time_1));
    TRY(layer_load_linear(ops, prefix, "time_embedder.linear_2", 2, t->C, t->C, 0, true,
                          &t->time_2));
    TRY(layer_load_linear(ops, prefix, "time_proj", 2, TRANSFORMER_ROWS * t->C, t->C, 0, true,
                          &t->time_projection));
    TRY(layer_load_linear(ops, prefix, "text_embedder.linear_1", 2, t->C, c->text_dim, 0, true,
                          &t->text_1));
    return layer_load_linear(ops, prefix, "text_embedder.linear_2", 2, t->C, t->C, 0, true,
                             &t->text_2);
}

enum status transformer_load(struct ops *ops, const struct transformer_config *config,
                             struct transformer *out)
{
    *out =
        (struct transformer){.ops = ops, .config = config, .C = config->N * config->D, .clips = 1};
    out->block = calloc((size_t)config->layers, sizeof *out->block);
    if (!out->block)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    TRY(load_patch(out));
    TRY(load_condition(out));
    if (config->image_dim)
        TRY(load_image_embedder(out));
    for (int64_t i = 0; i < config->layers; i++)
        TRY(load_block(out, i, &out->block[i]));
    TRY(layer_load_linear(ops, "", "proj_out", 2,
                          config->pt * config->ph * config->pw * config->out_channels, out->C, 0,
                          true, &out->head));
    return layer_load(ops, "", "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                      DIMS(1, TRANSFORMER_HEAD_ROWS, out->C), &out->table);
}

void transformer_free(struct transformer *t)
{
    free(t->block);
    t->block = NULL;
}
