// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/clip.h"

#include <stdlib.h>
#include <string.h>

#include "decode/to_rgb/to_rgb.h"
#include "model/vae.h"
#include "model/vae_encoder.h"

static bool executing(const struct ops *ops) { return ops->mode == MODE_EXECUTE; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Copies a block of lines between planes; the strides of lines are in elements. */
static void copy_block(const float *from, int64_t from_line, int64_t lines, int64_t elems,
                       float *to, int64_t to_line)
{
    for (int64_t y = 0; y < lines; y++)
        memcpy(to + y * to_line, from + y * from_line, (size_t)elems * sizeof *to);
}

/* ---- encode ---------------------------------------------------------------------------------- */

struct encoding {
    struct ops *ops;
    const struct geometry *grid;
    const uint8_t *rgb;
    float *cells;
    struct vae_encoder encoder;
    struct vae_cut cut; /* of the latent plane */
    struct vae_seams seams;
    float *pixels, *latents; /* of a tile's chunk */
    int64_t scale_time, scale_space;
};

/* One frame of a tile, from bytes to -1..1; the clip's edges go on outside of it. */
static void take_frame(const struct encoding *e, int64_t frame, const struct vae_tile *tile,
                       float *to)
{
    const struct geometry *g = e->grid;
    const int64_t s = e->scale_space;
    const uint8_t *from = e->rgb + least(frame, g->frames - 1) * g->height * g->width * 3;
    for (int64_t y = tile->y * s; y < (tile->y + tile->H) * s; y++) {
        const uint8_t *line = from + least(y, g->height - 1) * g->width * 3;
        for (int64_t x = tile->x * s; x < (tile->x + tile->W) * s; x++)
            for (int c = 0; c < 3; c++)
                *to++ = (float)line[least(x, g->width - 1) * 3 + c] / 127.5f - 1.0f;
    }
}

/* Blends a latent frame of a tile and puts what is kept of it into the clip. */
static void place_latents(struct encoding *e, const struct vae_tile *tile, int64_t t)
{
    const struct geometry *g = e->grid;
    vae_seams_blend(&e->seams, tile, t, 1, e->latents);
    copy_block(e->latents, tile->W * g->C, tile->keep_H, tile->keep_W * g->C,
               e->cells + ((t * g->H + tile->y) * g->W + tile->x) * g->C, g->W * g->C);
}

static enum status encode_chunk(struct encoding *e, const struct vae_tile *tile, int64_t t)
{
    struct ops *ops = e->ops;
    const int64_t count = t == 0 ? 1 : e->scale_time, first = t == 0 ? 0 : 1 + (t - 1) * count;
    const int64_t pixels = tile->H * tile->W * e->scale_space * e->scale_space;
    struct tensor in, z;
    for (int64_t i = 0; executing(ops) && i < count; i++)
        take_frame(e, first + i, tile, e->pixels + i * pixels * 3);
    TRY(ops->alloc(ops, &in, ELEM_F32, count * pixels, 3, "pixels"));
    TRY(ops->put(ops, &in, e->pixels, count * pixels, 3));
    TRY(vae_encode(&e->encoder, in, count, &z));
    ops->release(ops, &in);
    TRY(ops->get(ops, &z, e->latents, tile->H * tile->W, e->grid->C));
    ops->release(ops, &z);
    if (executing(ops))
        place_latents(e, tile, t);
    return ST_OK;
}

static enum status encode_tiles(struct encoding *e)
{
    const int64_t T = e->grid->T, tiles = e->cut.rows * e->cut.columns;
    for (int64_t i = 0; i < tiles; i++) {
        const struct vae_tile tile = vae_tile_at(&e->cut, i);
        TRY(vae_encoder_begin(&e->encoder, tile.H * e->scale_space, tile.W * e->scale_space));
        for (int64_t t = 0; t < T; t++) {
            TRY(e->ops->step(e->ops, (int)(i * T + t), (int)(tiles * T)));
            TRY(encode_chunk(e, &tile, t));
        }
    }
    return ST_OK;
}

/* A tile's cells; a tile may be as large as the plane, and no larger. */
static int64_t tile_places(const struct vae_cut *cut)
{
    return least(cut->size, cut->H) * least(cut->size, cut->W);
}

enum status clip_encode(struct ops *ops, const struct model_config *model,
                        const struct geometry *grid, const struct vae_tiling *tiling,
                        const uint8_t *rgb, float *cells)
{
    const struct vae_config *v = &model->vae;
    struct encoding e = {.ops = ops,
                         .grid = grid,
                         .rgb = rgb,
                         .cells = cells,
                         .cut = vae_cut_of(tiling, grid->H, grid->W, v->scale_space),
                         .scale_time = v->scale_time,
                         .scale_space = v->scale_space};
    const int64_t places = tile_places(&e.cut), cell = v->scale_space * v->scale_space;
    TRY(ops->enter(ops, STAGE_ENCODE));
    TRY(vae_encoder_load(ops, v, &e.encoder));
    enum status status = vae_seams_new(ops, &e.cut, grid->T, grid->C, 1, &e.seams);
    if (status == ST_OK)
        status =
            layer_host_alloc(ops, v->scale_time * places * cell * 3, sizeof *e.pixels, &e.pixels);
    if (status == ST_OK)
        status = layer_host_alloc(ops, places * grid->C, sizeof *e.latents, &e.latents);
    if (status == ST_OK)
        status = encode_tiles(&e);
    vae_seams_free(&e.seams);
    free(e.pixels);
    free(e.latents);
    return status == ST_OK ? ops->leave(ops, STAGE_ENCODE) : status;
}

/* ---- decode ---------------------------------------------------------------------------------- */

/* Frames on the host, as the sink wants them: of a chunk, or of the whole clip. */
struct host_frames {
    uint8_t *bytes;
    float *floats;
};

struct decoding {
    struct ops *ops;
    const struct geometry *grid;
    const float *cells; /* of the clip at hand */
    int64_t clips;
    const struct generate_sink *sink;
    struct vae vae;
    struct vae_cut cut, pixels; /* of the latent plane, of the frame */
    struct vae_seams seams;
    struct host_frames chunk, clip; /* clip: where tiles come one after the other */
    float *latent, *tile;           /* of a tile's chunk */
};

static bool in_tiles(const struct decoding *d) { return d->cut.rows * d->cut.columns > 1; }

/* Frames of H x W, cropped to those of Ho x Wo, in the element type wanted. */
static enum status to_host(struct ops *ops, struct tensor frames, struct to_rgb_problem p,
                           enum elem elem, void *host)
{
    const int64_t rows = p.T * p.Ho * p.Wo;
    TRY(ops->alloc(ops, &p.y, elem, rows, 3, "rgb"));
    p.x = frames;
    TRY(ops->to_rgb(ops, &p));
    TRY(ops->get(ops, &p.y, host, rows, 3));
    ops->release(ops, &p.y);
    return ST_OK;
}

static enum status to_host_both(struct decoding *d, struct tensor frames,
                                const struct to_rgb_problem *p)
{
    TRY(to_host(d->ops, frames, *p, ELEM_U8, d->chunk.bytes));
    return d->sink->frames_f32 ? to_host(d->ops, frames, *p, ELEM_F32, d->chunk.floats) : ST_OK;
}

static enum status hand_out(struct decoding *d, const struct host_frames *host, int64_t first,
                            int64_t count)
{
    const struct generate_sink *sink = d->sink;
    if (!executing(d->ops))
        return ST_OK;
    if (sink->frames)
        TRY(sink->frames(sink->user, host->bytes, first, count));
    return sink->frames_f32 ? sink->frames_f32(sink->user, host->floats, first, count) : ST_OK;
}

/* Of a tile's chunk, what is kept and wanted, into the clip on the host. */
static void place_frames(struct decoding *d, const struct vae_tile *tile, int64_t first,
                         const struct to_rgb_problem *p)
{
    const struct geometry *g = d->grid;
    for (int64_t i = 0; i < p->T * p->Ho; i++) {
        const int64_t frame = first + i / p->Ho, y = tile->y + i % p->Ho;
        const int64_t to = ((frame * g->height + y) * g->width + tile->x) * 3, from = i * p->Wo * 3;
        memcpy(d->clip.bytes + to, d->chunk.bytes + from, (size_t)(p->Wo * 3));
        if (d->clip.floats)
            memcpy(d->clip.floats + to, d->chunk.floats + from,
                   (size_t)(p->Wo * 3) * sizeof *d->clip.floats);
    }
}

/* Blended on the host, back for rounding and cropping, and to its place. */
static enum status finish_tile(struct decoding *d, const struct vae_tile *tile,
                               struct tensor frames, int64_t first, int64_t count, int64_t wanted)
{
    struct ops *ops = d->ops;
    const struct geometry *g = d->grid;
    const int64_t rows = count * tile->H * tile->W;
    const struct to_rgb_problem p = {.T = wanted,
                                     .H = tile->H,
                                     .W = tile->W,
                                     .Ho = least(tile->keep_H, g->height - tile->y),
                                     .Wo = least(tile->keep_W, g->width - tile->x)};
    TRY(ops->get(ops, &frames, d->tile, rows, 3));
    if (executing(ops))
        vae_seams_blend(&d->seams, tile, first, count, d->tile);
    if (p.Ho <= 0 || p.Wo <= 0)
        return ST_OK;
    TRY(ops->put(ops, &frames, d->tile, rows, 3));
    TRY(to_host_both(d, frames, &p));
    if (executing(ops))
        place_frames(d, tile, first, &p);
    return ST_OK;
}

static enum status finish_chunk(struct decoding *d, const struct vae_tile *tile,
                                struct tensor frames, int64_t first, int64_t count)
{
    const struct geometry *g = d->grid;
    const int64_t wanted = least(count, g->frames - first);
    if (in_tiles(d))
        return finish_tile(d, tile, frames, first, count, wanted);
    const struct to_rgb_problem p = {
        .T = wanted, .H = g->pad_height, .W = g->pad_width, .Ho = g->height, .Wo = g->width};
    TRY(to_host_both(d, frames, &p));
    return hand_out(d, &d->chunk, first, wanted);
}

/* One latent frame at a time, from the host: on the device nothing here grows with the clip. */
static enum status decode_tile(struct decoding *d, int64_t clip, int64_t i)
{
    struct ops *ops = d->ops;
    const struct geometry *g = d->grid;
    const struct vae_tile cells = vae_tile_at(&d->cut, i), tile = vae_tile_at(&d->pixels, i);
    const int64_t tiles = d->cut.rows * d->cut.columns;
    struct tensor z, frames;
    TRY(vae_begin(&d->vae, cells.H, cells.W));
    TRY(ops->alloc(ops, &z, ELEM_F32, cells.H * cells.W, g->C, "latent"));
    for (int64_t t = 0, first = 0, count; t < g->T && first < g->frames; t++, first += count) {
        if (executing(ops))
            copy_block(d->cells + ((t * g->H + cells.y) * g->W + cells.x) * g->C, g->W * g->C,
                       cells.H, cells.W * g->C, d->latent, cells.W * g->C);
        TRY(ops->step(ops, (int)((clip * tiles + i) * g->T + t), (int)(d->clips * tiles * g->T)));
        TRY(ops->put(ops, &z, d->latent, cells.H * cells.W, g->C));
        TRY(vae_decode(&d->vae, z, &frames, &count));
        TRY(finish_chunk(d, &tile, frames, first, count));
        ops->release(ops, &frames);
    }
    ops->release(ops, &z);
    return ST_OK;
}

static enum status new_frames(struct ops *ops, int64_t pixels, bool floats, struct host_frames *out)
{
    TRY(layer_host_alloc(ops, pixels * 3, sizeof *out->bytes, &out->bytes));
    return floats ? layer_host_alloc(ops, pixels * 3, sizeof *out->floats, &out->floats) : ST_OK;
}

static enum status new_buffers(struct decoding *d, const struct vae_config *v)
{
    const struct geometry *g = d->grid;
    const bool floats = d->sink->frames_f32;
    const int64_t tile = tile_places(&d->pixels);
    TRY(new_frames(d->ops, v->scale_time * tile, floats, &d->chunk));
    TRY(layer_host_alloc(d->ops, tile_places(&d->cut) * g->C, sizeof *d->latent, &d->latent));
    if (!in_tiles(d))
        return ST_OK;
    TRY(new_frames(d->ops, g->frames * g->height * g->width, floats, &d->clip));
    TRY(layer_host_alloc(d->ops, v->scale_time * tile * 3, sizeof *d->tile, &d->tile));
    return vae_seams_new(d->ops, &d->pixels, g->pad_frames, 3, v->patch ? v->patch : 1, &d->seams);
}

static void free_buffers(struct decoding *d)
{
    free(d->chunk.bytes);
    free(d->chunk.floats);
    free(d->clip.bytes);
    free(d->clip.floats);
    free(d->latent);
    free(d->tile);
    vae_seams_free(&d->seams);
}

static enum status decode_tiles(struct decoding *d, int64_t clip)
{
    for (int64_t i = 0; i < d->cut.rows * d->cut.columns; i++)
        TRY(decode_tile(d, clip, i));
    return in_tiles(d) ? hand_out(d, &d->clip, 0, d->grid->frames) : ST_OK;
}

enum status clip_decode(struct ops *ops, const struct model_config *model,
                        const struct geometry *grid, const struct vae_tiling *tiling,
                        const float *cells, int64_t clips, const struct generate_sink *sink)
{
    struct decoding d = {
        .ops = ops,
        .grid = grid,
        .clips = clips,
        .cells = cells,
        .sink = sink,
        .cut = vae_cut_of(tiling, grid->H, grid->W, model->vae.scale_space),
        .pixels = vae_cut_of(tiling, grid->pad_height, grid->pad_width, 1),
    };
    TRY(ops->enter(ops, STAGE_DECODE));
    TRY(vae_load(ops, &model->vae, &d.vae));
    enum status status = new_buffers(&d, &model->vae);
    for (int64_t i = 0; status == ST_OK && i < clips; i++) {
        status = decode_tiles(&d, i);
        if (cells)
            d.cells += grid->T * grid->H * grid->W * grid->C;
    }
    free_buffers(&d);
    return status == ST_OK ? ops->leave(ops, STAGE_DECODE) : status;
}

int64_t clip_host_bytes(const struct model_config *model, const struct geometry *g,
                        const struct vae_tiling *tiling, bool floats)
{
    const struct vae_cut cut = vae_cut_of(tiling, g->pad_height, g->pad_width, 1);
    const int64_t value = floats ? 1 + (int64_t)sizeof(float) : 1;
    const int64_t chunk = model->vae.scale_time * tile_places(&cut) * 3 * (1 + 4 + 4);
    if (cut.rows * cut.columns == 1)
        return chunk;
    return chunk + g->frames * g->height * g->width * 3 * value +
           vae_seams_bytes(&cut, g->pad_frames, 3);
}
