// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cogvideox_time.c   What a step's time does to every norm, made once for all forwards of the step.
 * Rows of a block's norm: shift, scale and gate of the video, then those of the text. */
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "model/cogvideox.h"

struct tensor cogvideox_rows(const struct cogvideox *t, int64_t norm)
{
    return layer_view(t->rows, norm * COGVIDEOX_ROWS * t->rows.stride);
}

int64_t cogvideox_rows_count(const struct cogvideox *t)
{
    return 2 * t->config->layers * COGVIDEOX_ROWS + COGVIDEOX_OUT_ROWS;
}

static enum status elementwise(const struct cogvideox *t, int64_t S, int64_t G, int kind,
                               struct tensor a, struct tensor b, struct tensor c, struct tensor y)
{
    const struct elementwise_problem p = {
        .S = S, .C = t->C, .G = G, .kind = kind, .a = a, .b = b, .c = c, .y = y};
    return t->ops->elementwise(t->ops, &p);
}

/* Projects the time and folds the norm's weight and bias into scale and shift, those of video and
 * text together: every third row. */
static enum status set_rows(const struct cogvideox *t, const struct cogvideox_norm *n,
                            int64_t parts, struct tensor rows)
{
    struct tensor flat = rows, shift = rows;
    flat.stride = n->modulation.O;
    shift.stride = COGVIDEOX_TEXT * rows.stride;
    struct tensor scale = layer_view(shift, COGVIDEOX_SCALE * rows.stride);
    TRY(layer_linear(t->ops, &n->modulation, 1, t->time, flat));
    TRY(elementwise(t, parts, 1, ELEMENTWISE_AFFINE, scale, n->norm.bias, n->norm.bias,
                    t->carried));
    TRY(elementwise(t, parts, parts, ELEMENTWISE_ADD, shift, t->carried, NO_TENSOR, shift));
    return elementwise(t, parts, 1, ELEMENTWISE_AFFINE, scale, n->norm.weight, n->norm.weight,
                       scale);
}

/* silu(W2 silu(W1 e + b1) + b2): nothing reads the time vector but through a silu */
static enum status embed_time(const struct cogvideox *t, double time)
{
    struct ops *ops = t->ops;
    struct tensor waves, hidden;
    TRY(ops->alloc(ops, &waves, ops->type, 1, t->C, "time.waves"));
    TRY(ops->alloc(ops, &hidden, ops->type, 1, t->own->time_dim, "time.hidden"));
    TRY(layer_embed_number(ops, time, t->C, 0, waves));
    TRY(layer_linear_with(ops, &t->time_1, 1, waves, EPI_SILU, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear_with(ops, &t->time_2, 1, hidden, EPI_SILU, NO_TENSOR, NO_TENSOR, t->time));
    ops->release(ops, &hidden);
    ops->release(ops, &waves);
    return ST_OK;
}

enum status cogvideox_set_time(struct cogvideox *t, double time)
{
    const int64_t layers = t->config->layers;
    TRY(embed_time(t, time));
    for (int64_t i = 0; i < layers; i++) {
        TRY(set_rows(t, &t->block[i].attention, 2, cogvideox_rows(t, 2 * i)));
        TRY(set_rows(t, &t->block[i].mlp, 2, cogvideox_rows(t, 2 * i + 1)));
    }
    return set_rows(t, &t->out, 1, cogvideox_rows(t, 2 * layers));
}
