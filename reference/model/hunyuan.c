// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/hunyuan.h"

#include <math.h>
#include <stdlib.h>

#include "attention/patchify/patchify.h"
#include "attention/unpatchify/unpatchify.h"
#include "denoise/linear/linear.h"
#include "random.h"

/* The head's rows, unlike a block's, begin with the scale. */
enum { SCALE_HEAD = 0, SHIFT_HEAD, HEAD_ROWS };

/* The network is told the guidance in the unit of its times. */
#define GUIDANCE_UNIT 1000.0

/* ---- weights --------------------------------------------------------------------------------- */

static int64_t patch_cells(const struct transformer_config *c) { return c->pt * c->ph * c->pw; }

static enum status load_patch(struct hunyuan *h)
{
    const struct transformer_config *c = h->config;
    const int64_t channels = c->in_channels + h->own->image_channels;
    h->patch = (struct layer_linear){.O = h->C, .K = channels * patch_cells(c)};
    TRY(layer_load(h->ops, "x_embedder.proj", ".weight", WEIGHT_MATRIX, 0,
                   DIMS(h->C, channels, c->pt, c->ph, c->pw), &h->patch.w));
    return layer_load(h->ops, "x_embedder.proj", ".bias", WEIGHT_BIAS, 0, DIMS(h->C),
                      &h->patch.bias);
}

static enum status load_embedder(const struct hunyuan *h, const char *prefix, int64_t K,
                                 struct hunyuan_mlp *out)
{
    return hunyuan_load_mlp(h->ops, prefix, "linear_1", "linear_2", h->C, K, h->C, out);
}

static enum status load_text(struct hunyuan *h)
{
    const struct transformer_config *c = h->config;
    TRY(load_embedder(h, "context_embedder.time_text_embed.timestep_embedder.", c->freq_dim,
                      &h->refiner_time));
    TRY(load_embedder(h, "context_embedder.time_text_embed.text_embedder.", c->text_dim,
                      &h->refiner_pooled));
    return layer_load_linear(h->ops, "context_embedder.", "proj_in", 2, h->C, c->text_dim, 0, true,
                             &h->text_in);
}

enum status hunyuan_load(struct hunyuan *h, struct ops *ops, const struct model_config *model,
                         const char *time)
{
    const struct transformer_config *c = &model->transformer;
    *h = (struct hunyuan){.ops = ops,
                          .config = c,
                          .own = model->hunyuan,
                          .C = c->N * c->D,
                          .text_rows = model->text.rows,
                          .told_guidance = model->told_guidance,
                          .text_kind = NO_TENSOR};
    TRY(load_patch(h));
    TRY(load_embedder(h, time, c->freq_dim, &h->time));
    TRY(load_text(h));
    TRY(hunyuan_load_blocks(h));
    TRY(layer_load_linear(ops, "", "norm_out.linear", 2, HEAD_ROWS * h->C, h->C, 0, true,
                          &h->head_modulation));
    return layer_load_linear(ops, "", "proj_out", 2, patch_cells(c) * c->out_channels, h->C, 0,
                             true, &h->head);
}

void hunyuan_free(void *network)
{
    struct hunyuan *h = network;
    free(h->refiner);
    free(h->dual);
    free(h->single);
    h->refiner = NULL, h->dual = NULL, h->single = NULL;
}

/* ---- grid ------------------------------------------------------------------------------------ */

