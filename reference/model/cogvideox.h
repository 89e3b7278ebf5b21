// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cogvideox.h   The CogVideoX transformer: latents, text and a time in, a velocity out.
 * Text and video are one sequence, text first, under one set of weights; they differ in the vectors
 * that shift, scale and gate them, six rows before attention and six before the MLP, made from the
 * time alone. */
#ifndef PATCHMARK_COGVIDEOX_H
#define PATCHMARK_COGVIDEOX_H

#include "model/denoiser.h"

/* How a video token knows its place; text tokens have none. */
enum cogvideox_position {
    COGVIDEOX_SINES = 0, /* a vector added to the embedded patch */
    COGVIDEOX_FITTED,    /* rotation; sides are stretched to those of the training */
    COGVIDEOX_COUNTED    /* rotation by plain indices */
};

struct cogvideox_config {
    int64_t time_dim; /* width of the time vector */
    enum cogvideox_position position;
    int64_t trained_height, trained_width; /* latent cells; FITTED */
    double interval;                       /* SINES: columns and rows that count as one */
};

/* A layer norm and the projection of the time that shifts, scales and gates around it. */
struct cogvideox_norm {
    struct layer_norm norm;
    struct layer_linear modulation;
};

struct cogvideox_block {
    struct cogvideox_norm attention, mlp;
    struct layer_linear q, k, v, o, up, down;
    struct layer_norm norm_q, norm_k; /* of each head */
};

struct cogvideox {
    struct ops *ops;
    const struct transformer_config *config;
    const struct cogvideox_config *own;
    int64_t C, M; /* N D; rows of text */
    struct layer_linear patch, text, time_1, time_2, head;
    struct layer_norm final;
    struct cogvideox_norm out;
    struct cogvideox_block *block;

    int64_t T, H, W, S;     /* latent grid and its tokens, set by cogvideox_begin() */
    struct tensor position; /* [S][C]; SINES */
    struct tensor cos, sin; /* [M + S][D/2]; otherwise */
    struct tensor time;     /* [1][time_dim], silu of the step's time vector */
    struct tensor rows;     /* every norm's rows at that time, see cogvideox_time.c */
    struct tensor carried;  /* [2][C] */
};

/* The text as it enters the sequence. */
struct cogvideox_text {
    struct tensor rows; /* [M][C] */
};

/* Rows of one norm. Once set, scale and shift hold the norm's own weight and bias too, so that one
 * pass does both: (n w + b)(1 + s) + t = n (s w + w) + (s b + b + t). */
enum { COGVIDEOX_SHIFT = 0, COGVIDEOX_SCALE, COGVIDEOX_GATE, COGVIDEOX_TEXT, COGVIDEOX_ROWS = 6 };
enum { COGVIDEOX_OUT_ROWS = 2 };

/* The first row of norm 0 .. 2 layers: two for each block, then the last. */
struct tensor cogvideox_rows(const struct cogvideox *t, int64_t norm);
int64_t cogvideox_rows_count(const struct cogvideox *t);

/* The time (0..1000) of the forwards that follow. */
enum status cogvideox_set_time(struct cogvideox *t, double time);

/* Fixes the latent grid; makes what tells tokens their places and the vectors that live as long as
 * the stage. */
enum status cogvideox_begin(struct cogvideox *t, int64_t T, int64_t H, int64_t W);

extern const struct denoiser_family cogvideox_family;

#endif
