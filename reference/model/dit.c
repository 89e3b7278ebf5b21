// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/dit.h"

#include <math.h>
#include <stdlib.h>

#include "attention/patchify/patchify.h"
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "attention/qkv/qkv.h"
#include "attention/unpatchify/unpatchify.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"
#include "text/embedding/embedding.h"

/* Rows of a block's modulation, and of the head's. */
enum { SHIFT_SELF = 0, SCALE_SELF, GATE_SELF, SHIFT_MLP, SCALE_MLP, GATE_MLP, MODULATION_ROWS };
enum { SHIFT_HEAD = 0, SCALE_HEAD, HEAD_ROWS };

/* ---- weights --------------------------------------------------------------------------------- */

static enum status load_embedder(struct dit *d, int64_t index)
{
    struct dit_embedder *e = &d->embedder[index];
    char prefix[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.norm1.emb.", (int)index);
    TRY(layer_load_linear(d->ops, prefix, "timestep_embedder.linear_1", 2, d->C,
                          d->config->freq_dim, 0, true, &e->time_1));
    TRY(layer_load_linear(d->ops, prefix, "timestep_embedder.linear_2", 2, d->C, d->C, 0, true,
                          &e->time_2));
    return layer_load(d->ops, prefix, "class_embedder.embedding_table.weight", WEIGHT_EMBEDDING, 0,
                      DIMS(d->own->classes + 1, d->C), &e->classes);
}

static enum status load_block(struct dit *d, int64_t index)
{
    struct ops *ops = d->ops;
    struct dit_block *b = &d->block[index];
    const int64_t C = d->C, F = d->config->F;
    char prefix[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.", (int)index);
    if (index < d->embedders)
        TRY(load_embedder(d, index));
    TRY(layer_load_linear(ops, prefix, "norm1.linear", 2, MODULATION_ROWS * C, C, 0, true,
                          &b->modulation));
    TRY(layer_load_linear(ops, prefix, "attn1.to_q", 2, C, C, 0, true, &b->q));
    TRY(layer_load_linear(ops, prefix, "attn1.to_k", 2, C, C, 0, true, &b->k));
    TRY(layer_load_linear(ops, prefix, "attn1.to_v", 2, C, C, 0, true, &b->v));
    TRY(layer_load_linear(ops, prefix, "attn1.to_out.0", 2, C, C, 0, true, &b->o));
    TRY(layer_load_linear(ops, prefix, "ff.net.0.proj", 2, F, C, 0, true, &b->up));
    return layer_load_linear(ops, prefix, "ff.net.2", 2, C, F, 0, true, &b->down);
}

static enum status load_patch(struct dit *d)
{
    const struct transformer_config *c = d->config;
    d->patch = (struct layer_linear){.O = d->C, .K = c->in_channels * c->ph * c->pw};
    TRY(layer_load(d->ops, "pos_embed.proj", ".weight", WEIGHT_MATRIX, 0,
                   DIMS(d->C, c->in_channels, c->ph, c->pw), &d->patch.w));
    return layer_load(d->ops, "pos_embed.proj", ".bias", WEIGHT_BIAS, 0, DIMS(d->C),
                      &d->patch.bias);
}

static enum status dit_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct dit *d = network;
    const struct transformer_config *c = &model->transformer;
    *d = (struct dit){.ops = ops, .config = c, .own = model->dit, .C = c->N * c->D};
    d->embedders = d->own->shared_embedder ? 1 : c->layers;
    d->block = calloc((size_t)c->layers, sizeof *d->block);
    d->embedder = calloc((size_t)d->embedders, sizeof *d->embedder);
    if (!d->block || !d->embedder)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    TRY(load_patch(d));
    for (int64_t i = 0; i < c->layers; i++)
        TRY(load_block(d, i));
    TRY(layer_load_linear(ops, "", "proj_out_1", 2, HEAD_ROWS * d->C, d->C, 0, true,
                          &d->head_modulation));
    return layer_load_linear(ops, "", "proj_out_2", 2, c->ph * c->pw * c->out_channels, d->C, 0,
                             true, &d->head);
}

static void dit_free(void *network)
{
    struct dit *d = network;
    free(d->block);
    free(d->embedder);
    d->block = NULL;
    d->embedder = NULL;
}

/* ---- grid ------------------------------------------------------------------------------------ */

static enum status dit_grid(const struct model_config *model, int64_t T, int64_t H, int64_t W,
                            struct fault *fault)
{
    const long long scale = model->vae.scale_space;
    if (T == 1 && H == W)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s makes one square picture, not %lld frame%s of %lldx%lld; give --frames 1"
                     " and equal sides",
                     model->name, (long long)(1 + (T - 1) * model->vae.scale_time),
                     T == 1 ? "" : "s", W * scale, H * scale);
}