/* One axis' share of a token's row: channels / 2 angles, frequencies theta^(-2i / channels). */
static int64_t rotate_axis(float *cosine, float *sine, int64_t position, int64_t channels,
                           double theta)
{
    for (int64_t i = 0; i < channels / 2; i++) {
        const double angle = (double)position * pow(theta, -2.0 * (double)i / (double)channels);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    return channels / 2;
}

/* Rows of text after those of video are turned by nothing, so that one product with the weights of
 * a block of one stream serves both. */
static void fill_rotation(const void *network, float *cosine, float *sine)
{
    const struct hunyuan *h = network;
    const struct transformer_config *c = h->config;
    const int64_t rows = h->H / c->ph, columns = h->W / c->pw;
    for (int64_t s = 0; s < h->S; s++) {
        const int64_t position[] = {s / (rows * columns), s / columns % rows, s % columns};
        for (int k = 0; k < 3; k++) {
            const int64_t pairs =
                rotate_axis(cosine, sine, position[k], h->own->axis[k], h->own->theta);
            cosine += pairs, sine += pairs;
        }
    }
    for (int64_t i = 0; i < h->text_rows * c->D / 2; i++)
        cosine[i] = 1.0f;
}

/* Without an image its channels are zero in every step, and a patch has them last. */
static enum status put_no_image(struct hunyuan *h)
{
    const int64_t cells = patch_cells(h->config), count = h->own->image_channels * cells;
    const struct tensor image = layer_view(h->patches, h->config->in_channels * cells);
    float *zeros = NULL;
    if (!count)
        return ST_OK;
    TRY(layer_host_alloc(h->ops, h->S * count, sizeof *zeros, &zeros));
    const enum status status = h->ops->put(h->ops, &image, zeros, h->S, count);
    free(zeros);
    return status;
}

enum status hunyuan_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    (void)fps; /* positions are counted in latent frames */
    struct hunyuan *h = network;
    struct ops *ops = h->ops;
    const struct transformer_config *c = h->config;
    h->T = T, h->H = H, h->W = W;
    h->S = (T / c->pt) * (H / c->ph) * (W / c->pw);
    TRY(ops->alloc(ops, &h->patches, ops->type, h->S, h->patch.K, "patches"));
    TRY(ops->alloc(ops, &h->time_now, ELEM_F32, 1, h->C, "time"));
    TRY(ops->alloc(ops, &h->refiner_now, ELEM_F32, 1, h->C, "refiner.time"));
    for (int i = 0; i < HUNYUAN_STREAMS; i++)
        TRY(ops->alloc(ops, &h->rows[i], ELEM_F32, HUNYUAN_ROWS, h->C, "modulation.rows"));
    TRY(layer_rotation(ops, h->S + h->text_rows, c->D / 2, fill_rotation, h, &h->cos, &h->sin));
    return put_no_image(h);
}

/* ---- time and conditions --------------------------------------------------------------------- */

/* out = mlp(waves of number) */
static enum status embed_number(struct hunyuan *h, const struct hunyuan_mlp *m, double number,
                                struct tensor out)
{
    struct ops *ops = h->ops;
    struct tensor waves;
    TRY(ops->alloc(ops, &waves, ops->type, 1, h->config->freq_dim, "time.waves"));
    TRY(layer_embed_number(ops, number, h->config->freq_dim, 0, waves));
    TRY(hunyuan_run_mlp(h, m, 1, waves, EPI_SILU, EPI_NONE, NO_TENSOR, NO_TENSOR, out));
    ops->release(ops, &waves);
    return ST_OK;
}

enum status hunyuan_set_time(void *network, const double *time, int64_t frames)
{
    (void)frames;
    struct hunyuan *h = network;
    TRY(embed_number(h, &h->time, time[0], h->time_now));
    return embed_number(h, &h->refiner_time, time[0], h->refiner_now);
}

/* out = mlp(host) + aux, host [K] being a vector of the prompt and aux optional */
static enum status embed_vector(struct hunyuan *h, const struct hunyuan_mlp *m, const float *host,
                                struct tensor aux, struct tensor out)
{
    struct ops *ops = h->ops;
    struct tensor x;
    TRY(ops->alloc(ops, &x, ops->type, 1, m->up.K, "condition.vector"));
    TRY(ops->put(ops, &x, host, 1, m->up.K));
    TRY(hunyuan_run_mlp(h, m, 1, x, EPI_SILU, tensor_given(&aux) ? EPI_ADD : EPI_NONE, aux,
                        NO_TENSOR, out));
    ops->release(ops, &x);
    return ST_OK;
}

/* The refiner is steered by the mean of the text's rows as they are given. */
static enum status embed_mean(struct hunyuan *h, const struct denoiser_prompt *prompt,
                              struct tensor out)
{
    const int64_t K = h->config->text_dim;
    float *mean = NULL;
    TRY(layer_host_alloc(h->ops, K, sizeof *mean, &mean));
    for (int64_t k = 0; mean && k < K; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < prompt->real; i++)
            sum += prompt->text[i * K + k];
        mean[k] = (float)(sum / (double)prompt->real);
    }
    const enum status status = embed_vector(h, &h->refiner_pooled, mean, NO_TENSOR, out);
    free(mean);
    return status;
}

