// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* open_sora.c   Sources: opensora/models/stdit/stdit3.py of release 1.2 and
 * opensora/models/mmdit/model.py of release 2.0 (github.com/hpcaitech/Open-Sora). */
#include "model/open_sora.h"

/* What a walk through the layers adds up. */
struct sum {
    int64_t parameters;
    double flops;
};

/* `times` layers with a bias, each over `rows` rows. */
static void linear(struct sum *s, int64_t times, int64_t rows, int64_t in, int64_t out)
{
    s->parameters += times * (in + 1) * out;
    s->flops += 2.0 * (double)times * (double)rows * (double)in * (double)out;
}

/* Norm weights and tables: work that does not count. */
static void vectors(struct sum *s, int64_t elems) { s->parameters += elems; }

/* `groups` softmaxes of Sq queries over Sk keys, all heads of C together. */
static void attention(struct sum *s, int64_t groups, int64_t Sq, int64_t Sk, int64_t C)
{
    s->flops += 4.0 * (double)groups * (double)Sq * (double)Sk * (double)C;
}

/* Sinusoids or a vector through two layers. */
static void embedder(struct sum *s, int64_t in, int64_t C)
{
    linear(s, 1, 1, in, C);
    linear(s, 1, 1, C, C);
}

struct shape {
    int64_t frames, patches, S; /* tokens: S = frames patches */
    int64_t M, C, F, D;
    int64_t patch_in, patch_out;
};

/* ---- 1.2: STDiT3 ----------------------------------------------------------------------------- */

/* A block over `groups` runs of `length` tokens each. */
static void alternating_block(struct sum *s, const struct shape *g, int64_t times, int64_t groups,
                              int64_t length)
{
    const int64_t C = g->C;
    linear(s, times, g->S, C, 3 * C);
    vectors(s, times * 2 * g->D); /* norms of queries and keys */
    attention(s, times * groups, length, length, C);
    linear(s, times, g->S, C, C);
    linear(s, times, g->S, C, C); /* queries of the attention to text */
    linear(s, times, g->M, C, 2 * C);
    attention(s, times, g->S, g->M, C);
    linear(s, times, g->S, C, C);
    linear(s, times, g->S, C, g->F);
    linear(s, times, g->S, g->F, C);
    vectors(s, times * 6 * C);
}

static struct sum alternating(const struct model_config *model, const struct shape *g)
{
    const struct transformer_config *c = &model->transformer;
    struct sum s = {0};
    linear(&s, 1, g->S, g->patch_in, g->C);
    embedder(&s, c->freq_dim, g->C); /* time */
    embedder(&s, c->freq_dim, g->C); /* frames per second */
    linear(&s, 1, 1, g->C, 6 * g->C);
    linear(&s, 1, g->M, c->text_dim, g->C);
    linear(&s, 1, g->M, g->C, g->C);
    alternating_block(&s, g, c->layers, g->frames, g->patches);
    alternating_block(&s, g, c->layers, g->patches, g->frames);
    vectors(&s, 2 * g->C);
    linear(&s, 1, g->S, g->C, g->patch_out);
    return s;
}

/* ---- 2.0: MMDiT ------------------------------------------------------------------------------ */

static void one_of_two_streams(struct sum *s, const struct shape *g, int64_t times, int64_t rows)
{
    linear(s, times, 1, g->C, 6 * g->C);
    linear(s, 3 * times, rows, g->C, g->C);
    vectors(s, times * 2 * g->D);
    linear(s, times, rows, g->C, g->C);
    linear(s, times, rows, g->C, g->F);
    linear(s, times, rows, g->F, g->C);
}

/* Attention and MLP side by side from the same rows. */
static void single_stream(struct sum *s, const struct shape *g, int64_t times)
{
    const int64_t L = g->S + g->M;
    linear(s, times, 1, g->C, 3 * g->C);
    linear(s, times, L, g->C, 3 * g->C + g->F);
    vectors(s, times * 2 * g->D);
    linear(s, times, L, g->C + g->F, g->C);
}

static struct sum streams(const struct model_config *model, const struct shape *g)
{
    const struct transformer_config *c = &model->transformer;
    const struct open_sora_config *own = model->open_sora;
    const int64_t L = g->S + g->M;
    struct sum s = {0};
    linear(&s, 1, g->S, g->patch_in, g->C);
    linear(&s, 1, g->S, g->patch_in + c->ph * c->pw, g->C); /* a given image and its mask */
    linear(&s, 1, g->M, c->text_dim, g->C);
    embedder(&s, c->freq_dim, g->C);
    embedder(&s, own->pooled_dim, g->C);
    one_of_two_streams(&s, g, c->layers, g->S);
    one_of_two_streams(&s, g, c->layers, g->M);
    single_stream(&s, g, own->single_layers);
    attention(&s, c->layers + own->single_layers, L, L, g->C);
    linear(&s, 1, 1, g->C, 2 * g->C);
    linear(&s, 1, g->S, g->C, g->patch_out);
    return s;
}

/* ---- as a family ----------------------------------------------------------------------------- */

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* 1.2 compresses chunks of frames each by themselves, 2.0 the first frame and then every few. */
static int64_t latent_frames(const struct model_config *model)
{
    const int64_t scale = model->vae.scale_time, chunk = model->open_sora->chunk_frames;
    if (model->open_sora->form == OPEN_SORA_STREAMS)
        return 1 + divide_up(model->frames - 1, scale);
    return model->frames / chunk * divide_up(chunk, scale) +
           divide_up(model->frames % chunk, scale);
}

static struct shape shape_of(const struct model_config *model)
{
    const struct transformer_config *c = &model->transformer;
    const int64_t cells = c->pt * c->ph * c->pw, scale = model->vae.scale_space;
    struct shape g = {.frames = divide_up(latent_frames(model), c->pt),
                      .patches = divide_up(model->height / scale, c->ph) *
                                 divide_up(model->width / scale, c->pw),
                      .M = model->text.rows,
                      .C = c->N * c->D,
                      .F = c->F,
                      .D = c->D,
                      .patch_in = cells * c->in_channels,
                      .patch_out = cells * c->out_channels};
    g.S = g.frames * g.patches;
    return g;
}

static void figures(const struct model_config *model, struct denoiser_figures *out)
{
    const struct shape g = shape_of(model);
    const struct sum s =
        model->open_sora->form == OPEN_SORA_STREAMS ? streams(model, &g) : alternating(model, &g);
    *out = (struct denoiser_figures){
        .tokens = g.S, .parameters = s.parameters, .forward_flops = s.flops};
}

const struct denoiser_family open_sora_family = {.name = "open-sora", .figures = figures};