/* A coordinate as `half` sines and `half` cosines of frequencies 10000^(-i / half). */
static void embed_coordinate(float *row, double at, int64_t half)
{
    for (int64_t i = 0; i < half; i++) {
        const double angle = at * pow(10000.0, -(double)i / (double)half);
        row[i] = (float)sin(angle);
        row[half + i] = (float)cos(angle);
    }
}

/* The column's half before the row's. On grids that it was not trained on coordinates are scaled,
 * in f32 as diffusers does, to the range that it knows. */
static void fill_position(const struct dit *d, float *table)
{
    const int64_t side = d->W / d->config->pw, known = d->own->sample / d->config->pw;
    const float step = (float)((double)side / (double)known);
    for (int64_t s = 0; s < d->S; s++, table += d->C) {
        embed_coordinate(table, (float)(s % side) / step, d->C / 4);
        embed_coordinate(table + d->C / 2, (float)(s / side) / step, d->C / 4);
    }
}

static enum status dit_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    struct dit *d = network;
    struct ops *ops = d->ops;
    float *table = NULL;
    (void)fps; /* a picture has none */
    d->H = H, d->W = W;
    d->S = T * (H / d->config->ph) * (W / d->config->pw);
    TRY(ops->alloc(ops, &d->position, ELEM_F32, d->S, d->C, "position"));
    TRY(ops->alloc(ops, &d->time, ELEM_F32, d->embedders, d->C, "time"));
    TRY(ops->alloc(ops, &d->rows, ELEM_F32, MODULATION_ROWS, d->C, "modulation"));
    TRY(layer_host_alloc(ops, d->S * d->C, sizeof *table, &table));
    if (table)
        fill_position(d, table);
    const enum status status = ops->put(ops, &d->position, table, d->S, d->C);
    free(table);
    return status;
}

/* ---- condition and time ---------------------------------------------------------------------- */

static enum status dit_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct dit *d = network;
    struct ops *ops = d->ops;
    struct dit_condition *condition = out;
    const int64_t none = d->own->classes;
    const int32_t class_row =
        (int32_t)(prompt->class_label == DENOISER_NO_CLASS ? none : prompt->class_label);
    struct tensor ids;
    TRY(ops->alloc(ops, &condition->classes, ELEM_F32, d->embedders, d->C, "class"));
    TRY(ops->alloc(ops, &ids, ELEM_I32, 1, 1, "class.number"));
    TRY(ops->put(ops, &ids, &class_row, 1, 1));
    for (int64_t i = 0; i < d->embedders; i++) {
        const struct embedding_problem p = {.S = 1,
                                            .V = none + 1,
                                            .C = d->C,
                                            .ids = ids,
                                            .table = d->embedder[i].classes,
                                            .y = layer_row(condition->classes, i)};
        TRY(ops->embedding(ops, &p));
    }
    ops->release(ops, &ids);
    return ST_OK;
}

static void dit_condition_free(void *condition) { (void)condition; /* tensors only */ }

