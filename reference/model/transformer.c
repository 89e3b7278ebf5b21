// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/transformer.h"

#include <math.h>
#include <stdlib.h>

#include "attention/attention/attention.h"
#include "attention/patchify/patchify.h"
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "attention/qkv/qkv.h"
#include "attention/unpatchify/unpatchify.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"
#include "denoise/time_embed/time_embed.h"

/* Rows of the modulation: three for self attention, three for the MLP. */
enum { SHIFT_SELF = 0, SCALE_SELF, GATE_SELF, SHIFT_MLP, SCALE_MLP, GATE_MLP, MODULATION_ROWS };
enum { SHIFT_HEAD = 0, SCALE_HEAD, HEAD_ROWS };

#define TABLE_GAIN (-1)

/* ---- weights --------------------------------------------------------------------------------- */

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

static enum status load_block(struct transformer *t, int64_t index, struct transformer_block *b)
{
    struct ops *ops = t->ops;
    const int64_t C = t->C, F = t->config->F;
    char prefix[LAYER_NAME_MAX], part[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "blocks.%d.", (int)index);
    TRY(layer_load(ops, prefix, "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                   DIMS(1, MODULATION_ROWS, C), &b->table));
    snprintf(part, sizeof part, "blocks.%d.attn1.", (int)index);
    TRY(load_attention(ops, part, C, &b->self));
    TRY(layer_load(ops, prefix, "norm2.weight", WEIGHT_GAIN, 0, DIMS(C), &b->norm_weight));
    TRY(layer_load(ops, prefix, "norm2.bias", WEIGHT_BIAS, 0, DIMS(C), &b->norm_bias));
    snprintf(part, sizeof part, "blocks.%d.attn2.", (int)index);
    TRY(load_attention(ops, part, C, &b->cross));
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

static enum status load_condition(struct transformer *t)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const char *prefix = "condition_embedder.";
    TRY(layer_load_linear(ops, prefix, "time_embedder.linear_1", 2, t->C, c->freq_dim, 0, true,
                          &t->time_1));
    TRY(layer_load_linear(ops, prefix, "time_embedder.linear_2", 2, t->C, t->C, 0, true,
                          &t->time_2));
    TRY(layer_load_linear(ops, prefix, "time_proj", 2, MODULATION_ROWS * t->C, t->C, 0, true,
                          &t->time_projection));
    TRY(layer_load_linear(ops, prefix, "text_embedder.linear_1", 2, t->C, c->text_dim, 0, true,
                          &t->text_1));
    return layer_load_linear(ops, prefix, "text_embedder.linear_2", 2, t->C, t->C, 0, true,
                             &t->text_2);
}

enum status transformer_load(struct ops *ops, const struct transformer_config *config,
                             struct transformer *out)
{
    *out = (struct transformer){.ops = ops, .config = config, .C = config->N * config->D};
    out->block = calloc((size_t)config->layers, sizeof *out->block);
    if (!out->block)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    TRY(load_patch(out));
    TRY(load_condition(out));
    for (int64_t i = 0; i < config->layers; i++)
        TRY(load_block(out, i, &out->block[i]));
    TRY(layer_load_linear(ops, "", "proj_out", 2,
                          config->pt * config->ph * config->pw * config->out_channels, out->C, 0,
                          true, &out->head));
    return layer_load(ops, "", "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                      DIMS(1, HEAD_ROWS, out->C), &out->table);
}

void transformer_free(struct transformer *t)
{
    free(t->block);
    t->block = NULL;
}

/* ---- grid ------------------------------------------------------------------------------------ */

/* One axis' share of a token's row: `pairs` angles, frequencies 10000^(-i / pairs). */
static void rotate_axis(float *cosine, float *sine, int64_t position, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i++) {
        const double angle = (double)position * pow(10000.0, -(double)i / (double)pairs);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
}

/* Head channels go to time, row and column; the two in space get 2 floor(D/6) each. */
static void fill_rotation(const struct transformer *t, float *cosine, float *sine)
{
    const struct transformer_config *c = t->config;
    const int64_t space = c->D / 6, pairs = c->D / 2, time = pairs - 2 * space;
    const int64_t rows = t->H / c->ph, columns = t->W / c->pw;
    for (int64_t s = 0; s < t->S; s++, cosine += pairs, sine += pairs) {
        rotate_axis(cosine, sine, s / (rows * columns), time);
        rotate_axis(cosine + time, sine + time, s / columns % rows, space);
        rotate_axis(cosine + time + space, sine + time + space, s % columns, space);
    }
}

static enum status put_rotation(struct transformer *t)
{
    const int64_t pairs = t->config->D / 2;
    float *cosine = NULL, *sine = NULL;
    enum status status = layer_host_alloc(t->ops, t->S * pairs, sizeof *cosine, &cosine);
    if (status == ST_OK)
        status = layer_host_alloc(t->ops, t->S * pairs, sizeof *sine, &sine);
    if (status == ST_OK && sine)
        fill_rotation(t, cosine, sine);
    if (status == ST_OK)
        status = t->ops->put(t->ops, &t->cos, cosine, t->S, pairs);
    if (status == ST_OK)
        status = t->ops->put(t->ops, &t->sin, sine, t->S, pairs);
    free(sine);
    free(cosine);
    return status;
}

enum status transformer_begin(struct transformer *t, int64_t T, int64_t H, int64_t W)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    t->T = T, t->H = H, t->W = W;
    t->S = (T / c->pt) * (H / c->ph) * (W / c->pw);
    TRY(ops->alloc(ops, &t->cos, ELEM_F32, t->S, c->D / 2, "rope.cos"));
    TRY(ops->alloc(ops, &t->sin, ELEM_F32, t->S, c->D / 2, "rope.sin"));
    TRY(ops->alloc(ops, &t->time, ELEM_F32, 1, t->C, "time"));
    TRY(ops->alloc(ops, &t->modulation, ELEM_F32, MODULATION_ROWS, t->C, "modulation"));
    TRY(ops->alloc(ops, &t->rows, ELEM_F32, MODULATION_ROWS, t->C, "modulation.rows"));
    return put_rotation(t);
}

/* ---- conditions ------------------------------------------------------------------------------ */

static enum status norm_heads(struct transformer *t, int64_t S, struct tensor x,
                              struct tensor weight)
{
    const struct transformer_config *c = t->config;
    const struct qk_norm_rope_problem p = {.B = 1,
                                           .S = S,
                                           .N = c->N,
                                           .D = c->D,
                                           .norm = QK_NORM_ALL,
                                           .rope = 0,
                                           .eps = c->eps,
                                           .x = x,
                                           .weight = weight,
                                           .y = x};
    return t->ops->qk_norm_rope(t->ops, &p);
}

static enum status context_layers(struct transformer *t, struct tensor text,
                                  struct transformer_context *context)
{
    struct ops *ops = t->ops;
    for (int64_t i = 0; i < t->config->layers; i++) {
        const struct transformer_attention *cross = &t->block[i].cross;
        TRY(ops->alloc(ops, &context->k[i], ops->type, context->M, t->C, "context.k"));
        TRY(ops->alloc(ops, &context->v[i], ops->type, context->M, t->C, "context.v"));
        TRY(layer_linear(ops, &cross->k, context->M, text, context->k[i]));
        TRY(norm_heads(t, context->M, context->k[i], cross->norm_k));
        TRY(layer_linear(ops, &cross->v, context->M, text, context->v[i]));
    }
    return ST_OK;
}

enum status transformer_context_new(struct transformer *t, const float *text, int64_t M,
                                    struct transformer_context *out)
{
    struct ops *ops = t->ops;
    const size_t layers = (size_t)t->config->layers;
    *out = (struct transformer_context){
        .M = M, .k = calloc(layers, sizeof *out->k), .v = calloc(layers, sizeof *out->v)};
    if (!out->k || !out->v)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the prompt's keys");
    struct tensor raw, hidden, embedded;
    TRY(ops->alloc(ops, &raw, ops->type, M, t->config->text_dim, "context.text"));
    TRY(ops->alloc(ops, &hidden, ops->type, M, t->C, "context.hidden"));
    TRY(ops->alloc(ops, &embedded, ops->type, M, t->C, "context.embedded"));
    TRY(ops->put(ops, &raw, text, M, t->config->text_dim));
    TRY(layer_linear_with(ops, &t->text_1, M, raw, EPI_GELU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &t->text_2, M, hidden, embedded));
    TRY(context_layers(t, embedded, out));
    ops->release(ops, &embedded);
    ops->release(ops, &hidden);
    ops->release(ops, &raw);
    return ST_OK;
}

void transformer_context_free(struct transformer_context *context)
{
    free(context->k);
    free(context->v);
    *context = (struct transformer_context){0};
}

/* time = W2 silu(W1 e + b1) + b2, modulation = Wp silu(time) + bp; both stay f32. */
enum status transformer_set_time(struct transformer *t, double time)
{
    struct ops *ops = t->ops;
    const float host = (float)time;
    struct tensor number, waves, hidden;
    TRY(ops->alloc(ops, &number, ELEM_F32, 1, 1, "time.number"));
    TRY(ops->alloc(ops, &waves, ops->type, 1, t->config->freq_dim, "time.waves"));
    TRY(ops->alloc(ops, &hidden, ops->type, 1, t->C, "time.hidden"));
    TRY(ops->put(ops, &number, &host, 1, 1));
    const struct time_embed_problem embed = {
        .S = 1, .C = t->config->freq_dim, .t = number, .y = waves};
    TRY(ops->time_embed(ops, &embed));
    TRY(layer_linear_with(ops, &t->time_1, 1, waves, EPI_SILU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &t->time_2, 1, hidden, t->time));
    const struct elementwise_problem silu = {
        .S = 1, .C = t->C, .G = 1, .kind = ELEMENTWISE_SILU, .a = t->time, .y = hidden};
    TRY(ops->elementwise(ops, &silu));
    struct tensor flat = t->modulation;
    flat.stride = MODULATION_ROWS * t->C;
    TRY(layer_linear(ops, &t->time_projection, 1, hidden, flat));
    ops->release(ops, &hidden);
    ops->release(ops, &waves);
    ops->release(ops, &number);
    return ST_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static struct tensor row(struct tensor t, int64_t index) { return layer_view(t, index * t.stride); }

static enum status add_rows(struct transformer *t, int64_t S, struct tensor a, struct tensor b,
                            int64_t G)
{
    const struct elementwise_problem p = {
        .S = S, .C = t->C, .G = G, .kind = ELEMENTWISE_ADD, .a = a, .b = b, .y = t->rows};
    return t->ops->elementwise(t->ops, &p);
}

static enum status modulate(struct transformer *t, enum modulate_form form, struct tensor x,
                            struct tensor scale, struct tensor shift, struct tensor y)
{
    const struct modulate_problem p = {.S = t->S,
                                       .C = t->C,
                                       .G = 1,
                                       .norm = MODULATE_LAYER,
                                       .form = form,
                                       .eps = t->config->eps,
                                       .x = x,
                                       .scale = scale,
                                       .shift = shift,
                                       .y = y};
    return t->ops->modulate(t->ops, &p);
}

static enum status attend(struct transformer *t, int64_t keys, struct tensor q, struct tensor k,
                          struct tensor v, struct tensor o)
{
    const struct transformer_config *c = t->config;
    const struct attention_problem p = {.B = 1,
                                        .Sq = t->S,
                                        .Sk = keys,
                                        .N = c->N,
                                        .D = c->D,
                                        .scale = 1.0 / sqrt((double)c->D),
                                        .q = q,
                                        .k = k,
                                        .v = v,
                                        .bias = NO_TENSOR,
                                        .o = o};
    return t->ops->attention(t->ops, &p);
}

static enum status self_attention(struct transformer *t, const struct transformer_block *b,
                                  struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const struct transformer_attention *a = &b->self;
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, t->S, t->C, "self.q"));
    TRY(ops->alloc(ops, &k, ops->type, t->S, t->C, "self.k"));
    TRY(ops->alloc(ops, &v, ops->type, t->S, t->C, "self.v"));
    TRY(modulate(t, MODULATE_ADALN, x, row(t->rows, SCALE_SELF), row(t->rows, SHIFT_SELF), u));
    const struct qkv_problem p = {.B = 1,
                                  .S = t->S,
                                  .C = t->C,
                                  .N = c->N,
                                  .D = c->D,
                                  .norm = QK_NORM_ALL,
                                  .rope = 1,
                                  .eps = c->eps,
                                  .x = u,
                                  .wq = a->q.w,
                                  .wk = a->k.w,
                                  .wv = a->v.w,
                                  .bq = a->q.bias,
                                  .bk = a->k.bias,
                                  .bv = a->v.bias,
                                  .nq = a->norm_q,
                                  .nk = a->norm_k,
                                  .cos = t->cos,
                                  .sin = t->sin,
                                  .q = q,
                                  .k = k,
                                  .v = v};
    TRY(ops->qkv(ops, &p));
    TRY(attend(t, t->S, q, k, v, u));
    TRY(layer_linear_with(ops, &a->o, t->S, u, EPI_GATE, x, row(t->rows, GATE_SELF), x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

static enum status cross_attention(struct transformer *t, const struct transformer_block *b,
                                   struct tensor k, struct tensor v, int64_t M, struct tensor x,
                                   struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor q;
    TRY(ops->alloc(ops, &q, ops->type, t->S, t->C, "cross.q"));
    TRY(modulate(t, MODULATE_AFFINE, x, b->norm_weight, b->norm_bias, u));
    TRY(layer_linear(ops, &b->cross.q, t->S, u, q));
    TRY(norm_heads(t, t->S, q, b->cross.norm_q));
    TRY(attend(t, M, q, k, v, u));
    TRY(layer_linear_with(ops, &b->cross.o, t->S, u, EPI_ADD, x, NO_TENSOR, x));
    ops->release(ops, &q);
    return ST_OK;
}

static enum status mlp(struct transformer *t, const struct transformer_block *b, struct tensor x,
                       struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, t->S, t->config->F, "mlp"));
    TRY(modulate(t, MODULATE_ADALN, x, row(t->rows, SCALE_MLP), row(t->rows, SHIFT_MLP), u));
    TRY(layer_linear_with(ops, &b->up, t->S, u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(layer_linear_with(ops, &b->down, t->S, h, EPI_GATE, x, row(t->rows, GATE_MLP), x));
    ops->release(ops, &h);
    return ST_OK;
}

static enum status embed_patches(struct transformer *t, struct tensor latents, struct tensor x)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ops->type, t->S, t->patch.K, "patches"));
    const struct patchify_problem p = {.B = 1,
                                       .T = t->T,
                                       .H = t->H,
                                       .W = t->W,
                                       .C = c->in_channels,
                                       .pt = c->pt,
                                       .ph = c->ph,
                                       .pw = c->pw,
                                       .x = latents,
                                       .y = patches};
    TRY(ops->patchify(ops, &p));
    TRY(layer_linear(ops, &t->patch, t->S, patches, x));
    ops->release(ops, &patches);
    return ST_OK;
}

static enum status run_head(struct transformer *t, struct tensor x, struct tensor u,
                            struct tensor velocity)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ELEM_F32, t->S, t->head.O, "head"));
    TRY(add_rows(t, HEAD_ROWS, t->table, t->time, 1));
    TRY(modulate(t, MODULATE_ADALN, x, row(t->rows, SCALE_HEAD), row(t->rows, SHIFT_HEAD), u));
    TRY(layer_linear(ops, &t->head, t->S, u, patches));
    const struct unpatchify_problem p = {.B = 1,
                                         .T = t->T,
                                         .H = t->H,
                                         .W = t->W,
                                         .C = c->out_channels,
                                         .pt = c->pt,
                                         .ph = c->ph,
                                         .pw = c->pw,
                                         .x = patches,
                                         .y = velocity};
    TRY(ops->unpatchify(ops, &p));
    ops->release(ops, &patches);
    return ST_OK;
}

