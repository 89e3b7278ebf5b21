// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/ltx_stream.h"

#include <math.h>
#include <stdlib.h>

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "attention/qkv/qkv.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"

enum { SHIFT_HEAD = 0, SCALE_HEAD, HEAD_ROWS };

#define TABLE_GAIN (-1)
#define HEAD_EPS 1e-6 /* of the layer norm before the head, whatever the other norms have */

/* ---- weights --------------------------------------------------------------------------------- */

enum status ltx_attention_load(struct ops *ops, const char *prefix, int64_t C, int64_t K, int64_t N,
                               int64_t D, struct ltx_attention *out)
{
    const int64_t width = N * D;
    out->N = N, out->D = D;
    TRY(layer_load_linear(ops, prefix, "to_q", 2, width, C, 0, true, &out->q));
    TRY(layer_load_linear(ops, prefix, "to_k", 2, width, K, 0, true, &out->k));
    TRY(layer_load_linear(ops, prefix, "to_v", 2, width, K, 0, true, &out->v));
    TRY(layer_load_linear(ops, prefix, "to_out.0", 2, C, width, 0, true, &out->o));
    TRY(layer_load(ops, prefix, "norm_q.weight", WEIGHT_GAIN, 0, DIMS(width), &out->norm_q));
    return layer_load(ops, prefix, "norm_k.weight", WEIGHT_GAIN, 0, DIMS(width), &out->norm_k);
}

enum status ltx_time_load(struct ops *ops, const char *prefix, int64_t C, int64_t freq_dim,
                          int64_t rows, struct ltx_time *out)
{
    TRY(layer_load_linear(ops, prefix, "emb.timestep_embedder.linear_1", 2, C, freq_dim, 0, true,
                          &out->in));
    TRY(layer_load_linear(ops, prefix, "emb.timestep_embedder.linear_2", 2, C, C, 0, true,
                          &out->hidden));
    return layer_load_linear(ops, prefix, "linear", 2, rows * C, C, 0, true, &out->rows);
}

static enum status load_layer(struct ltx_stream *s, int64_t index, struct ltx_layer *l)
{
    struct ops *ops = s->ops;
    const struct ltx_stream_config *c = &s->config;
    char block[LAYER_NAME_MAX], part[LAYER_NAME_MAX];
    snprintf(block, sizeof block, "transformer_blocks.%d.%s", (int)index, c->prefix);
    TRY(layer_load(ops, block, "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN, DIMS(LTX_ROWS, s->C),
                   &l->table));
    snprintf(part, sizeof part, "transformer_blocks.%d.%sattn1.", (int)index, c->prefix);
    TRY(ltx_attention_load(ops, part, s->C, s->C, c->N, c->D, &l->self));
    snprintf(part, sizeof part, "transformer_blocks.%d.%sattn2.", (int)index, c->prefix);
    TRY(ltx_attention_load(ops, part, s->C, s->C, c->N, c->D, &l->text));
    TRY(layer_load_linear(ops, block, "ff.net.0.proj", 2, c->F, s->C, 0, true, &l->up));
    return layer_load_linear(ops, block, "ff.net.2", 2, s->C, c->F, 0, true, &l->down);
}

