// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/cogvideox.h"

#include <stdlib.h>

#include "attention/patchify/patchify.h"
#include "attention/qkv/qkv.h"
#include "attention/unpatchify/unpatchify.h"
#include "denoise/linear/linear.h"

/* Fixed in the published class, whatever the eps of the other norms. */
#define HEAD_EPS 1e-6

/* ---- weights --------------------------------------------------------------------------------- */

static enum status load_norm(const struct cogvideox *t, const char *prefix, int64_t rows,
                             struct cogvideox_norm *n)
{
    TRY(layer_load_linear(t->ops, prefix, ".linear", 2, rows * t->C, t->own->time_dim, 0, true,
                          &n->modulation));
    return layer_load_norm(t->ops, prefix, ".norm", t->C, &n->norm);
}

static enum status load_attention(struct cogvideox *t, const char *prefix,
                                  struct cogvideox_block *b)
{
    struct ops *ops = t->ops;
    const int64_t C = t->C, D = t->config->D;
    TRY(layer_load_norm(ops, prefix, "norm_q", D, &b->norm_q));
    TRY(layer_load_norm(ops, prefix, "norm_k", D, &b->norm_k));
    TRY(layer_load_linear(ops, prefix, "to_q", 2, C, C, 0, true, &b->q));
    TRY(layer_load_linear(ops, prefix, "to_k", 2, C, C, 0, true, &b->k));
    TRY(layer_load_linear(ops, prefix, "to_v", 2, C, C, 0, true, &b->v));
    return layer_load_linear(ops, prefix, "to_out.0", 2, C, C, 0, true, &b->o);
}

static enum status load_block(struct cogvideox *t, int64_t index, struct cogvideox_block *b)
{
    struct ops *ops = t->ops;
    const int64_t C = t->C, F = t->config->F;
    char prefix[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.norm1", (int)index);
    TRY(load_norm(t, prefix, COGVIDEOX_ROWS, &b->attention));
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.attn1.", (int)index);
    TRY(load_attention(t, prefix, b));
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.norm2", (int)index);
    TRY(load_norm(t, prefix, COGVIDEOX_ROWS, &b->mlp));
    snprintf(prefix, sizeof prefix, "transformer_blocks.%d.ff.net.", (int)index);
    TRY(layer_load_linear(ops, prefix, "0.proj", 2, F, C, 0, true, &b->up));
    return layer_load_linear(ops, prefix, "2", 2, C, F, 0, true, &b->down);
}

/* A convolution over frames of their own, or a linear layer where patches span time. */
static enum status load_patch(struct cogvideox *t)
{
    const struct transformer_config *c = t->config;
    t->patch = (struct layer_linear){.O = t->C, .K = c->in_channels * c->pt * c->ph * c->pw};
    const int64_t dim[] = {t->C, c->in_channels, c->ph, c->pw}, flat[] = {t->C, t->patch.K};
    TRY(layer_load(t->ops, "patch_embed.proj", ".weight", WEIGHT_MATRIX, 0, c->pt > 1 ? 2 : 4,
                   c->pt > 1 ? flat : dim, &t->patch.w));
    return layer_load(t->ops, "patch_embed.proj", ".bias", WEIGHT_BIAS, 0, DIMS(t->C),
                      &t->patch.bias);
}

static enum status load_ends(struct cogvideox *t)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const int64_t E = t->own->time_dim;
    TRY(load_patch(t));
    TRY(layer_load_linear(ops, "patch_embed.", "text_proj", 2, t->C, c->text_dim, 0, true,
                          &t->text));
    TRY(layer_load_linear(ops, "time_embedding.", "linear_1", 2, E, t->C, 0, true, &t->time_1));
    TRY(layer_load_linear(ops, "time_embedding.", "linear_2", 2, E, E, 0, true, &t->time_2));
    TRY(layer_load_norm(ops, "", "norm_final", t->C, &t->final));
    TRY(load_norm(t, "norm_out", COGVIDEOX_OUT_ROWS, &t->out));
    return layer_load_linear(ops, "", "proj_out", 2, c->pt * c->ph * c->pw * c->out_channels, t->C,
                             0, true, &t->head);
}