/* time = W2 silu(W1 waves + b1) + b2, by every embedder */
static enum status dit_set_time(void *network, const double *time, int64_t frames)
{
    struct dit *d = network;
    struct ops *ops = d->ops;
    struct tensor waves, hidden;
    (void)frames;
    TRY(ops->alloc(ops, &waves, ops->type, 1, d->config->freq_dim, "time.waves"));
    TRY(ops->alloc(ops, &hidden, ops->type, 1, d->C, "time.hidden"));
    TRY(layer_embed_number(ops, time[0], d->config->freq_dim, d->own->time_drop, waves));
    for (int64_t i = 0; i < d->embedders; i++) {
        const struct dit_embedder *e = &d->embedder[i];
        TRY(layer_linear_with(ops, &e->time_1, 1, waves, EPI_SILU, NO_TENSOR, NO_TENSOR, hidden));
        TRY(layer_linear(ops, &e->time_2, 1, hidden, layer_row(d->time, i)));
    }
    ops->release(ops, &hidden);
    ops->release(ops, &waves);
    return ST_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* steering [embedders][C] = silu(time + class): what every modulation is a projection of. */
static enum status steer(struct dit *d, const struct dit_condition *condition,
                         struct tensor steering)
{
    struct ops *ops = d->ops;
    struct tensor sum;
    TRY(ops->alloc(ops, &sum, ELEM_F32, d->embedders, d->C, "steering.sum"));
    const struct elementwise_problem add = {.S = d->embedders,
                                            .C = d->C,
                                            .G = d->embedders,
                                            .kind = ELEMENTWISE_ADD,
                                            .a = d->time,
                                            .b = condition->classes,
                                            .y = sum};
    TRY(ops->elementwise(ops, &add));
    const struct elementwise_problem silu = {
        .S = d->embedders, .C = d->C, .G = 1, .kind = ELEMENTWISE_SILU, .a = sum, .y = steering};
    TRY(ops->elementwise(ops, &silu));
    ops->release(ops, &sum);
    return ST_OK;
}

/* The first `count` rows of d->rows, by one linear layer. */
static enum status make_rows(struct dit *d, const struct layer_linear *l, struct tensor steering,
                             int64_t count)
{
    struct tensor flat = d->rows;
    flat.stride = count * d->C;
    return layer_linear(d->ops, l, 1, steering, flat);
}

static enum status modulate(struct dit *d, double eps, struct tensor x, int scale, int shift,
                            struct tensor y)
{
    const struct modulate_problem p = {.S = d->S,
                                       .C = d->C,
                                       .G = 1,
                                       .norm = MODULATE_LAYER,
                                       .form = MODULATE_ADALN,
                                       .eps = eps,
                                       .x = x,
                                       .scale = layer_row(d->rows, scale),
                                       .shift = layer_row(d->rows, shift),
                                       .y = y};
    return d->ops->modulate(d->ops, &p);
}

static enum status self_attention(struct dit *d, const struct dit_block *b, struct tensor x,
                                  struct tensor u)
{
    struct ops *ops = d->ops;
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, d->S, d->C, "self.q"));
    TRY(ops->alloc(ops, &k, ops->type, d->S, d->C, "self.k"));
    TRY(ops->alloc(ops, &v, ops->type, d->S, d->C, "self.v"));
    TRY(modulate(d, d->config->eps, x, SCALE_SELF, SHIFT_SELF, u));
    const struct qkv_problem p = {.B = 1,
                                  .S = d->S,
                                  .C = d->C,
                                  .N = d->config->N,
                                  .D = d->config->D,
                                  .norm = QK_NORM_NONE,
                                  .rope = 0,
                                  .x = u,
                                  .wq = b->q.w,
                                  .wk = b->k.w,
                                  .wv = b->v.w,
                                  .bq = b->q.bias,
                                  .bk = b->k.bias,
                                  .bv = b->v.bias,
                                  .q = q,
                                  .k = k,
                                  .v = v};
    TRY(ops->qkv(ops, &p));
    TRY(layer_attend(ops, 1, d->config->N, d->config->D, d->S, d->S, q, k, v, u));
    TRY(layer_linear_with(ops, &b->o, d->S, u, EPI_GATE, x, layer_row(d->rows, GATE_SELF), x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

static enum status mlp(struct dit *d, const struct dit_block *b, struct tensor x, struct tensor u)
{
    struct ops *ops = d->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, d->S, d->config->F, "mlp"));
    TRY(modulate(d, d->own->mlp_eps, x, SCALE_MLP, SHIFT_MLP, u));
    TRY(layer_linear_with(ops, &b->up, d->S, u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(layer_linear_with(ops, &b->down, d->S, h, EPI_GATE, x, layer_row(d->rows, GATE_MLP), x));
    ops->release(ops, &h);
    return ST_OK;
}

static enum status embed_patches(struct dit *d, struct tensor latents, struct tensor x)
{
    struct ops *ops = d->ops;
    const struct transformer_config *c = d->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ops->type, d->S, d->patch.K, "patches"));
    const struct patchify_problem p = {.B = 1,
                                       .T = 1,
                                       .H = d->H,
                                       .W = d->W,
                                       .C = c->in_channels,
                                       .pt = 1,
                                       .ph = c->ph,
                                       .pw = c->pw,
                                       .x = latents,
                                       .y = patches};
    TRY(ops->patchify(ops, &p));
    TRY(layer_linear_with(ops, &d->patch, d->S, patches, EPI_ADD, d->position, NO_TENSOR, x));
    ops->release(ops, &patches);
    return ST_OK;
}

