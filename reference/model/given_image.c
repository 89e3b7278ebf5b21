// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/given_image.h"

#include <stdlib.h>
#include <string.h>

#include "model/image.h"
#include "model/vae_encoder.h"
#include "random.h"

enum { FIRST = 0, LAST, IMAGES };

static int64_t cells_per_frame(const struct geometry *g) { return g->H * g->W; }

/* ---- pixels ---------------------------------------------------------------------------------- */

/* The image given, or one drawn from the seed. */
static void copy_pixels(const struct generate_request *q, const float *given, const char *name,
                        int64_t count, float *out)
{
    const struct random_stream stream = random_stream_of(q->seed, name);
    if (given)
        memcpy(out, given, (size_t)count * sizeof *out);
    for (int64_t i = 0; !given && i < count; i++)
        out[i] = random_uniform(stream, (uint64_t)i);
}

/* Whether the clip ends in a given image too. */
static bool ends_given(const struct generate_request *q)
{
    const int64_t rows = q->model->transformer.image_rows;
    return q->last_image || (rows && !q->image && rows > image_rows(&q->model->image));
}

/* ---- rows to attend to ----------------------------------------------------------------------- */

static enum status encode_rows(struct ops *ops, const struct generate_request *q, int64_t images,
                               float *rows)
{
    static const char *const name[IMAGES] = {"image.pixels", "last_image.pixels"};
    const float *const given[IMAGES] = {q->image_pixels, q->last_image_pixels};
    const struct image_config *c = &q->model->image;
    const int64_t count = c->size * c->size * 3;
    struct image image;
    float *pixels = NULL;
    enum status status = image_load(ops, c, &image);
    if (status == ST_OK)
        status = layer_host_alloc(ops, count, sizeof *pixels, &pixels);
    for (int64_t i = 0; i < images && status == ST_OK; i++) {
        if (pixels)
            copy_pixels(q, given[i], name[i], count, pixels);
        status = image_encode(&image, pixels, rows ? rows + i * image_rows(c) * image.C : NULL);
    }
    free(pixels);
    image_free(&image);
    return status;
}

static enum status make_rows(struct ops *ops, const struct generate_request *q,
                             struct given_image *g)
{
    const int64_t images = ends_given(q) ? 2 : 1;
    g->row_count = images * image_rows(&q->model->image);
    TRY(layer_host_alloc(ops, g->row_count * q->model->transformer.image_dim, sizeof *g->rows,
                         &g->rows));
    TRY(ops->enter(ops, STAGE_IMAGE));
    TRY(encode_rows(ops, q, images, g->rows));
    return ops->leave(ops, STAGE_IMAGE);
}

/* ---- latents --------------------------------------------------------------------------------- */

/* Frames of the clip to be encoded: the image, then zeros, and at the end the last image. */
static void fill_chunk(const struct generate_request *q, bool first, bool last, float *frames)
{
    const struct geometry *g = &q->geometry;
    const int64_t pixels = g->pad_height * g->pad_width * 3, count = q->model->vae.scale_time;
    memset(frames, 0, (size_t)(count * pixels) * sizeof *frames);
    if (first)
        copy_pixels(q, q->image, "image", pixels, frames);
    if (last)
        copy_pixels(q, q->last_image, "last_image", pixels, frames + (count - 1) * pixels);
}

/* Which of a latent frame's pixel frames are given; the very first stands for all of its own. */
static void fill_mask(struct given_image *g, int64_t frame, bool last)
{
    const int64_t cells = cells_per_frame(g->grid), mask = g->channels - g->grid->C;
    for (int64_t i = 0; i < cells; i++)
        for (int64_t k = 0; k < mask; k++)
            g->latents[(frame * cells + i) * g->channels + k] =
                frame == 0 || (last && k == mask - 1) ? 1.0f : 0.0f;
}

/* Encodes one chunk into its latent frame of g->latents, behind the mask where there is one. */
static enum status encode_chunk(struct ops *ops, struct vae_encoder *v, struct given_image *g,
                                int64_t frame, int64_t count, struct tensor pixels, float *cells)
{
    const int64_t n = cells_per_frame(g->grid), C = g->grid->C, mask = g->channels - C;
    struct tensor z;
    TRY(ops->step(ops, (int)frame, (int)g->grid->T));
    TRY(vae_encode(v, pixels, count, &z));
    TRY(ops->get(ops, &z, cells, n, C));
    ops->release(ops, &z);
    for (int64_t i = 0; cells && i < n; i++)
        memcpy(g->latents + (frame * n + i) * g->channels + mask, cells + i * C,
               (size_t)C * sizeof *cells);
    return ST_OK;
}

static enum status encode_frames(struct ops *ops, const struct generate_request *q, int64_t frames,
                                 struct given_image *g, float *host, float *cells)
{
    const struct geometry *grid = g->grid;
    const int64_t area = grid->pad_height * grid->pad_width, count = q->model->vae.scale_time;
    struct vae_encoder v;
    struct tensor pixels;
    TRY(vae_encoder_load(ops, &q->model->vae, &v));
    TRY(vae_encoder_begin(&v, grid->pad_height, grid->pad_width));
    TRY(ops->alloc(ops, &pixels, ELEM_F32, count * area, 3, "pixels"));
    for (int64_t i = 0; i < frames; i++) {
        const bool last = i > 0 && i == frames - 1 && ends_given(q);
        const int64_t n = i == 0 ? 1 : count;
        if (host)
            fill_chunk(q, i == 0, last, host);
        TRY(ops->put(ops, &pixels, host, n * area, 3));
        TRY(encode_chunk(ops, &v, g, i, n, pixels, cells));
        if (host)
            fill_mask(g, i, last);
    }
    ops->release(ops, &pixels);
    return ST_OK;
}