enum status ltx_stream_load(struct ops *ops, const struct ltx_stream_config *config,
                            struct ltx_stream *out)
{
    const struct ltx_stream_config *c = config;
    char time[LAYER_NAME_MAX];
    *out = (struct ltx_stream){.ops = ops, .config = *c, .C = c->N * c->D};
    out->layer = calloc((size_t)c->layers, sizeof *out->layer);
    if (!out->layer)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    snprintf(time, sizeof time, "%stime_embed.", c->prefix);
    TRY(layer_load_linear(ops, c->prefix, "proj_in", 2, out->C, c->in_channels, 0, true, &out->in));
    TRY(ltx_time_load(ops, time, out->C, c->freq_dim, LTX_ROWS, &out->time));
    TRY(layer_load_linear(ops, c->prefix, "caption_projection.linear_1", 2, out->C, c->text_dim, 0,
                          true, &out->text_1));
    TRY(layer_load_linear(ops, c->prefix, "caption_projection.linear_2", 2, out->C, out->C, 0, true,
                          &out->text_2));
    for (int64_t i = 0; i < c->layers; i++)
        TRY(load_layer(out, i, &out->layer[i]));
    TRY(layer_load(ops, c->prefix, "scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                   DIMS(HEAD_ROWS, out->C), &out->table));
    return layer_load_linear(ops, c->prefix, "proj_out", 2, c->out_channels, out->C, 0, true,
                             &out->out);
}

void ltx_stream_free(struct ltx_stream *s)
{
    free(s->layer);
    s->layer = NULL;
}

/* ---- positions ------------------------------------------------------------------------------- */

/* What ltx_rotation_new() is given. */
struct places {
    int64_t S, width, axes;
    const float *position;
};

/* Frequencies 1 .. 10000 quarter turns, for every axis alike; what they leave of the width comes
 * first and stays as it is. The order of roundings is the published code's: the fastest angles are
 * thousands of turns, of which f32 keeps three digits after the point, so that an angle rounded
 * elsewhere is another angle. */
static void fill_rotation(const void *user, float *cosine, float *sine)
{
    const struct places *p = user;
    const float *position = p->position;
    const int64_t axes = p->axes, pairs = p->width / 2, steps = p->width / (2 * axes);
    const int64_t still = pairs - steps * axes;
    const double half_pi = acos(0.0);
    for (int64_t s = 0; s < p->S; s++, position += axes, cosine += pairs, sine += pairs) {
        for (int64_t i = 0; i < still; i++)
            cosine[i] = 1.0f, sine[i] = 0.0f;
        for (int64_t i = 0; i < steps * axes; i++) {
            const double part = steps > 1 ? (double)(i / axes) / (double)(steps - 1) : 0.0;
            const float frequency = (float)(pow(10000.0, part) * half_pi);
            const float angle = (position[i % axes] * 2.0f - 1.0f) * frequency;
            cosine[still + i] = (float)cos((double)angle);
            sine[still + i] = (float)sin((double)angle);
        }
    }
}

enum status ltx_rotation_new(struct ops *ops, int64_t S, int64_t width, int64_t axes,
                             const float *position, struct ltx_rotation *out)
{
    const struct places places = {S, width, axes, position};
    return layer_rotation(ops, S, width / 2, fill_rotation, &places, &out->cos, &out->sin);
}

enum status ltx_stream_begin(struct ltx_stream *s, int64_t S, int64_t axes, const float *position)
{
    struct ops *ops = s->ops;
    s->S = S;
    TRY(ops->alloc(ops, &s->embedded, ELEM_F32, 1, s->C, "time"));
    TRY(ops->alloc(ops, &s->modulation, ELEM_F32, s->config.rows, s->C, "modulation"));
    TRY(ops->alloc(ops, &s->rows, ELEM_F32, s->config.rows, s->C, "modulation.rows"));
    return ltx_rotation_new(ops, S, s->C, axes, position, &s->rotation);
}

/* ---- attention ------------------------------------------------------------------------------- */

enum status ltx_turn(struct ops *ops, const struct ltx_attention *a,
                     const struct ltx_stream_config *c, int64_t S, struct tensor weight,
                     const struct ltx_rotation *rotation, struct tensor x)
{
    struct qk_norm_rope_problem p = {.B = 1,
                                     .S = S,
                                     .N = a->N,
                                     .D = a->D,
                                     .norm = QK_NORM_ALL,
                                     .rope = rotation ? c->rope : QK_ROPE_NONE,
                                     .eps = c->qk_eps,
                                     .x = x,
                                     .weight = weight,
                                     .y = x};
    if (rotation)
        p.cos = rotation->cos, p.sin = rotation->sin;
    return ops->qk_norm_rope(ops, &p);
}

enum status ltx_attend(struct ops *ops, const struct ltx_attention *a, int64_t Sq, int64_t Sk,
                       struct tensor q, struct tensor k, struct tensor v, struct tensor o)
{
    return layer_attend(ops, 1, a->N, a->D, Sq, Sk, q, k, v, o);
}

/* ---- conditions ------------------------------------------------------------------------------ */

static enum status context_layers(struct ltx_stream *s, struct tensor text,
                                  struct ltx_context *context)
{
    struct ops *ops = s->ops;
    for (int64_t i = 0; i < s->config.layers; i++) {
        const struct ltx_attention *a = &s->layer[i].text;
        TRY(ops->alloc(ops, &context->k[i], ops->type, context->M, s->C, "context.k"));
        TRY(ops->alloc(ops, &context->v[i], ops->type, context->M, s->C, "context.v"));
        TRY(layer_linear(ops, &a->k, context->M, text, context->k[i]));
        TRY(ltx_turn(ops, a, &s->config, context->M, a->norm_k, NULL, context->k[i]));
        TRY(layer_linear(ops, &a->v, context->M, text, context->v[i]));
    }
    return ST_OK;
}

enum status ltx_context_new(struct ltx_stream *s, struct tensor text, int64_t M,
                            struct ltx_context *out)
{
    struct ops *ops = s->ops;
    const size_t layers = (size_t)s->config.layers;
    *out = (struct ltx_context){
        .M = M, .k = calloc(layers, sizeof *out->k), .v = calloc(layers, sizeof *out->v)};
    if (!out->k || !out->v)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the prompt's keys");
    struct tensor hidden, embedded;
    TRY(ops->alloc(ops, &hidden, ops->type, M, s->C, "context.hidden"));
    TRY(ops->alloc(ops, &embedded, ops->type, M, s->C, "context.embedded"));
    TRY(layer_linear_with(ops, &s->text_1, M, text, EPI_GELU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &s->text_2, M, hidden, embedded));
    TRY(context_layers(s, embedded, out));
    ops->release(ops, &embedded);
    ops->release(ops, &hidden);
    return ST_OK;
}

void ltx_context_free(struct ltx_context *context)
{
    free(context->k);
    free(context->v);
    *context = (struct ltx_context){0};
}

/* embedded = W2 silu(W1 e + b1) + b2, rows = W silu(embedded) + b */
enum status ltx_time_run(struct ops *ops, const struct ltx_time *time, double value,
                         struct tensor embedded, struct tensor rows)
{
    const int64_t C = time->in.O;
    struct tensor waves, hidden;
    TRY(ops->alloc(ops, &waves, ops->type, 1, time->in.K, "time.waves"));
    TRY(ops->alloc(ops, &hidden, ops->type, 1, C, "time.hidden"));
    TRY(layer_embed_number(ops, value, time->in.K, 0, waves));
    TRY(layer_linear_with(ops, &time->in, 1, waves, EPI_SILU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &time->hidden, 1, hidden, embedded));
    const struct elementwise_problem silu = {
        .S = 1, .C = C, .G = 1, .kind = ELEMENTWISE_SILU, .a = embedded, .y = hidden};
    TRY(ops->elementwise(ops, &silu));
    rows.stride = time->rows.O; /* one row of them all */
    TRY(layer_linear(ops, &time->rows, 1, hidden, rows));
    ops->release(ops, &hidden);
    ops->release(ops, &waves);
    return ST_OK;
}

enum status ltx_stream_set_time(struct ltx_stream *s, double time)
{
    return ltx_time_run(s->ops, &s->time, time, s->embedded, s->modulation);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

struct tensor ltx_stream_row(const struct ltx_stream *s, int64_t index)
{
    return layer_row(s->rows, index);
}

enum status ltx_stream_rows(struct ltx_stream *s, int64_t first, int64_t count, struct tensor table)
{
    const struct elementwise_problem p = {.S = count,
                                          .C = s->C,
                                          .G = count,
                                          .kind = ELEMENTWISE_ADD,
                                          .a = layer_row(s->modulation, first),
                                          .b = table,
                                          .y = layer_row(s->rows, first)};
    return s->ops->elementwise(s->ops, &p);
}

static enum status modulate(struct ltx_stream *s, enum modulate_norm norm, double eps,
                            struct tensor scale, struct tensor shift, struct tensor y)
{
    const struct modulate_problem p = {.S = s->S,
                                       .C = s->C,
                                       .G = 1,
                                       .norm = norm,
                                       .form = MODULATE_ADALN,
                                       .eps = eps,
                                       .x = s->x,
                                       .scale = scale,
                                       .shift = shift,
                                       .y = y};
    return s->ops->modulate(s->ops, &p);
}

enum status ltx_stream_modulate(struct ltx_stream *s, struct tensor scale, struct tensor shift,
                                struct tensor u)
{
    return modulate(s, MODULATE_RMS, s->config.eps, scale, shift, u);
}

enum status ltx_self_attention(struct ltx_stream *s, const struct ltx_layer *l)
{
    struct ops *ops = s->ops;
    const struct ltx_attention *a = &l->self;
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, s->S, s->C, "self.q"));
    TRY(ops->alloc(ops, &k, ops->type, s->S, s->C, "self.k"));
    TRY(ops->alloc(ops, &v, ops->type, s->S, s->C, "self.v"));
    TRY(ltx_stream_modulate(s, layer_row(s->rows, LTX_SCALE_SELF),
                            layer_row(s->rows, LTX_SHIFT_SELF), s->u));
    const struct qkv_problem p = {.B = 1,
                                  .S = s->S,
                                  .C = s->C,
                                  .N = a->N,
                                  .D = a->D,
                                  .norm = QK_NORM_ALL,
                                  .rope = s->config.rope,
                                  .eps = s->config.qk_eps,
                                  .x = s->u,
                                  .wq = a->q.w,
                                  .wk = a->k.w,
                                  .wv = a->v.w,
                                  .bq = a->q.bias,
                                  .bk = a->k.bias,
                                  .bv = a->v.bias,
                                  .nq = a->norm_q,
                                  .nk = a->norm_k,
                                  .cos = s->rotation.cos,
                                  .sin = s->rotation.sin,
                                  .q = q,
                                  .k = k,
                                  .v = v};
    TRY(ops->qkv(ops, &p));
    TRY(ltx_attend(ops, a, s->S, s->S, q, k, v, s->u));
    TRY(layer_linear_with(ops, &a->o, s->S, s->u, EPI_GATE, s->x, layer_row(s->rows, LTX_GATE_SELF),
                          s->x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

enum status ltx_text_attention(struct ltx_stream *s, const struct ltx_layer *l,
                               const struct ltx_context *context, int64_t layer)
{
    struct ops *ops = s->ops;
    const struct ltx_attention *a = &l->text;
    struct tensor q;
    TRY(ops->alloc(ops, &q, ops->type, s->S, s->C, "text.q"));
    TRY(layer_linear(ops, &a->q, s->S, s->u, q));
    TRY(ltx_turn(ops, a, &s->config, s->S, a->norm_q, NULL, q));
    TRY(ltx_attend(ops, a, s->S, context->M, q, context->k[layer], context->v[layer], s->u));
    TRY(layer_linear_with(ops, &a->o, s->S, s->u, EPI_ADD, s->x, NO_TENSOR, s->x));
    ops->release(ops, &q);
    return ST_OK;
}

enum status ltx_mlp(struct ltx_stream *s, const struct ltx_layer *l)
{
    struct ops *ops = s->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, s->S, s->config.F, "mlp"));
    TRY(ltx_stream_modulate(s, layer_row(s->rows, LTX_SCALE_MLP), layer_row(s->rows, LTX_SHIFT_MLP),
                            s->u));
    TRY(layer_linear_with(ops, &l->up, s->S, s->u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(layer_linear_with(ops, &l->down, s->S, h, EPI_GATE, s->x, layer_row(s->rows, LTX_GATE_MLP),
                          s->x));
    ops->release(ops, &h);
    return ST_OK;
}

/* ---- in and out ------------------------------------------------------------------------------ */

enum status ltx_stream_enter(struct ltx_stream *s, struct tensor latents)
{
    struct ops *ops = s->ops;
    const int64_t in = s->config.in_channels;
    struct tensor tokens;
    TRY(ops->alloc(ops, &s->x, ELEM_F32, s->S, s->C, "x"));
    TRY(ops->alloc(ops, &s->u, ops->type, s->S, s->C, "u"));
    TRY(ops->alloc(ops, &tokens, ops->type, s->S, in, "tokens"));
    TRY(layer_copy(ops, s->S, in, latents, tokens));
    TRY(layer_linear(ops, &s->in, s->S, tokens, s->x));
    ops->release(ops, &tokens);
    return ST_OK;
}

enum status ltx_stream_leave(struct ltx_stream *s, struct tensor prediction)
{
    struct ops *ops = s->ops;
    const struct elementwise_problem p = {.S = HEAD_ROWS,
                                          .C = s->C,
                                          .G = 1,
                                          .kind = ELEMENTWISE_ADD,
                                          .a = s->table,
                                          .b = s->embedded,
                                          .y = s->rows};
    TRY(ops->elementwise(ops, &p));
    TRY(modulate(s, MODULATE_LAYER, HEAD_EPS, layer_row(s->rows, SCALE_HEAD),
                 layer_row(s->rows, SHIFT_HEAD), s->u));
    TRY(layer_linear(ops, &s->out, s->S, s->u, prediction));
    ops->release(ops, &s->u);
    ops->release(ops, &s->x);
    return ST_OK;
}
