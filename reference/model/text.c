// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/text.h"

#include <math.h>
#include <stdlib.h>

#include "attention/attention/attention.h"
#include "denoise/linear/linear.h"
#include "text/embedding/embedding.h"
#include "text/rms_norm/rms_norm.h"

static enum status load_block(struct ops *ops, const struct text_config *c, int64_t index,
                              struct text_block *b)
{
    /* scores are not scaled, so unit queries would saturate the softmax */
    const int query_gain = -(int)lround(0.5 * log2((double)c->D));
    const int64_t inner = c->N * c->D;
    char prefix[LAYER_NAME_MAX];

    snprintf(prefix, sizeof prefix, "encoder.block.%d.layer.0.", (int)index);
    TRY(layer_load(ops, prefix, "layer_norm.weight", WEIGHT_GAIN, 0, DIMS(c->C),
                   &b->attention_norm));
    TRY(layer_load_linear(ops, prefix, "SelfAttention.q", 2, inner, c->C, query_gain, false,
                          &b->q));
    TRY(layer_load_linear(ops, prefix, "SelfAttention.k", 2, inner, c->C, 0, false, &b->k));
    TRY(layer_load_linear(ops, prefix, "SelfAttention.v", 2, inner, c->C, 0, false, &b->v));
    TRY(layer_load_linear(ops, prefix, "SelfAttention.o", 2, c->C, inner, 0, false, &b->o));
    TRY(layer_load(ops, prefix, "SelfAttention.relative_attention_bias.weight", WEIGHT_TABLE, 0,
                   DIMS(c->buckets, c->N), &b->positions));

    snprintf(prefix, sizeof prefix, "encoder.block.%d.layer.1.", (int)index);
    TRY(layer_load(ops, prefix, "layer_norm.weight", WEIGHT_GAIN, 0, DIMS(c->C), &b->mlp_norm));
    TRY(layer_load_linear(ops, prefix, "DenseReluDense.wi_0", 2, c->F, c->C, 0, false, &b->gate));
    TRY(layer_load_linear(ops, prefix, "DenseReluDense.wi_1", 2, c->F, c->C, 0, false, &b->up));
    return layer_load_linear(ops, prefix, "DenseReluDense.wo", 2, c->C, c->F, 0, false, &b->down);
}

enum status text_load(struct ops *ops, const struct text_config *config, struct text *out)
{
    *out = (struct text){.ops = ops, .config = config};
    out->block = calloc((size_t)config->layers, sizeof *out->block);
    if (!out->block)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the text encoder's layers");
    TRY(layer_load(ops, "", "shared.weight", WEIGHT_EMBEDDING, 1, DIMS(config->vocab, config->C),
                   &out->embedding));
    for (int64_t i = 0; i < config->layers; i++)
        TRY(load_block(ops, config, i, &out->block[i]));
    return layer_load(ops, "", "encoder.final_layer_norm.weight", WEIGHT_GAIN, 0, DIMS(config->C),
                      &out->final_norm);
}

void text_free(struct text *text)
{
    free(text->block);
    text->block = NULL;
}

/* Half of the buckets for keys behind the query; of each half, half are single distances and the
 * rest grow by equal ratios up to max_distance. */
int64_t text_bucket(const struct text_config *config, int64_t offset)
{
    const int64_t half = config->buckets / 2, exact = half / 2;
    const int64_t distance = llabs(offset), side = offset > 0 ? half : 0;
    if (distance < exact)
        return side + distance;
    const double ratio =
        log((double)distance / (double)exact) / log((double)config->max_distance / (double)exact);
    /* distances that land exactly on a bucket's edge must not fall below it by a rounding error */
    const int64_t bucket = exact + (int64_t)(ratio * (double)(half - exact) + 1e-9);
    return side + (bucket < half ? bucket : half - 1);
}