/* Padding rows are masked in the published model, which is to say that they are not there. */
enum status hunyuan_condition_text(struct hunyuan *h, const struct denoiser_prompt *prompt,
                                   int64_t fixed, struct hunyuan_condition *out)
{
    struct ops *ops = h->ops;
    const int64_t K = h->config->text_dim;
    struct tensor raw;
    if (prompt->real < 1 || prompt->real > h->text_rows)
        return fault_set(ops->fault, ST_BAD_INPUT, "%lld rows of text; this model takes 1 to %lld",
                         (long long)prompt->real, (long long)h->text_rows);
    *out = (struct hunyuan_condition){
        .count = fixed + prompt->real, .fixed = fixed, .vector = NO_TENSOR};
    TRY(ops->alloc(ops, &out->text, ELEM_F32, out->count, h->C, "condition.text"));
    TRY(ops->alloc(ops, &out->refiner, ELEM_F32, 1, h->C, "condition.refiner"));
    TRY(embed_mean(h, prompt, out->refiner));
    TRY(ops->alloc(ops, &raw, ops->type, prompt->real, K, "condition.raw"));
    TRY(ops->put(ops, &raw, prompt->text, prompt->real, K));
    TRY(layer_linear(ops, &h->text_in, prompt->real, raw, layer_view(out->text, fixed * h->C)));
    ops->release(ops, &raw);
    return ST_OK;
}

/* All of it are tensors of the stage. */
void hunyuan_condition_free(void *condition) { (void)condition; }