static enum status make_latents(struct ops *ops, const struct generate_request *q,
                                struct given_image *g)
{
    const struct geometry *grid = g->grid;
    const int64_t frames = g->input == IMAGE_FIRST_FRAME ? 1 : grid->T;
    const int64_t values = q->model->vae.scale_time * grid->pad_height * grid->pad_width * 3;
    float *host = NULL, *cells = NULL;
    g->channels =
        g->input == IMAGE_FIRST_FRAME ? grid->C : q->model->transformer.in_channels - grid->C;
    TRY(layer_host_alloc(ops, frames * cells_per_frame(grid) * g->channels, sizeof *g->latents,
                         &g->latents));
    TRY(ops->enter(ops, STAGE_ENCODE));
    enum status status = layer_host_alloc(ops, values, sizeof *host, &host);
    if (status == ST_OK)
        status = layer_host_alloc(ops, cells_per_frame(grid) * grid->C, sizeof *cells, &cells);
    if (status == ST_OK)
        status = encode_frames(ops, q, frames, g, host, cells);
    free(cells);
    free(host);
    return status == ST_OK ? ops->leave(ops, STAGE_ENCODE) : status;
}

/* Hands out what was made, channel by channel. */
static enum status show(const struct generate_request *q, const struct given_image *g,
                        struct fault *fault)
{
    const int64_t frames = g->input == IMAGE_FIRST_FRAME ? 1 : g->grid->T;
    const int64_t cells = frames * cells_per_frame(g->grid);
    float *condition = malloc((size_t)(cells * g->channels) * sizeof *condition);
    if (!condition)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the image's latents");
    for (int64_t i = 0; i < cells; i++)
        for (int64_t k = 0; k < g->channels; k++)
            condition[k * cells + i] = g->latents[i * g->channels + k];
    const enum status status =
        q->sink.image(q->sink.user, g->rows, g->row_count, condition, g->channels, frames);
    free(condition);
    return status;
}

enum status given_image_new(struct ops *ops, const struct generate_request *q,
                            struct given_image *out)
{
    *out = (struct given_image){.model = q->model, .grid = &q->geometry};
    if (q->image || q->model->image_input == IMAGE_CHANNELS)
        out->input = q->model->image_input;
    if (out->input == IMAGE_NONE)
        return ST_OK;
    if (q->model->transformer.image_dim)
        TRY(make_rows(ops, q, out));
    TRY(make_latents(ops, q, out));
    return q->sink.image && ops->mode == MODE_EXECUTE ? show(q, out, ops->fault) : ST_OK;
}

void given_image_free(struct given_image *g)
{
    free(g->rows);
    free(g->latents);
    g->rows = g->latents = NULL;
}

/* ---- the network's input --------------------------------------------------------------------- */

enum status given_image_alloc(struct ops *ops, const struct given_image *g, struct tensor x,
                              struct tensor *input)
{
    *input = x;
    if (g->input == IMAGE_NONE)
        return ST_OK;
    return ops->alloc(ops, input, ELEM_F32, g->grid->T * cells_per_frame(g->grid),
                      g->model->transformer.in_channels, "input");
}

enum status given_image_put(struct ops *ops, const struct given_image *g, struct tensor input)
{
    const int64_t cells = cells_per_frame(g->grid);
    if (g->input == IMAGE_NONE)
        return ST_OK;
    if (g->input == IMAGE_FIRST_FRAME)
        return ops->put(ops, &input, g->latents, cells, g->channels);
    const struct tensor beside = layer_view(input, g->grid->C);
    return ops->put(ops, &beside, g->latents, g->grid->T * cells, g->channels);
}

enum status given_image_refresh(struct ops *ops, const struct given_image *g, struct tensor x,
                                struct tensor input)
{
    const int64_t C = g->grid->C, cells = cells_per_frame(g->grid);
    const int64_t first = g->input == IMAGE_FIRST_FRAME ? cells : 0; /* cells that stay */
    const int64_t rest = g->grid->T * cells - first;
    if (g->input == IMAGE_NONE || rest == 0)
        return ST_OK;
    return layer_copy(ops, rest, C, layer_view(x, first * C),
                      layer_view(input, first * input.stride));
}

int64_t given_image_times(const struct given_image *g, double time, double *times)
{
    const int64_t count = g->input == IMAGE_FIRST_FRAME ? g->grid->T : 1;
    for (int64_t i = 0; i < count; i++)
        times[i] = time;
    if (g->input == IMAGE_FIRST_FRAME)
        times[0] = 0.0;
    return count;
}

void given_image_keep(const struct given_image *g, float *cells)
{
    const int64_t count = cells_per_frame(g->grid) * g->channels;
    if (g->input == IMAGE_FIRST_FRAME)
        memcpy(cells, g->latents, (size_t)count * sizeof *cells);
}