/* bias [N][2 rows - 1] from the block's table: element j - i + rows - 1. */
static enum status expand_positions(struct text *t, const struct text_block *b, int64_t rows,
                                    struct tensor *bias)
{
    const struct text_config *c = t->config;
    const int64_t width = 2 * rows - 1;
    float *table = NULL, *wide = NULL;
    enum status status = layer_host_alloc(t->ops, c->buckets * c->N, sizeof *table, &table);
    if (status == ST_OK)
        status = layer_host_alloc(t->ops, width * c->N, sizeof *wide, &wide);
    if (status == ST_OK)
        status = t->ops->get(t->ops, &b->positions, table, c->buckets, c->N);
    if (status == ST_OK && wide)
        for (int64_t i = 0; i < width; i++)
            for (int64_t n = 0; n < c->N; n++)
                wide[n * width + i] = table[text_bucket(c, i - (rows - 1)) * c->N + n];
    if (status == ST_OK)
        status = t->ops->put(t->ops, bias, wide, c->N, width);
    free(wide);
    free(table);
    return status;
}

static enum status rms_norm(struct text *t, int64_t rows, struct tensor x, struct tensor weight,
                            struct tensor y)
{
    const struct rms_norm_problem p = {
        .S = rows, .C = t->config->C, .eps = t->config->eps, .x = x, .weight = weight, .y = y};
    return t->ops->rms_norm(t->ops, &p);
}

static enum status run_attention(struct text *t, const struct text_block *b, int64_t rows,
                                 struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    const struct text_config *c = t->config;
    struct tensor q, k, v, o, bias;
    TRY(ops->alloc(ops, &q, ops->type, rows, c->N * c->D, "text.q"));
    TRY(ops->alloc(ops, &k, ops->type, rows, c->N * c->D, "text.k"));
    TRY(ops->alloc(ops, &v, ops->type, rows, c->N * c->D, "text.v"));
    TRY(ops->alloc(ops, &o, ops->type, rows, c->N * c->D, "text.o"));
    TRY(ops->alloc(ops, &bias, ELEM_F32, c->N, 2 * rows - 1, "text.bias"));
    TRY(expand_positions(t, b, rows, &bias));

    TRY(rms_norm(t, rows, x, b->attention_norm, u));
    TRY(layer_linear(ops, &b->q, rows, u, q));
    TRY(layer_linear(ops, &b->k, rows, u, k));
    TRY(layer_linear(ops, &b->v, rows, u, v));
    const struct attention_problem p = {.B = 1,
                                        .Sq = rows,
                                        .Sk = rows,
                                        .N = c->N,
                                        .D = c->D,
                                        .scale = 1.0,
                                        .q = q,
                                        .k = k,
                                        .v = v,
                                        .bias = bias,
                                        .o = o};
    TRY(ops->attention(ops, &p));
    TRY(layer_linear_with(ops, &b->o, rows, o, EPI_ADD, x, NO_TENSOR, x));

    ops->release(ops, &bias);
    ops->release(ops, &o);
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

static enum status run_mlp(struct text *t, const struct text_block *b, int64_t rows,
                           struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, rows, t->config->F, "text.mlp"));
    TRY(rms_norm(t, rows, x, b->mlp_norm, u));
    TRY(layer_linear_with(ops, &b->gate, rows, u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(layer_linear_with(ops, &b->up, rows, u, EPI_MUL, h, NO_TENSOR, h));
    TRY(layer_linear_with(ops, &b->down, rows, h, EPI_ADD, x, NO_TENSOR, x));
    ops->release(ops, &h);
    return ST_OK;
}

enum status text_encode(struct text *text, const int32_t *ids, int64_t rows, float *out)
{
    struct ops *ops = text->ops;
    const struct text_config *c = text->config;
    struct tensor numbers, x, u;
    TRY(ops->alloc(ops, &numbers, ELEM_I32, rows, 1, "text.ids"));
    TRY(ops->alloc(ops, &x, ELEM_F32, rows, c->C, "text.x"));
    TRY(ops->alloc(ops, &u, ops->type, rows, c->C, "text.u"));
    TRY(ops->put(ops, &numbers, ids, rows, 1));
    const struct embedding_problem p = {
        .S = rows, .V = c->vocab, .C = c->C, .ids = numbers, .table = text->embedding, .y = x};
    TRY(ops->embedding(ops, &p));
    for (int64_t i = 0; i < c->layers; i++) {
        TRY(run_attention(text, &text->block[i], rows, x, u));
        TRY(run_mlp(text, &text->block[i], rows, x, u));
    }
    TRY(rms_norm(text, rows, x, text->final_norm, x));
    TRY(ops->get(ops, &x, out, rows, c->C));
    ops->release(ops, &u);
    ops->release(ops, &x);
    ops->release(ops, &numbers);
    return ST_OK;
}