static enum status family_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct cogvideox *t = network;
    const struct transformer_config *c = &model->transformer;
    *t = (struct cogvideox){
        .ops = ops, .config = c, .own = model->cogvideox, .C = c->N * c->D, .M = model->text.rows};
    t->block = calloc((size_t)c->layers, sizeof *t->block);
    if (!t->block)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    TRY(load_ends(t));
    for (int64_t i = 0; i < c->layers; i++)
        TRY(load_block(t, i, &t->block[i]));
    return ST_OK;
}

static void family_free(void *network) { free(((struct cogvideox *)network)->block); }

/* ---- conditions ------------------------------------------------------------------------------ */

static enum status family_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    (void)fps; /* positions are counted in latent frames */
    return cogvideox_begin(network, T, H, W);
}

/* Every row takes part in attention, those of padding too. */
static enum status family_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct cogvideox *t = network;
    struct cogvideox_text *text = out;
    struct ops *ops = t->ops;
    struct tensor raw;
    TRY(ops->alloc(ops, &text->rows, ELEM_F32, t->M, t->C, "text.rows"));
    TRY(ops->alloc(ops, &raw, ops->type, t->M, t->text.K, "text"));
    TRY(ops->put(ops, &raw, prompt->text, t->M, t->text.K));
    TRY(layer_linear(ops, &t->text, t->M, raw, text->rows));
    ops->release(ops, &raw);
    return ST_OK;
}

static void family_condition_free(void *condition) { (void)condition; }

static enum status family_set_time(void *network, const double *time, int64_t frames)
{
    (void)frames;
    return cogvideox_set_time(network, time[0]);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Text and video of the sequence: where their rows are and which rows of a norm are theirs. Both
 * begin as aligned as ops want it where M C is a multiple of 32, as in every published size. */
enum { TEXT = 0, VIDEO, PARTS };

struct part {
    int64_t first, count, row;
};

static struct part part_of(const struct cogvideox *t, int which)
{
    return which == TEXT ? (struct part){.first = 0, .count = t->M, .row = COGVIDEOX_TEXT}
                         : (struct part){.first = t->M, .count = t->S, .row = 0};
}

/* y = norm of x, scaled and shifted by the rows of a part */
static enum status normalise(const struct cogvideox *t, int64_t S, struct tensor rows,
                             struct tensor x, struct tensor y)
{
    const struct layer_norm n = {layer_row(rows, COGVIDEOX_SCALE),
                                 layer_row(rows, COGVIDEOX_SHIFT)};
    return layer_norm(t->ops, S, t->C, t->config->eps, x, &n, y);
}

/* u = norm of x, text and video each by their own rows */
static enum status open_branch(const struct cogvideox *t, struct tensor rows, struct tensor x,
                               struct tensor u)
{
    for (int i = 0; i < PARTS; i++) {
        const struct part p = part_of(t, i);
        TRY(normalise(t, p.count, layer_row(rows, p.row), layer_row(x, p.first),
                      layer_row(u, p.first)));
    }
    return ST_OK;
}

/* x = x + gate (layer of h), each by their own gate */
static enum status close_branch(const struct cogvideox *t, struct tensor rows,
                                const struct layer_linear *l, struct tensor h, struct tensor x)
{
    for (int i = 0; i < PARTS; i++) {
        const struct part p = part_of(t, i);
        TRY(layer_linear_with(t->ops, l, p.count, layer_row(h, p.first), EPI_GATE,
                              layer_row(x, p.first), layer_row(rows, p.row + COGVIDEOX_GATE),
                              layer_row(x, p.first)));
    }
    return ST_OK;
}

static enum status project(const struct cogvideox *t, const struct cogvideox_block *b,
                           struct tensor u, struct tensor q, struct tensor k, struct tensor v)
{
    const struct qkv_problem p = {.B = 1,
                                  .S = t->M + t->S,
                                  .C = t->C,
                                  .N = t->config->N,
                                  .D = t->config->D,
                                  .norm = QK_NORM_LAYER,
                                  .rope = t->own->position != COGVIDEOX_SINES,
                                  .eps = HEAD_EPS,
                                  .x = u,
                                  .wq = b->q.w,
                                  .wk = b->k.w,
                                  .wv = b->v.w,
                                  .bq = b->q.bias,
                                  .bk = b->k.bias,
                                  .bv = b->v.bias,
                                  .nq = b->norm_q.weight,
                                  .nk = b->norm_k.weight,
                                  .cos = t->cos,
                                  .sin = t->sin,
                                  .q = q,
                                  .k = k,
                                  .v = v,
                                  .nbq = b->norm_q.bias,
                                  .nbk = b->norm_k.bias};
    return t->ops->qkv(t->ops, &p);
}

static enum status attend(const struct cogvideox *t, const struct cogvideox_block *b,
                          struct tensor rows, struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    const int64_t S = t->M + t->S;
    struct tensor q, k, v;
    TRY(ops->alloc(ops, &q, ops->type, S, t->C, "q"));
    TRY(ops->alloc(ops, &k, ops->type, S, t->C, "k"));
    TRY(ops->alloc(ops, &v, ops->type, S, t->C, "v"));
    TRY(open_branch(t, rows, x, u));
    TRY(project(t, b, u, q, k, v));
    TRY(layer_attend(ops, 1, t->config->N, t->config->D, S, S, q, k, v, u));
    TRY(close_branch(t, rows, &b->o, u, x));
    ops->release(ops, &v);
    ops->release(ops, &k);
    ops->release(ops, &q);
    return ST_OK;
}

static enum status mlp(const struct cogvideox *t, const struct cogvideox_block *b,
                       struct tensor rows, struct tensor x, struct tensor u)
{
    struct ops *ops = t->ops;
    struct tensor h;
    TRY(ops->alloc(ops, &h, ops->type, t->M + t->S, t->config->F, "mlp"));
    TRY(open_branch(t, rows, x, u));
    TRY(layer_linear_with(ops, &b->up, t->M + t->S, u, EPI_GELU, NO_TENSOR, NO_TENSOR, h));
    TRY(close_branch(t, rows, &b->down, h, x));
    ops->release(ops, &h);
    return ST_OK;
}

static enum status embed_patches(const struct cogvideox *t, struct tensor latents,
                                 struct tensor video)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const bool sines = t->own->position == COGVIDEOX_SINES;
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
    TRY(layer_linear_with(ops, &t->patch, t->S, patches, sines ? EPI_ADD : EPI_NONE,
                          sines ? t->position : NO_TENSOR, NO_TENSOR, video));
    ops->release(ops, &patches);
    return ST_OK;
}

