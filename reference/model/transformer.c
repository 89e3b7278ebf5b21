// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/transformer.h"

#include <math.h>

#include "attention/patchify/patchify.h"
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "attention/qkv/qkv.h"
#include "attention/unpatchify/unpatchify.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"

/* Rows of the modulation: three for self attention, three for the MLP. */
enum { SHIFT_SELF = 0, SCALE_SELF, GATE_SELF, SHIFT_MLP, SCALE_MLP, GATE_MLP };
enum { SHIFT_HEAD = 0, SCALE_HEAD };

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
static void fill_rotation(const void *network, float *cosine, float *sine)
{
    const struct transformer *t = network;
    const struct transformer_config *c = t->config;
    const int64_t space = c->D / 6, pairs = c->D / 2, time = pairs - 2 * space;
    const int64_t rows = t->H / c->ph, columns = t->W / c->pw;
    for (int64_t s = 0; s < t->S; s++, cosine += pairs, sine += pairs) {
        rotate_axis(cosine, sine, s / (rows * columns), time);
        rotate_axis(cosine + time, sine + time, s / columns % rows, space);
        rotate_axis(cosine + time + space, sine + time + space, s % columns, space);
    }
}

enum status transformer_begin(struct transformer *t, int64_t T, int64_t H, int64_t W)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    t->T = T, t->H = H, t->W = W;
    t->S = (T / c->pt) * (H / c->ph) * (W / c->pw);
    const int64_t times = t->frame_times ? T / c->pt : 1;
    TRY(ops->alloc(ops, &t->time, ELEM_F32, times, t->C, "time"));
    TRY(ops->alloc(ops, &t->modulation, ELEM_F32, TRANSFORMER_ROWS * times, t->C, "modulation"));
    TRY(ops->alloc(ops, &t->rows, ELEM_F32, TRANSFORMER_ROWS * times, t->C, "modulation.rows"));
    return layer_rotation(ops, t->S, c->D / 2, fill_rotation, t, &t->cos, &t->sin);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Tokens of all clips. */
static int64_t rows_of(const struct transformer *t) { return t->clips * t->S; }

/* The row of every time that has one. */
static struct tensor row(const struct transformer *t, int64_t index)
{
    return layer_view(t->rows, index * t->times * t->C);
}

/* y [S][C] = a + b [G][C] */
static enum status add_rows(struct transformer *t, int64_t S, int64_t G, struct tensor a,
                            struct tensor b, struct tensor y)
{
    const struct elementwise_problem p = {
        .S = S, .C = t->C, .G = G, .kind = ELEMENTWISE_ADD, .a = a, .b = b, .y = y};
    return t->ops->elementwise(t->ops, &p);
}

static enum status block_rows(struct transformer *t, const struct transformer_block *b)
{
    return add_rows(t, TRANSFORMER_ROWS * t->times, TRANSFORMER_ROWS, t->modulation, b->table,
                    t->rows);
}

static enum status head_rows(struct transformer *t)
{
    for (int64_t i = 0; i < TRANSFORMER_HEAD_ROWS; i++)
        TRY(add_rows(t, t->times, 1, t->time, layer_view(t->table, i * t->C), row(t, i)));
    return ST_OK;
}

/* Normalises x, then scales and shifts it by the two rows of the times. */
static enum status modulate(struct transformer *t, struct tensor x, int64_t scale, int64_t shift,
                            struct tensor y)
{
    const struct modulate_problem p = {.S = rows_of(t),
                                       .C = t->C,
                                       .G = t->times,
                                       .norm = MODULATE_LAYER,
                                       .form = MODULATE_ADALN,
                                       .eps = t->config->eps,
                                       .x = x,
                                       .scale = row(t, scale),
                                       .shift = row(t, shift),
                                       .y = y};
    return t->ops->modulate(t->ops, &p);
}

/* x += gate (l of u), the gate being a row of the times */
static enum status add_gated(struct transformer *t, const struct layer_linear *l, struct tensor u,
                             int64_t gate, struct tensor x)
{
    const struct linear_problem p = {.S = rows_of(t),
                                     .K = l->K,
                                     .O = l->O,
                                     .G = t->times,
                                     .epilogue = EPI_GATE,
                                     .x = u,
                                     .w = l->w,
                                     .bias = l->bias,
                                     .gate = row(t, gate),
                                     .aux = x,
                                     .y = x};
    return t->ops->linear(t->ops, &p);
}

static enum status attend(struct transformer *t, int64_t keys, struct tensor q, struct tensor k,
                          struct tensor v, struct tensor o)
{
    const struct transformer_config *c = t->config;
    return layer_attend(t->ops, t->clips, c->N, c->D, t->S, keys, q, k, v, o);
}

