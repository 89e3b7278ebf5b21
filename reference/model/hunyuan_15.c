// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/hunyuan_15.h"

enum { KIND_PROMPT = 0, KIND_GLYPHS, KIND_IMAGE, KINDS };

#define KINDS_GAIN (-1)
#define INPUT_EPS 1e-5 /* of the norms of image and glyphs, unlike those of the blocks */

/* ---- weights --------------------------------------------------------------------------------- */

static enum status load_glyphs(struct ops *ops, struct hunyuan_15 *h)
{
    const char *prefix = "context_embedder_2.";
    const int64_t K = h->shared.own->glyph_dim, F = h->shared.own->glyph_F;
    TRY(layer_load_norm(ops, prefix, "norm", K, &h->glyph_norm));
    TRY(layer_load_linear(ops, prefix, "linear_1", 2, F, K, 0, true, &h->glyph_1));
    TRY(layer_load_linear(ops, prefix, "linear_2", 2, F, F, 0, true, &h->glyph_2));
    return layer_load_linear(ops, prefix, "linear_3", 2, h->shared.C, F, 0, true, &h->glyph_3);
}

static enum status load_image(struct ops *ops, struct hunyuan_15 *h)
{
    const char *prefix = "image_embedder.";
    const int64_t K = h->shared.config->image_dim, C = h->shared.C;
    TRY(layer_load_norm(ops, prefix, "norm_in", K, &h->image_norm_in));
    TRY(layer_load_linear(ops, prefix, "linear_1", 2, K, K, 0, true, &h->image_1));
    TRY(layer_load_linear(ops, prefix, "linear_2", 2, C, K, 0, true, &h->image_2));
    return layer_load_norm(ops, prefix, "norm_out", C, &h->image_norm_out);
}

static struct tensor kind(const struct hunyuan_15 *h, int index)
{
    return layer_view(h->kind_rows, index * h->shared.C);
}

static enum status family_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct hunyuan_15 *h = network;
    TRY(hunyuan_load(&h->shared, ops, model, "time_embed.timestep_embedder."));
    TRY(layer_load(ops, "", "cond_type_embed.weight", WEIGHT_TABLE, KINDS_GAIN,
                   DIMS(KINDS, h->shared.C), &h->kinds));
    TRY(load_glyphs(ops, h));
    return load_image(ops, h);
}

static enum status family_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    struct hunyuan_15 *h = network;
    struct ops *ops = h->shared.ops;
    TRY(hunyuan_begin(&h->shared, T, H, W, fps));
    TRY(ops->alloc(ops, &h->kind_rows, ELEM_F32, KINDS, h->shared.C, "kinds"));
    TRY(layer_copy(ops, KINDS, h->shared.C, h->kinds, h->kind_rows));
    h->shared.text_kind = kind(h, KIND_PROMPT);
    return ST_OK;
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* The first steps of image and glyphs alike: y = gelu(first(norm(host rows))), y made here. */
static enum status enter_rows(struct ops *ops, int64_t S, const float *host,
                              const struct layer_norm *norm, const struct layer_linear *first,
                              struct tensor *y)
{
    struct tensor raw, u;
    TRY(ops->alloc(ops, y, ops->type, S, first->O, "input.hidden"));
    TRY(ops->alloc(ops, &raw, ELEM_F32, S, first->K, "input.raw"));
    TRY(ops->alloc(ops, &u, ops->type, S, first->K, "input.normal"));
    TRY(ops->put(ops, &raw, host, S, first->K));
    TRY(layer_norm(ops, S, first->K, INPUT_EPS, raw, norm, u));
    TRY(layer_linear(ops, first, S, u, *y));
    TRY(layer_gelu_erf(ops, S, first->O, *y));
    ops->release(ops, &u);
    ops->release(ops, &raw);
    return ST_OK;
}

static enum status image_rows(struct hunyuan_15 *h, const struct denoiser_prompt *prompt,
                              struct tensor out)
{
    struct ops *ops = h->shared.ops;
    const int64_t S = prompt->image_rows;
    struct tensor hidden;
    TRY(enter_rows(ops, S, prompt->image, &h->image_norm_in, &h->image_1, &hidden));
    TRY(layer_linear(ops, &h->image_2, S, hidden, out));
    ops->release(ops, &hidden);
    TRY(layer_norm(ops, S, h->shared.C, INPUT_EPS, out, &h->image_norm_out, out));
    return hunyuan_add(&h->shared, S, out, kind(h, KIND_IMAGE), out);
}

static enum status glyph_rows(struct hunyuan_15 *h, const struct denoiser_prompt *prompt,
                              struct tensor out)
{
    struct ops *ops = h->shared.ops;
    const int64_t S = prompt->glyph_rows;
    struct tensor hidden, next;
    TRY(enter_rows(ops, S, prompt->glyph, &h->glyph_norm, &h->glyph_1, &hidden));
    TRY(ops->alloc(ops, &next, ops->type, S, h->glyph_2.O, "input.next"));
    TRY(layer_linear(ops, &h->glyph_2, S, hidden, next));
    TRY(layer_gelu_erf(ops, S, h->glyph_2.O, next));
    TRY(layer_linear(ops, &h->glyph_3, S, next, out));
    ops->release(ops, &next);
    ops->release(ops, &hidden);
    return hunyuan_add(&h->shared, S, out, kind(h, KIND_GLYPHS), out);
}

/* Rows that are not given are masked in the published model and so are not there: of an image in
 * text to video, of glyphs where the prompt quotes no text. */
static enum status family_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct hunyuan_15 *h = network;
    struct hunyuan_condition *c = out;
    const int64_t images = prompt->image_rows, fixed = images + prompt->glyph_rows;
    TRY(hunyuan_condition_text(&h->shared, prompt, fixed, c));
    if (images)
        TRY(image_rows(h, prompt, c->text));
    return fixed > images ? glyph_rows(h, prompt, layer_view(c->text, images * h->shared.C))
                          : ST_OK;
}

const struct denoiser_family hunyuan_15_family = {
    .name = "hunyuanvideo-1.5",
    .network_bytes = sizeof(struct hunyuan_15),
    .condition_bytes = sizeof(struct hunyuan_condition),
    .load = family_load,
    .free = hunyuan_free,
    .begin = family_begin,
    .condition = family_condition,
    .condition_free = hunyuan_condition_free,
    .set_time = hunyuan_set_time,
    .forward = hunyuan_forward,
};