/* Where no pooled vector is given one is drawn, so that the work is the same. */
static enum status embed_pooled(struct hunyuan *h, const float *given, struct tensor out)
{
    const int64_t K = h->own->pooled_dim;
    const struct random_stream stream = random_stream_of(0, "pooled");
    float *pooled = NULL;
    TRY(layer_host_alloc(h->ops, K, sizeof *pooled, &pooled));
    for (int64_t i = 0; pooled && i < K; i++)
        pooled[i] = given ? given[i] : (float)random_normal(stream, (uint64_t)i);
    const enum status status =
        embed_vector(h, &h->pooled, pooled, h->told_guidance ? out : NO_TENSOR, out);
    free(pooled);
    return status;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* The text's rows of the sequence; only those that are not fixed depend on the time. */
static enum status embed_text(struct hunyuan *h, const struct hunyuan_condition *c, struct tensor x)
{
    struct ops *ops = h->ops;
    const int64_t refined = c->count - c->fixed;
    struct tensor vector, rows = layer_view(x, c->fixed * h->C);
    TRY(layer_copy(ops, c->count, h->C, c->text, x));
    TRY(ops->alloc(ops, &vector, ELEM_F32, 1, h->C, "refiner.vector"));
    TRY(hunyuan_add(h, 1, h->refiner_now, c->refiner, vector));
    TRY(hunyuan_refine(h, refined, vector, rows));
    ops->release(ops, &vector);
    return tensor_given(&h->text_kind) ? hunyuan_add(h, refined, rows, h->text_kind, rows) : ST_OK;
}

static enum status embed_patches(struct hunyuan *h, struct tensor latents, struct tensor x)
{
    const struct transformer_config *c = h->config;
    const struct patchify_problem p = {.B = 1,
                                       .T = h->T,
                                       .H = h->H,
                                       .W = h->W,
                                       .C = c->in_channels,
                                       .pt = c->pt,
                                       .ph = c->ph,
                                       .pw = c->pw,
                                       .x = latents,
                                       .y = h->patches};
    TRY(h->ops->patchify(h->ops, &p));
    return layer_linear(h->ops, &h->patch, h->S, h->patches, x);
}

static enum status run_head(struct hunyuan *h, struct tensor signal, struct tensor x,
                            struct tensor u, struct tensor prediction)
{
    struct ops *ops = h->ops;
    const struct transformer_config *c = h->config;
    struct tensor patches, rows = h->rows[HUNYUAN_VIDEO], flat = rows;
    flat.stride = h->head_modulation.O;
    TRY(ops->alloc(ops, &patches, ELEM_F32, h->S, h->head.O, "head"));
    TRY(layer_linear(ops, &h->head_modulation, 1, signal, flat));
    TRY(hunyuan_modulate(h, h->S, x, layer_view(rows, SCALE_HEAD * h->C),
                         layer_view(rows, SHIFT_HEAD * h->C), u));
    TRY(layer_linear(ops, &h->head, h->S, u, patches));
    const struct unpatchify_problem p = {.B = 1,
                                         .T = h->T,
                                         .H = h->H,
                                         .W = h->W,
                                         .C = c->out_channels,
                                         .pt = c->pt,
                                         .ph = c->ph,
                                         .pw = c->pw,
                                         .channel = UNPATCHIFY_SLOWEST,
                                         .x = patches,
                                         .y = prediction};
    TRY(ops->unpatchify(ops, &p));
    ops->release(ops, &patches);
    return ST_OK;
}

/* signal = silu(vector of time and prompt) */
static enum status make_signal(struct hunyuan *h, const struct hunyuan_condition *c,
                               struct tensor signal)
{
    struct ops *ops = h->ops;
    struct tensor vector;
    if (!tensor_given(&c->vector))
        return hunyuan_silu(h, h->time_now, signal);
    TRY(ops->alloc(ops, &vector, ELEM_F32, 1, h->C, "vector"));
    TRY(hunyuan_add(h, 1, h->time_now, c->vector, vector));
    TRY(hunyuan_silu(h, vector, signal));
    ops->release(ops, &vector);
    return ST_OK;
}

enum status hunyuan_forward(void *network, const void *condition, struct tensor latents,
                            struct tensor prediction)
{
    struct hunyuan *h = network;
    struct ops *ops = h->ops;
    const struct hunyuan_condition *c = condition;
    const int64_t S = h->S + c->count;
    struct tensor x, u, signal;
    TRY(ops->alloc(ops, &x, ELEM_F32, S, h->C, "x"));
    TRY(ops->alloc(ops, &u, ops->type, S, h->C, "u"));
    TRY(ops->alloc(ops, &signal, ops->type, 1, h->C, "signal"));
    TRY(embed_patches(h, latents, x));
    TRY(embed_text(h, c, layer_view(x, h->S * h->C)));
    TRY(make_signal(h, c, signal));
    TRY(hunyuan_run_blocks(h, c->count, signal, x, u));
    TRY(run_head(h, signal, x, u, prediction));
    ops->release(ops, &signal);
    ops->release(ops, &u);
    ops->release(ops, &x);
    return ST_OK;
}

/* ---- as a family ----------------------------------------------------------------------------- */

static enum status family_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct hunyuan *h = network;
    TRY(hunyuan_load(h, ops, model, "time_text_embed.timestep_embedder."));
    TRY(load_embedder(h, "time_text_embed.text_embedder.", h->own->pooled_dim, &h->pooled));
    if (!h->told_guidance)
        return ST_OK;
    return load_embedder(h, "time_text_embed.guidance_embedder.", h->config->freq_dim,
                         &h->guidance);
}

static enum status family_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct hunyuan *h = network;
    struct hunyuan_condition *c = out;
    TRY(hunyuan_condition_text(h, prompt, 0, c));
    TRY(h->ops->alloc(h->ops, &c->vector, ELEM_F32, 1, h->C, "condition.vector"));
    if (h->told_guidance)
        TRY(embed_number(h, &h->guidance, GUIDANCE_UNIT * prompt->guidance, c->vector));
    return embed_pooled(h, prompt->pooled, c->vector);
}

const struct denoiser_family hunyuan_family = {
    .name = "hunyuanvideo",
    .network_bytes = sizeof(struct hunyuan),
    .condition_bytes = sizeof(struct hunyuan_condition),
    .load = family_load,
    .free = hunyuan_free,
    .begin = hunyuan_begin,
    .condition = family_condition,
    .condition_free = hunyuan_condition_free,
    .set_time = hunyuan_set_time,
    .forward = hunyuan_forward,
};