static enum status run_head(struct dit *d, struct tensor steering, struct tensor x, struct tensor u,
                            struct tensor prediction)
{
    struct ops *ops = d->ops;
    const struct transformer_config *c = d->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ELEM_F32, d->S, d->head.O, "head"));
    TRY(make_rows(d, &d->head_modulation, steering, HEAD_ROWS));
    TRY(modulate(d, c->eps, x, SCALE_HEAD, SHIFT_HEAD, u));
    TRY(layer_linear(ops, &d->head, d->S, u, patches));
    const struct unpatchify_problem p = {.B = 1,
                                         .T = 1,
                                         .H = d->H,
                                         .W = d->W,
                                         .C = c->out_channels,
                                         .pt = 1,
                                         .ph = c->ph,
                                         .pw = c->pw,
                                         .x = patches,
                                         .y = prediction};
    TRY(ops->unpatchify(ops, &p));
    ops->release(ops, &patches);
    return ST_OK;
}

static enum status dit_forward(void *network, const void *condition, struct tensor latents,
                               struct tensor prediction)
{
    struct dit *d = network;
    struct ops *ops = d->ops;
    struct tensor x, u, steering;
    TRY(ops->alloc(ops, &x, ELEM_F32, d->S, d->C, "x"));
    TRY(ops->alloc(ops, &u, ops->type, d->S, d->C, "u"));
    TRY(ops->alloc(ops, &steering, ops->type, d->embedders, d->C, "steering"));
    TRY(steer(d, condition, steering));
    TRY(embed_patches(d, latents, x));
    for (int64_t i = 0; i < d->config->layers; i++) {
        const struct dit_block *b = &d->block[i];
        const struct tensor own = layer_row(steering, d->embedders == 1 ? 0 : i);
        TRY(make_rows(d, &b->modulation, own, MODULATION_ROWS));
        TRY(self_attention(d, b, x, u));
        TRY(mlp(d, b, x, u));
    }
    TRY(run_head(d, steering, x, u, prediction));
    ops->release(ops, &steering);
    ops->release(ops, &u);
    ops->release(ops, &x);
    return ST_OK;
}

const struct denoiser_family dit_family = {
    .name = "dit",
    .network_bytes = sizeof(struct dit),
    .condition_bytes = sizeof(struct dit_condition),
    .grid = dit_grid,
    .load = dit_load,
    .free = dit_free,
    .begin = dit_begin,
    .condition = dit_condition,
    .condition_free = dit_condition_free,
    .set_time = dit_set_time,
    .forward = dit_forward,
};
