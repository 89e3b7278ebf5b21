// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* transformer_condition.c   What steers the Wan transformer: keys and values of prompt and image,
 * and the vectors of the time. */
#include "model/transformer.h"

#include <stdlib.h>

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/time_embed/time_embed.h"

#define IMAGE_EPS 1e-5 /* of the norms around the image's rows; all others have the config's */

/* ---- keys and values ------------------------------------------------------------------------- */

enum status transformer_norm_heads(struct transformer *t, int64_t S, struct tensor x,
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

static enum status keys_new(struct transformer *t, int64_t M, struct transformer_keys *out)
{
    const size_t layers = (size_t)t->config->layers;
    *out = (struct transformer_keys){
        .M = M, .k = calloc(layers, sizeof *out->k), .v = calloc(layers, sizeof *out->v)};
    if (!out->k || !out->v)
        return fault_set(t->ops->fault, ST_NO_MEMORY, "no memory for the prompt's keys");
    return ST_OK;
}

static enum status make_keys(struct transformer *t, int64_t layer, struct tensor rows,
                             const struct layer_linear *k, const struct layer_linear *v,
                             struct tensor norm_k, struct transformer_keys *keys)
{
    struct ops *ops = t->ops;
    const int64_t all = t->clips * keys->M;
    TRY(ops->alloc(ops, &keys->k[layer], ops->type, all, t->C, "context.k"));
    TRY(ops->alloc(ops, &keys->v[layer], ops->type, all, t->C, "context.v"));
    TRY(layer_linear(ops, k, all, rows, keys->k[layer]));
    TRY(transformer_norm_heads(t, all, keys->k[layer], norm_k));
    return layer_linear(ops, v, all, rows, keys->v[layer]);
}

/* ---- prompt ---------------------------------------------------------------------------------- */

static enum status text_keys(struct transformer *t, const float *text, int64_t M,
                             struct transformer_keys *out)
{
    struct ops *ops = t->ops;
    const int64_t all = t->clips * M;
    struct tensor raw, hidden, rows;
    TRY(keys_new(t, M, out));
    TRY(ops->alloc(ops, &raw, ops->type, all, t->config->text_dim, "context.text"));
    TRY(ops->alloc(ops, &hidden, ops->type, all, t->C, "context.hidden"));
    TRY(ops->alloc(ops, &rows, ops->type, all, t->C, "context.embedded"));
    TRY(ops->put(ops, &raw, text, all, t->config->text_dim));
    TRY(layer_linear_with(ops, &t->text_1, all, raw, EPI_GELU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &t->text_2, all, hidden, rows));
    for (int64_t i = 0; i < t->config->layers; i++) {
        const struct transformer_attention *cross = &t->block[i].cross;
        TRY(make_keys(t, i, rows, &cross->k, &cross->v, cross->norm_k, out));
    }
    ops->release(ops, &rows);
    ops->release(ops, &hidden);
    ops->release(ops, &raw);
    return ST_OK;
}

/* ---- image ----------------------------------------------------------------------------------- */

static enum status add_positions(struct transformer *t, int64_t M, struct tensor x)
{
    const struct elementwise_problem p = {.S = M,
                                          .C = t->config->image_dim,
                                          .G = M,
                                          .kind = ELEMENTWISE_ADD,
                                          .a = x,
                                          .b = t->image.position,
                                          .y = x};
    return t->ops->elementwise(t->ops, &p);
}

/* rows = norm(down(gelu(up(norm(image + position))))), the exact gelu */
static enum status embed_image(struct transformer *t, const float *image, int64_t M,
                               struct tensor rows)
{
    struct ops *ops = t->ops;
    const struct transformer_image *e = &t->image;
    const int64_t width = t->config->image_dim;
    struct tensor raw, normed, hidden, wide;
    TRY(ops->alloc(ops, &raw, ELEM_F32, M, width, "image.raw"));
    TRY(ops->alloc(ops, &normed, ops->type, M, width, "image.normed"));
    TRY(ops->alloc(ops, &hidden, ops->type, M, width, "image.hidden"));
    TRY(ops->alloc(ops, &wide, ELEM_F32, M, t->C, "image.wide"));
    TRY(ops->put(ops, &raw, image, M, width));
    if (t->config->image_rows)
        TRY(add_positions(t, M, raw));
    TRY(layer_norm(ops, M, width, IMAGE_EPS, raw, &e->norm_1, normed));
    TRY(layer_linear(ops, &e->up, M, normed, hidden));
    TRY(layer_gelu_erf(ops, M, width, hidden));
    TRY(layer_linear(ops, &e->down, M, hidden, wide));
    TRY(layer_norm(ops, M, t->C, IMAGE_EPS, wide, &e->norm_2, rows));
    ops->release(ops, &wide);
    ops->release(ops, &hidden);
    ops->release(ops, &normed);
    ops->release(ops, &raw);
    return ST_OK;
}

static enum status image_keys(struct transformer *t, const float *image, int64_t M,
                              struct transformer_keys *out)
{
    struct ops *ops = t->ops;
    struct tensor rows;
    TRY(keys_new(t, M, out));
    TRY(ops->alloc(ops, &rows, ops->type, M, t->C, "image.embedded"));
    TRY(embed_image(t, image, M, rows));
    for (int64_t i = 0; i < t->config->layers; i++) {
        const struct transformer_image_keys *keys = &t->block[i].image;
        TRY(make_keys(t, i, rows, &keys->k, &keys->v, keys->norm_k, out));
    }
    ops->release(ops, &rows);
    return ST_OK;
}

static enum status check_image(const struct transformer *t, const struct denoiser_prompt *prompt)
{
    const struct transformer_config *c = t->config;
    if (c->image_dim ? prompt->image_rows && (!c->image_rows || prompt->image_rows == c->image_rows)
                     : !prompt->image_rows)
        return ST_OK;
    return fault_set(t->ops->fault, ST_BAD_INPUT,
                     "this transformer cannot attend to %lld rows of image features",
                     (long long)prompt->image_rows);
}

enum status transformer_context_new(struct transformer *t, const struct denoiser_prompt *prompt,
                                    struct transformer_context *out)
{
    *out = (struct transformer_context){0};
    TRY(check_image(t, prompt));
    TRY(text_keys(t, prompt->text, prompt->rows, &out->text));
    return prompt->image_rows ? image_keys(t, prompt->image, prompt->image_rows, &out->image)
                              : ST_OK;
}

void transformer_context_free(struct transformer_context *context)
{
    free(context->text.k);
    free(context->text.v);
    free(context->image.k);
    free(context->image.v);
    *context = (struct transformer_context){0};
}

/* ---- time ------------------------------------------------------------------------------------ */

/* One number per frame of tokens, or one for all. */
static enum status put_times(struct transformer *t, const double *time, struct tensor numbers)
{
    float *host = NULL;
    TRY(layer_host_alloc(t->ops, t->times, sizeof *host, &host));
    for (int64_t i = 0; host && i < t->times; i++)
        host[i] = (float)time[i * t->config->pt];
    const enum status status = t->ops->put(t->ops, &numbers, host, t->times, 1);
    free(host);
    return status;
}

/* modulation = Wp hidden + bp: of each time six rows side by side, which are then sorted so that a
 * row of all times is one piece. */
static enum status project_time(struct transformer *t, struct tensor hidden)
{
    struct ops *ops = t->ops;
    const int64_t all = TRANSFORMER_ROWS * t->C;
    struct tensor flat = t->modulation;
    flat.stride = all;
    if (t->times == 1)
        return layer_linear(ops, &t->time_projection, 1, hidden, flat);
    TRY(ops->alloc(ops, &flat, ELEM_F32, t->times, all, "time.flat"));
    TRY(layer_linear(ops, &t->time_projection, t->times, hidden, flat));
    for (int64_t i = 0; i < TRANSFORMER_ROWS; i++)
        TRY(layer_copy(ops, t->times, t->C, layer_view(flat, i * t->C),
                       layer_view(t->modulation, i * t->times * t->C)));
    ops->release(ops, &flat);
    return ST_OK;
}

/* time = W2 silu(W1 e + b1) + b2, modulation = Wp silu(time) + bp; both stay f32. */
enum status transformer_set_time(struct transformer *t, const double *time, int64_t frames)
{
    struct ops *ops = t->ops;
    t->times = t->frame_times && frames > 1 ? t->T / t->config->pt : 1;
    const int64_t n = t->times;
    struct tensor numbers, waves, hidden;
    TRY(ops->alloc(ops, &numbers, ELEM_F32, n, 1, "time.number"));
    TRY(ops->alloc(ops, &waves, ops->type, n, t->config->freq_dim, "time.waves"));
    TRY(ops->alloc(ops, &hidden, ops->type, n, t->C, "time.hidden"));
    TRY(put_times(t, time, numbers));
    const struct time_embed_problem embed = {
        .S = n, .C = t->config->freq_dim, .t = numbers, .y = waves};
    TRY(ops->time_embed(ops, &embed));
    TRY(layer_linear_with(ops, &t->time_1, n, waves, EPI_SILU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear(ops, &t->time_2, n, hidden, t->time));
    const struct elementwise_problem silu = {
        .S = n, .C = t->C, .G = 1, .kind = ELEMENTWISE_SILU, .a = t->time, .y = hidden};
    TRY(ops->elementwise(ops, &silu));
    TRY(project_time(t, hidden));
    ops->release(ops, &hidden);
    ops->release(ops, &waves);
    ops->release(ops, &numbers);
    return ST_OK;
}
