// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ltx_stream.h   What LTX-Video and LTX-2 have in common: one modality's tokens through the blocks.
 * Every block: self attention, cross attention to the text, MLP. One projection of the time gives
 * six rows for all blocks, to which each adds its table; norms have no weights; rotation spans the
 * whole width. LTX-Video is one stream, LTX-2 two that also attend to each other.
 * Internal to reference/model. */
#ifndef PATCHMARK_LTX_STREAM_H
#define PATCHMARK_LTX_STREAM_H

#include "model/layer.h"

/* Rows of a stream's modulation. The second part is of LTX-2 alone: for the attention of the video
 * to the sound and of the sound to the video. */
enum {
    LTX_SHIFT_SELF = 0,
    LTX_SCALE_SELF,
    LTX_GATE_SELF,
    LTX_SHIFT_MLP,
    LTX_SCALE_MLP,
    LTX_GATE_MLP,
    LTX_ROWS,
    LTX_SCALE_TO_VIDEO = LTX_ROWS,
    LTX_SHIFT_TO_VIDEO,
    LTX_SCALE_TO_AUDIO,
    LTX_SHIFT_TO_AUDIO,
    LTX_GATE_CROSS,
    LTX_ROWS_MAX
};

/* Keys and values may come from tokens of another width K than that of queries and outputs. */
struct ltx_attention {
    struct layer_linear q, k, v, o;
    struct tensor norm_q, norm_k; /* over all heads at once */
    int64_t N, D;
};

/* A time, embedded, and `rows` vectors made of it. */
struct ltx_time {
    struct layer_linear in, hidden, rows;
};

struct ltx_layer {
    struct ltx_attention self, text;
    struct layer_linear up, down;
    struct tensor table; /* [LTX_ROWS][C] */
};

/* Angles of S tokens: cos and sin [S][width / 2]. */
struct ltx_rotation {
    struct tensor cos, sin;
};

struct ltx_stream_config {
    const char *prefix; /* before the names of the checkpoint: "" or "audio_" */
    int64_t in_channels, out_channels, layers, N, D, F, text_dim, freq_dim;
    int64_t rope; /* enum qk_rope */
    int64_t rows; /* LTX_ROWS or LTX_ROWS_MAX */
    double eps, qk_eps;
};

struct ltx_stream {
    struct ops *ops;
    struct ltx_stream_config config;
    int64_t C; /* N D */
    struct layer_linear in, out, text_1, text_2;
    struct ltx_time time;
    struct tensor table; /* [2][C]: shift and scale of the head */
    struct ltx_layer *layer;

    int64_t S; /* set by ltx_stream_begin() */
    struct ltx_rotation rotation;
    struct tensor embedded;   /* [1][C], of the step's time */
    struct tensor modulation; /* [rows][C], made of it */
    struct tensor rows;       /* [rows][C], a block's table + modulation */
    struct tensor x, u;       /* during a forward: residual [S][C] f32, activations [S][C] */
};

/* Keys and values of one prompt, one of each per layer. */
struct ltx_context {
    int64_t M;
    struct tensor *k, *v; /* [M][C] */
};

enum status ltx_attention_load(struct ops *ops, const char *prefix, int64_t C, int64_t K, int64_t N,
                               int64_t D, struct ltx_attention *out);
enum status ltx_time_load(struct ops *ops, const char *prefix, int64_t C, int64_t freq_dim,
                          int64_t rows, struct ltx_time *out);
enum status ltx_stream_load(struct ops *ops, const struct ltx_stream_config *config,
                            struct ltx_stream *out);
void ltx_stream_free(struct ltx_stream *s);

/* position [S][axes] on the host, as fractions of the longest axis (NULL unless executing). */
enum status ltx_rotation_new(struct ops *ops, int64_t S, int64_t width, int64_t axes,
                             const float *position, struct ltx_rotation *out);
enum status ltx_stream_begin(struct ltx_stream *s, int64_t S, int64_t axes, const float *position);

/* text [M][text_dim] at any stride, in the type of activations */
enum status ltx_context_new(struct ltx_stream *s, struct tensor text, int64_t M,
                            struct ltx_context *out);
void ltx_context_free(struct ltx_context *context);

/* embedded [1][C] and rows [time->rows.O / C][C], both f32 */
enum status ltx_time_run(struct ops *ops, const struct ltx_time *time, double value,
                         struct tensor embedded, struct tensor rows);
enum status ltx_stream_set_time(struct ltx_stream *s, double time);

/* latents [S][in_channels] f32 -> x; then block by block; then x -> prediction [S][out_channels] */
enum status ltx_stream_enter(struct ltx_stream *s, struct tensor latents);
enum status ltx_stream_leave(struct ltx_stream *s, struct tensor prediction);

/* The rows of a block: modulation + table, `count` of them from `first` on. */
enum status ltx_stream_rows(struct ltx_stream *s, int64_t first, int64_t count,
                            struct tensor table);
struct tensor ltx_stream_row(const struct ltx_stream *s, int64_t index);
/* u = x / rms(x), scaled and shifted by two rows */
enum status ltx_stream_modulate(struct ltx_stream *s, struct tensor scale, struct tensor shift,
                                struct tensor u);
enum status ltx_self_attention(struct ltx_stream *s, const struct ltx_layer *l);
/* the queries come from u; the result is added to x */
enum status ltx_text_attention(struct ltx_stream *s, const struct ltx_layer *l,
                               const struct ltx_context *context, int64_t layer);
enum status ltx_mlp(struct ltx_stream *s, const struct ltx_layer *l);

/* x = norm and rotation of x, [S][N D]; without rotation where it is NULL */
enum status ltx_turn(struct ops *ops, const struct ltx_attention *a,
                     const struct ltx_stream_config *c, int64_t S, struct tensor weight,
                     const struct ltx_rotation *rotation, struct tensor x);
enum status ltx_attend(struct ops *ops, const struct ltx_attention *a, int64_t Sq, int64_t Sk,
                       struct tensor q, struct tensor k, struct tensor v, struct tensor o);

#endif
