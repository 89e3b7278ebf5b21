// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/vae_tile.h"

#include <stdlib.h>
#include <string.h>

#include "model/layer.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- the cut --------------------------------------------------------------------------------- */

int64_t vae_tile_stride(const struct vae_config *config, int64_t size)
{
    const int64_t stride = size / 4 * 3 / config->scale_space * config->scale_space;
    return stride > 0 ? stride : config->scale_space;
}

enum status vae_tiling_check(const struct vae_config *config, const struct vae_tiling *tiling,
                             struct fault *fault)
{
    const int64_t unit = config->scale_space;
    if (!tiling->size)
        return ST_OK;
    if (tiling->size < unit || tiling->size % unit || tiling->stride < unit ||
        tiling->stride % unit || tiling->stride > tiling->size)
        return fault_set(fault, ST_BAD_INPUT,
                         "tiles of %lld pixels, %lld apart: both must be multiples of %lld, and "
                         "the second no larger than the first",
                         (long long)tiling->size, (long long)tiling->stride, (long long)unit);
    return ST_OK;
}

struct vae_cut vae_cut_of(const struct vae_tiling *tiling, int64_t H, int64_t W, int64_t pixels)
{
    struct vae_cut cut = {
        .H = H, .W = W, .size = tiling->size / pixels, .stride = tiling->stride / pixels};
    if (!tiling->size || (H <= cut.size && W <= cut.size))
        cut.size = cut.stride = H > W ? H : W;
    cut.rows = (H + cut.stride - 1) / cut.stride;
    cut.columns = (W + cut.stride - 1) / cut.stride;
    return cut;
}

struct vae_tile vae_tile_at(const struct vae_cut *cut, int64_t i)
{
    struct vae_tile t = {.row = i / cut->columns, .column = i % cut->columns};
    t.y = t.row * cut->stride;
    t.x = t.column * cut->stride;
    t.H = least(cut->size, cut->H - t.y);
    t.W = least(cut->size, cut->W - t.x);
    t.keep_H = least(cut->stride, t.H);
    t.keep_W = least(cut->stride, t.W);
    return t;
}

/* ---- seams ----------------------------------------------------------------------------------- */

static int64_t overlap_of(const struct vae_cut *cut) { return cut->size - cut->stride; }

static int64_t left_elems(const struct vae_cut *cut, int64_t channels)
{
    return cut->size * overlap_of(cut) * channels;
}

int64_t vae_seams_bytes(const struct vae_cut *cut, int64_t frames, int64_t channels)
{
    const int64_t strips = cut->columns + 1; /* above, and the one on the left */
    return frames * strips * left_elems(cut, channels) * (int64_t)sizeof(float);
}

enum status vae_seams_new(struct ops *ops, const struct vae_cut *cut, int64_t frames,
                          int64_t channels, int64_t unit, struct vae_seams *out)
{
    *out = (struct vae_seams){.cut = *cut, .frames = frames, .channels = channels, .unit = unit};
    const int64_t elems = frames * left_elems(cut, channels);
    if (elems == 0)
        return ST_OK;
    TRY(layer_host_alloc(ops, elems * cut->columns, sizeof(float), &out->above));
    return layer_host_alloc(ops, elems, sizeof(float), &out->left);
}

void vae_seams_free(struct vae_seams *s)
{
    free(s->above);
    free(s->left);
    s->above = s->left = NULL;
}

/* to = from (1 - share) + to share */
static void mix(const float *from, double share, int64_t count, float *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)(from[i] * (1.0 - share) + to[i] * share);
}

/* Share of a tile's own value, `at` places from the edge of `count` that overlap. */
static double share_of(const struct vae_seams *s, int64_t at, int64_t count)
{
    return (double)(at / s->unit) / (double)(count / s->unit);
}

/* Lines of a strip are counted from its end: a tile that ends early leaves its last lines there. */
static void blend_lines(const struct vae_seams *s, const struct vae_tile *t, const float *above,
                        float *data)
{
    const int64_t room = overlap_of(&s->cut), count = least(room, t->H), line = t->W * s->channels;
    for (int64_t y = 0; y < count; y++)
        mix(above + (room - count + y) * s->cut.size * s->channels, share_of(s, y, count), line,
            data + y * line);
}

static void blend_columns(const struct vae_seams *s, const struct vae_tile *t, const float *left,
                          float *data)
{
    const int64_t room = overlap_of(&s->cut), count = least(room, t->W), C = s->channels;
    for (int64_t y = 0; y < t->H; y++)
        for (int64_t x = 0; x < count; x++)
            mix(left + (y * room + room - count + x) * C, share_of(s, x, count), C,
                data + (y * t->W + x) * C);
}

static void keep_edges(const struct vae_seams *s, const struct vae_tile *t, const float *data,
                       float *above, float *left)
{
    const int64_t room = overlap_of(&s->cut), C = s->channels;
    const int64_t lines = least(room, t->H), columns = least(room, t->W);
    for (int64_t y = 0; y < lines; y++)
        memcpy(above + (room - lines + y) * s->cut.size * C, data + (t->H - lines + y) * t->W * C,
               (size_t)(t->W * C) * sizeof *above);
    for (int64_t y = 0; y < t->H; y++)
        memcpy(left + (y * room + room - columns) * C, data + ((y + 1) * t->W - columns) * C,
               (size_t)(columns * C) * sizeof *left);
}

void vae_seams_blend(struct vae_seams *s, const struct vae_tile *tile, int64_t first, int64_t count,
                     float *data)
{
    const int64_t strip = left_elems(&s->cut, s->channels);
    for (int64_t i = 0; s->above && i < count; i++, data += tile->H * tile->W * s->channels) {
        float *above = s->above + ((first + i) * s->cut.columns + tile->column) * strip;
        float *left = s->left + (first + i) * strip;
        if (tile->row > 0)
            blend_lines(s, tile, above, data);
        if (tile->column > 0)
            blend_columns(s, tile, left, data);
        keep_edges(s, tile, data, above, left);
    }
}