enum status transformer_forward(struct transformer *t, const struct transformer_context *context,
                                struct tensor latents, struct tensor velocity)
{
    struct ops *ops = t->ops;
    struct tensor x, u;
    TRY(ops->alloc(ops, &x, ELEM_F32, t->S, t->C, "x"));
    TRY(ops->alloc(ops, &u, ops->type, t->S, t->C, "u"));
    TRY(embed_patches(t, latents, x));
    for (int64_t i = 0; i < t->config->layers; i++) {
        const struct transformer_block *b = &t->block[i];
        TRY(add_rows(t, MODULATION_ROWS, t->modulation, b->table, MODULATION_ROWS));
        TRY(self_attention(t, b, x, u));
        TRY(cross_attention(t, b, context->k[i], context->v[i], context->M, x, u));
        TRY(mlp(t, b, x, u));
    }
    TRY(run_head(t, x, u, velocity));
    ops->release(ops, &u);
    ops->release(ops, &x);
    return ST_OK;
}

/* ---- as a family ----------------------------------------------------------------------------- */

static enum status family_load(struct ops *ops, const struct model_config *model, void *network)
{
    return transformer_load(ops, &model->transformer, network);
}

static void family_free(void *network) { transformer_free(network); }

static enum status family_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    (void)fps; /* positions are counted in latent frames */
    return transformer_begin(network, T, H, W);
}

static enum status family_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    return transformer_context_new(network, prompt->text, prompt->rows, out);
}

static void family_condition_free(void *condition) { transformer_context_free(condition); }

static enum status family_set_time(void *network, const double *time, int64_t frames)
{
    (void)frames;
    return transformer_set_time(network, time[0]);
}

static enum status family_forward(void *network, const void *condition, struct tensor latents,
                                  struct tensor prediction)
{
    return transformer_forward(network, condition, latents, prediction);
}

const struct denoiser_family transformer_family_wan = {
    .name = "wan",
    .network_bytes = sizeof(struct transformer),
    .condition_bytes = sizeof(struct transformer_context),
    .load = family_load,
    .free = family_free,
    .begin = family_begin,
    .condition = family_condition,
    .condition_free = family_condition_free,
    .set_time = family_set_time,
    .forward = family_forward,
};
