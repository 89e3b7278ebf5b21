// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* hunyuan.h   The HunyuanVideo transformer: latents, text and a time in, a velocity out.
 * A token refiner prepares the text. Then video and text form one sequence: blocks of two streams
 * have weights of their own for each and attend to both; blocks of one stream treat both alike and
 * run attention and MLP side by side. Every block projects its shifts, scales and gates from one
 * vector of time (and guidance and pooled text). Version 1.5 (hunyuan_15.h) has blocks of two
 * streams only and shares all of this. */
#ifndef PATCHMARK_HUNYUAN_H
#define PATCHMARK_HUNYUAN_H

#include "model/denoiser.h"

/* What only this family has. transformer.layers counts the blocks of two streams. */
struct hunyuan_config {
    int64_t single_layers; /* blocks of one stream, after them */
    int64_t refiner_layers;
    int64_t axis[3];        /* channels of a head turned by frame, row and column; together D */
    double theta;           /* of those rotations */
    int64_t pooled_dim;     /* width of the prompt's pooled vector; 0: none */
    int64_t image_channels; /* beside the noise, for a given image: zeros without one */
    int64_t glyph_dim;      /* 1.5: width of the features of text to paint */
    int64_t glyph_F;        /* 1.5: mlp width of their projection */
};

/* up, an activation, down */
struct hunyuan_mlp {
    struct layer_linear up, down;
};

struct hunyuan_heads {
    struct layer_linear q, k, v;
    struct tensor norm_q, norm_k; /* over each head; absent in the refiner */
};

/* One stream's side of a block. */
struct hunyuan_stream {
    struct layer_linear modulation; /* 6 rows */
    struct hunyuan_heads heads;
    struct layer_linear o;
    struct hunyuan_mlp mlp;
};

#define HUNYUAN_ROWS 6

enum { HUNYUAN_VIDEO = 0, HUNYUAN_TEXT, HUNYUAN_STREAMS };

struct hunyuan_dual {
    struct hunyuan_stream stream[HUNYUAN_STREAMS];
};

struct hunyuan_single {
    struct layer_linear modulation; /* 3 rows */
    struct hunyuan_heads heads;
    struct layer_linear up, out; /* out takes [attention, MLP] */
};

struct hunyuan_refiner_block {
    struct layer_linear gates; /* 2 rows */
    struct hunyuan_heads heads;
    struct layer_linear o;
    struct layer_norm norm_1, norm_2;
    struct hunyuan_mlp mlp;
};

struct hunyuan {
    struct ops *ops;
    const struct transformer_config *config;
    const struct hunyuan_config *own;
    int64_t C;          /* N D */
    int64_t text_rows;  /* at most */
    bool told_guidance; /* as in model_config */
    struct layer_linear patch, head, head_modulation;
    struct hunyuan_mlp time, guidance, pooled;
    struct layer_linear text_in;
    struct hunyuan_mlp refiner_time, refiner_pooled;
    struct hunyuan_refiner_block *refiner;
    struct hunyuan_dual *dual;
    struct hunyuan_single *single;
    struct tensor text_kind; /* [1][C] added to refined text, in 1.5 alone */

    int64_t T, H, W, S;                  /* latent grid and video tokens, set by begin */
    struct tensor cos, sin;              /* [S + text_rows][D/2]; rows of text do not turn */
    struct tensor patches;               /* [S][patch.K] */
    struct tensor time_now;              /* [1][C], embedding of the step's time */
    struct tensor refiner_now;           /* [1][C], the same for the refiner */
    struct tensor rows[HUNYUAN_STREAMS]; /* [HUNYUAN_ROWS][C], a block's modulation */
};

/* One prompt: rows of text as they enter the sequence, of which all but the first `fixed` pass
 * through the refiner, and what joins the time in the vectors that modulate. */
struct hunyuan_condition {
    int64_t count, fixed;
    struct tensor text;    /* [count][C] */
    struct tensor refiner; /* [1][C] */
    struct tensor vector;  /* [1][C], absent in 1.5 */
};

/* ---- shared by both versions ----------------------------------------------------------------- */

/* All weights but those of guidance, pooled text and other inputs; `time` is the prefix of the time
 * embedding's tensors. */
enum status hunyuan_load(struct hunyuan *h, struct ops *ops, const struct model_config *model,
                         const char *time);
void hunyuan_free(void *network);
enum status hunyuan_begin(void *network, int64_t T, int64_t H, int64_t W, double fps);
enum status hunyuan_set_time(void *network, const double *time, int64_t frames);
enum status hunyuan_forward(void *network, const void *condition, struct tensor latents,
                            struct tensor prediction);

/* Makes room for `fixed` rows, which the caller fills, and puts the prompt's text behind them. */
enum status hunyuan_condition_text(struct hunyuan *h, const struct denoiser_prompt *prompt,
                                   int64_t fixed, struct hunyuan_condition *out);
void hunyuan_condition_free(void *condition);

/* ---- parts, in hunyuan_blocks.c -------------------------------------------------------------- */

enum status hunyuan_load_mlp(struct ops *ops, const char *prefix, const char *up, const char *down,
                             int64_t F, int64_t K, int64_t C, struct hunyuan_mlp *out);
/* y = down(activation(up x)) with an epilogue of linear.h; gate is one row */
enum status hunyuan_run_mlp(struct hunyuan *h, const struct hunyuan_mlp *m, int64_t S,
                            struct tensor x, int activation, int epilogue, struct tensor aux,
                            struct tensor gate, struct tensor y);
/* y = silu(a) */
enum status hunyuan_silu(struct hunyuan *h, struct tensor a, struct tensor y);
/* y = a + b, b [1][C] */
enum status hunyuan_add(struct hunyuan *h, int64_t S, struct tensor a, struct tensor b,
                        struct tensor y);

enum status hunyuan_load_blocks(struct hunyuan *h);
/* x [count][C] f32 in place; vector [1][C] of time and text */
enum status hunyuan_refine(struct hunyuan *h, int64_t count, struct tensor vector, struct tensor x);
/* All blocks on the sequence x [S + count][C] f32 in place; signal [1][C] = silu(vector); u is
 * memory of x's extents. */
enum status hunyuan_run_blocks(struct hunyuan *h, int64_t count, struct tensor signal,
                               struct tensor x, struct tensor u);
/* y = norm of x, scaled by 1 + scale and shifted */
enum status hunyuan_modulate(struct hunyuan *h, int64_t S, struct tensor x, struct tensor scale,
                             struct tensor shift, struct tensor y);

extern const struct denoiser_family hunyuan_family;

#endif
