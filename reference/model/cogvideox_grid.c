// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cogvideox_grid.c   The latent grid and what tells its tokens their places. */
#include <math.h>
#include <stdlib.h>

#include "model/cogvideox.h"

/* Tokens of a frame. */
struct grid {
    int64_t rows, columns;
};

static struct grid grid_of(const struct cogvideox *t)
{
    return (struct grid){t->H / t->config->ph, t->W / t->config->pw};
}

/* ---- sines ----------------------------------------------------------------------------------- */

/* sines, then cosines, `waves` of each */
static float *put_sines(float *out, double position, int64_t waves)
{
    for (int64_t i = 0; i < waves; i++) {
        const double angle = position * pow(10000.0, -(double)i / (double)waves);
        out[i] = (float)sin(angle);
        out[waves + i] = (float)cos(angle);
    }
    return out + 2 * waves;
}

/* A quarter of the channels tells the frame, the rest in equal shares column and row. */
static void fill_frame(const struct cogvideox *t, int64_t frame, float *out)
{
    const struct grid g = grid_of(t);
    const double interval = t->own->interval;
    for (int64_t i = 0; i < g.rows * g.columns; i++) {
        out = put_sines(out, (double)frame, t->C / 8);
        out = put_sines(out, (double)(i % g.columns) / interval, 3 * t->C / 16);
        out = put_sines(out, (double)(i / g.columns) / interval, 3 * t->C / 16);
    }
}

/* Frame by frame, so that the host holds one frame of it. */
static enum status put_position(struct cogvideox *t)
{
    struct ops *ops = t->ops;
    const struct grid g = grid_of(t);
    const int64_t frames = t->T / t->config->pt, tokens = g.rows * g.columns;
    float *host;
    TRY(ops->alloc(ops, &t->position, ELEM_F32, t->S, t->C, "position"));
    enum status status = layer_host_alloc(ops, tokens * t->C, sizeof *host, &host);
    for (int64_t f = 0; f < frames && status == ST_OK; f++) {
        const struct tensor frame = layer_view(t->position, f * tokens * t->position.stride);
        if (host)
            fill_frame(t, f, host);
        status = ops->put(ops, &frame, host, tokens, t->C);
    }
    free(host);
    return status;
}

/* ---- rotation -------------------------------------------------------------------------------- */

/* Positions along one side: begin, begin + step, ... */
struct side {
    double begin, step;
};

static struct side side_between(double begin, double end, int64_t count)
{
    const double last = end * (double)(count - 1) / (double)count;
    return (struct side){begin, count > 1 ? (last - begin) / (double)(count - 1) : 0.0};
}

/* The grid keeps its shape and is made as large as goes into the sides of the training, centred.
 * Roundings, to even where they are in doubt, are those of the published pipeline. */
static void fit(const struct cogvideox *t, struct side *vertical, struct side *horizontal)
{
    const struct grid g = grid_of(t);
    const double rows = (double)g.rows, columns = (double)g.columns;
    double height = (double)(t->own->trained_height / t->config->ph);
    double width = (double)(t->own->trained_width / t->config->pw);
    const double full_height = height, full_width = width;
    if (rows / columns > height / width)
        width = nearbyint(height / rows * columns);
    else
        height = nearbyint(width / columns * rows);
    const double top = nearbyint((full_height - height) / 2.0);
    const double left = nearbyint((full_width - width) / 2.0);
    *vertical = side_between(top, top + height, g.rows);
    *horizontal = side_between(left, left + width, g.columns);
}

static void rotate_axis(float *cosine, float *sine, double position, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i++) {
        const double angle = position * pow(10000.0, -(double)i / (double)pairs);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
}

/* Text does not turn: its rows are angles of 0. A head's channels go to frame, row and column, a
 * quarter and twice three eighths. */
static void fill_rotation(const void *network, float *cosine, float *sine)
{
    const struct cogvideox *t = network;
    const struct grid g = grid_of(t);
    const int64_t pairs = t->config->D / 2, time = pairs / 4, space = pairs * 3 / 8;
    struct side vertical = {0.0, 1.0}, horizontal = {0.0, 1.0};
    if (t->own->position == COGVIDEOX_FITTED)
        fit(t, &vertical, &horizontal);
    for (int64_t i = 0; i < t->M; i++, cosine += pairs, sine += pairs)
        rotate_axis(cosine, sine, 0.0, pairs);
    for (int64_t s = 0; s < t->S; s++, cosine += pairs, sine += pairs) {
        const double y = vertical.begin + vertical.step * (double)(s / g.columns % g.rows);
        const double x = horizontal.begin + horizontal.step * (double)(s % g.columns);
        rotate_axis(cosine, sine, (double)(s / (g.rows * g.columns)), time);
        rotate_axis(cosine + time, sine + time, y, space);
        rotate_axis(cosine + time + space, sine + time + space, x, space);
    }
}

enum status cogvideox_begin(struct cogvideox *t, int64_t T, int64_t H, int64_t W)
{
    struct ops *ops = t->ops;
    const struct transformer_config *c = t->config;
    t->T = T, t->H = H, t->W = W;
    t->S = (T / c->pt) * (H / c->ph) * (W / c->pw);
    TRY(ops->alloc(ops, &t->time, ops->type, 1, t->own->time_dim, "time"));
    TRY(ops->alloc(ops, &t->rows, ELEM_F32, cogvideox_rows_count(t), t->C, "modulation.rows"));
    TRY(ops->alloc(ops, &t->carried, ELEM_F32, 2, t->C, "modulation.carried"));
    if (t->own->position == COGVIDEOX_SINES)
        return put_position(t);
    return layer_rotation(ops, t->M + t->S, t->config->D / 2, fill_rotation, t, &t->cos, &t->sin);
}