static enum status self_attention(struct transformer *t, const struct transformer_block *b,
                                  struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const struct transformer_attention *a = &b->self;
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, rows_of(t), t->C, "self.q"));
    TRY(ops->alloc(ops, &k, ops->type, rows_of(t), t->C, "self.k"));
    TRY(ops->alloc(ops, &v, ops->type, rows_of(t), t->C, "self.v"));
    TRY(modulate(t, x, SCALE_SELF, SHIFT_SELF, u));
    const struct qkv_problem p = {.B = t->clips,
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
    TRY(add_gated(t, &a->o, u, GATE_SELF, x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

/* u += attention to the image's rows, which has a softmax of its own */
static enum status attend_image(struct transformer *t, int64_t M, struct tensor q, struct tensor k,
                                struct tensor v, struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor o;
    TRY(ops->alloc(ops, &o, ops->type, rows_of(t), t->C, "cross.image"));
    TRY(attend(t, M, q, k, v, o));
    const struct elementwise_problem p = {
        .S = rows_of(t), .C = t->C, .G = 1, .kind = ELEMENTWISE_SUM, .a = u, .b = o, .y = u};
    TRY(ops->elementwise(ops, &p));
    ops->release(ops, &o);
    return ST_OK;
}

static enum status cross_attention(struct transformer *t, int64_t index,
                                   const struct transformer_context *context, struct tensor x,
                                   struct tensor u)
{
    struct ops *ops = t->ops;
    const struct transformer_block *b = &t->block[index];
    const struct transformer_keys *text = &context->text, *image = &context->image;
    struct tensor q;
    TRY(ops->alloc(ops, &q, ops->type, rows_of(t), t->C, "cross.q"));
    TRY(layer_norm(ops, rows_of(t), t->C, t->config->eps, x, &b->norm, u));
    TRY(layer_linear(ops, &b->cross.q, rows_of(t), u, q));
    TRY(transformer_norm_heads(t, rows_of(t), q, b->cross.norm_q));
    TRY(attend(t, text->M, q, text->k[index], text->v[index], u));
    if (image->M)
        TRY(attend_image(t, image->M, q, image->k[index], image->v[index], u));
    TRY(layer_linear_with(ops, &b->cross.o, rows_of(t), u, EPI_ADD, x, NO_TENSOR, x));
    ops->release(ops, &q);
    return ST_OK;
}

static enum status mlp(struct transformer *t, const struct transformer_block *b, struct tensor x,
                       struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, rows_of(t), t->config->F, "mlp"));
    TRY(modulate(t, x, SCALE_MLP, SHIFT_MLP, u));
    TRY(layer_linear_with(ops, &b->up, rows_of(t), u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(add_gated(t, &b->down, h, GATE_MLP, x));
    ops->release(ops, &h);
    return ST_OK;
}

static enum status embed_patches(struct transformer *t, struct tensor latents, struct tensor x)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ops->type, rows_of(t), t->patch.K, "patches"));
    const struct patchify_problem p = {.B = t->clips,
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
    TRY(layer_linear(ops, &t->patch, rows_of(t), patches, x));
    ops->release(ops, &patches);
    return ST_OK;
}

static enum status run_head(struct transformer *t, struct tensor x, struct tensor u,
                            struct tensor velocity)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ELEM_F32, rows_of(t), t->head.O, "head"));
    TRY(head_rows(t));
    TRY(modulate(t, x, SCALE_HEAD, SHIFT_HEAD, u));
    TRY(layer_linear(ops, &t->head, rows_of(t), u, patches));
    const struct unpatchify_problem p = {.B = t->clips,
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
    TRY(ops->alloc(ops, &x, ELEM_F32, rows_of(t), t->C, "x"));
    TRY(ops->alloc(ops, &u, ops->type, rows_of(t), t->C, "u"));
    TRY(embed_patches(t, latents, x));
    for (int64_t i = 0; i < t->config->layers; i++) {
        const struct transformer_block *b = &t->block[i];
        TRY(block_rows(t, b));
        TRY(self_attention(t, b, x, u));
        TRY(cross_attention(t, i, context, x, u));
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
    TRY(transformer_load(ops, &model->transformer, network));
    ((struct transformer *)network)->frame_times = model->image_input == IMAGE_FIRST_FRAME;
    return ST_OK;
}

static void family_free(void *network) { transformer_free(network); }

static enum status family_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    (void)fps; /* positions are counted in latent frames */
    return transformer_begin(network, T, H, W);
}

static enum status family_clips(void *network, int64_t clips)
{
    struct transformer *t = network;
    t->clips = clips;
    return ST_OK;
}

static enum status family_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    return transformer_context_new(network, prompt, out);
}

static void family_condition_free(void *condition) { transformer_context_free(condition); }

static enum status family_set_time(void *network, const double *time, int64_t frames)
{
    return transformer_set_time(network, time, frames);
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
    .clips = family_clips,
    .begin = family_begin,
    .condition = family_condition,
    .condition_free = family_condition_free,
    .set_time = family_set_time,
    .forward = family_forward,
};
