// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/ltx.h"

#include <math.h>
#include <stdlib.h>

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "model/ltx_stream.h"

struct ltx {
    const struct model_config *model;
    struct ltx_stream stream;
};

static enum status ltx_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct ltx *t = network;
    const struct transformer_config *c = &model->transformer;
    const struct ltx_stream_config stream = {.prefix = "",
                                             .in_channels = c->in_channels,
                                             .out_channels = c->out_channels,
                                             .layers = c->layers,
                                             .N = c->N,
                                             .D = c->D,
                                             .F = c->F,
                                             .text_dim = c->text_dim,
                                             .freq_dim = c->freq_dim,
                                             .rope = QK_ROPE_PAIRS_OWN,
                                             .rows = LTX_ROWS,
                                             .eps = c->eps,
                                             .qk_eps = LTX_QK_EPS};
    t->model = model;
    return ltx_stream_load(ops, &stream, &t->stream);
}

static void ltx_free(void *network) { ltx_stream_free(&((struct ltx *)network)->stream); }

/* ---- positions ------------------------------------------------------------------------------- */

static float seconds_of(const struct ltx *t, int64_t frame, double fps)
{
    const int64_t scale = t->model->vae.scale_time;
    if (!t->model->ltx->pixel_frames)
        return (float)frame * (float)((double)scale / fps);
    const int64_t first = frame > 0 ? frame * scale + 1 - scale : 0;
    return (float)first * (float)(1.0 / fps);
}

static void fill_positions(const struct ltx *t, int64_t T, int64_t H, int64_t W, double fps,
                           float *position)
{
    const float scale = (float)t->model->vae.scale_space;
    for (int64_t cell = 0; cell < T * H * W; cell++, position += 3) {
        position[0] = seconds_of(t, cell / (H * W), fps) / LTX_SECONDS;
        position[1] = (float)(cell / W % H) * scale / LTX_PIXELS;
        position[2] = (float)(cell % W) * scale / LTX_PIXELS;
    }
}

static enum status ltx_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    struct ltx *t = network;
    float *position;
    TRY(layer_host_alloc(t->stream.ops, T * H * W * 3, sizeof *position, &position));
    if (position)
        fill_positions(t, T, H, W, fps, position);
    const enum status status = ltx_stream_begin(&t->stream, T * H * W, 3, position);
    free(position);
    return status;
}

/* A straight line through 0.95 at 1024 tokens and 2.05 at 4096, as an exponent. Far beyond these
 * f32 noise levels would fall together, so growth ends. */
double ltx_shift(int64_t tokens)
{
    const double slope = (2.05 - 0.95) / (4096 - 1024), most = 1e5;
    return fmin(exp((double)tokens * slope + (0.95 - slope * 1024)), most);
}

/* ---- as a family ----------------------------------------------------------------------------- */

/* Masked rows have no weight in the softmax, so only real rows are there; where none is, the mask
 * moves every score alike. */
static enum status ltx_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct ltx_stream *s = &((struct ltx *)network)->stream;
    struct ops *ops = s->ops;
    const int64_t M = prompt->real > 0 ? prompt->real : prompt->rows;
    struct tensor text;
    TRY(ops->alloc(ops, &text, ops->type, M, s->config.text_dim, "context.text"));
    TRY(ops->put(ops, &text, prompt->text, M, s->config.text_dim));
    TRY(ltx_context_new(s, text, M, out));
    ops->release(ops, &text);
    return ST_OK;
}

static void ltx_condition_free(void *condition) { ltx_context_free(condition); }

static enum status ltx_set_time(void *network, const double *time, int64_t frames)
{
    (void)frames;
    return ltx_stream_set_time(&((struct ltx *)network)->stream, time[0]);
}

static enum status ltx_forward(void *network, const void *condition, struct tensor latents,
                               struct tensor prediction)
{
    struct ltx_stream *s = &((struct ltx *)network)->stream;
    TRY(ltx_stream_enter(s, latents));
    for (int64_t i = 0; i < s->config.layers; i++) {
        const struct ltx_layer *l = &s->layer[i];
        TRY(ltx_stream_rows(s, 0, LTX_ROWS, l->table));
        TRY(ltx_self_attention(s, l));
        TRY(layer_copy(s->ops, s->S, s->C, s->x, s->u)); /* no norm before the text */
        TRY(ltx_text_attention(s, l, condition, i));
        TRY(ltx_mlp(s, l));
    }
    return ltx_stream_leave(s, prediction);
}

const struct denoiser_family ltx_family = {
    .name = "ltx",
    .network_bytes = sizeof(struct ltx),
    .condition_bytes = sizeof(struct ltx_context),
    .load = ltx_load,
    .free = ltx_free,
    .begin = ltx_begin,
    .condition = ltx_condition,
    .condition_free = ltx_condition_free,
    .set_time = ltx_set_time,
    .forward = ltx_forward,
    .shift = ltx_shift,
};