/* Of the video alone: its last norm, in place, then the norm that the time moves. */
static enum status run_head(const struct cogvideox *t, struct tensor video, struct tensor u,
                            struct tensor prediction)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    const struct tensor rows = cogvideox_rows(t, 2 * c->layers);
    struct tensor patches;
    TRY(ops->alloc(ops, &patches, ELEM_F32, t->S, t->head.O, "head"));
    TRY(layer_norm(ops, t->S, t->C, c->eps, video, &t->final, video));
    TRY(normalise(t, t->S, rows, video, u));
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
                                         .y = prediction,
                                         .channel = UNPATCHIFY_SLOWEST};
    TRY(ops->unpatchify(ops, &p));
    ops->release(ops, &patches);
    return ST_OK;
}

static enum status family_forward(void *network, const void *condition, struct tensor latents,
                                  struct tensor prediction)
{
    const struct cogvideox *t = network;
    const struct cogvideox_text *text = condition;
    struct ops *ops = t->ops;
    struct tensor x, u;
    TRY(ops->alloc(ops, &x, ELEM_F32, t->M + t->S, t->C, "x"));
    TRY(ops->alloc(ops, &u, ops->type, t->M + t->S, t->C, "u"));
    TRY(layer_copy(ops, t->M, t->C, text->rows, x));
    TRY(embed_patches(t, latents, layer_row(x, t->M)));
    for (int64_t i = 0; i < t->config->layers; i++) {
        TRY(attend(t, &t->block[i], cogvideox_rows(t, 2 * i), x, u));
        TRY(mlp(t, &t->block[i], cogvideox_rows(t, 2 * i + 1), x, u));
    }
    TRY(run_head(t, layer_row(x, t->M), layer_row(u, t->M), prediction));
    ops->release(ops, &u);
    ops->release(ops, &x);
    return ST_OK;
}

const struct denoiser_family cogvideox_family = {
    .name = "cogvideox",
    .network_bytes = sizeof(struct cogvideox),
    .condition_bytes = sizeof(struct cogvideox_text),
    .load = family_load,
    .free = family_free,
    .begin = family_begin,
    .condition = family_condition,
    .condition_free = family_condition_free,
    .set_time = family_set_time,
    .forward = family_forward,
};
