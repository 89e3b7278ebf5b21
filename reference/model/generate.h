// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* generate.h   A prompt to a video, written once against struct ops. Of families without a decoder
 * here the clip ends as latents. */
#ifndef PATCHMARK_GENERATE_H
#define PATCHMARK_GENERATE_H

#include "model/vae_tile.h"

/* The clip asked for and the padded one that is generated: frames 4k+1, sides multiples of patch x
 * VAE scale. The tail is dropped and right and bottom are cropped. */
struct geometry {
    int64_t width, height, frames;             /* asked for */
    int64_t pad_width, pad_height, pad_frames; /* generated */
    int64_t T, H, W, C;                        /* latent grid */
    int64_t S;                                 /* tokens */
};

/* Refuses sizes under 16 or over GEOMETRY_MAX_*, and frames under 1, with ST_BAD_INPUT. */
#define GEOMETRY_MAX_SIDE 16384
#define GEOMETRY_MAX_FRAMES 100000
enum status geometry_of(const struct model_config *model, int64_t width, int64_t height,
                        int64_t frames, struct geometry *out, struct fault *fault);

/* Rows of `geometry.C` latents beside the grid's cells (the sound of LTX-2), and the flow shift of
 * the model's own pipeline, which some models make grow with the tokens. */
int64_t generate_extra_rows(const struct model_config *model, const struct geometry *geometry,
                            double fps);
double generate_shift(const struct model_config *model, const struct geometry *geometry);

/* What the caller may watch. Each may be NULL; data is valid during the call only. In trace and
 * count mode none is called. Of a batch each is called for one clip after the other. */
struct generate_sink {
    void *user;
    /* rgb: count frames of geometry.height x geometry.width x 3, in order */
    enum status (*frames)(void *user, const uint8_t *rgb, int64_t first, int64_t count);
    /* the same frames before rounding, f32 in 0..1; asked for only where given (costs a pass) */
    enum status (*frames_f32)(void *user, const float *rgb, int64_t first, int64_t count);
    /* the text encoder's output, [rows][text.C] f32, rows = model->text.rows; negative is NULL
     * where guidance <= 1 */
    enum status (*text)(void *user, const float *prompt, const float *negative);
    /* what a given image came to: rows [count][image_dim], NULL where the model attends to none, and
     * condition [channels][frames][H][W], what stands beside the noise or is the first frame */
    enum status (*image)(void *user, const float *rows, int64_t count, const float *condition,
                         int64_t channels, int64_t frames);
    /* latents [C][T][H][W] after step `index` (1-based, of count); extra rows [rows][C] follow */
    enum status (*latents)(void *user, const float *latents, int64_t index, int64_t count);
    /* the same, after the last step alone, or of an encoded clip */
    enum status (*denoised)(void *user, const float *latents);
};

struct generate_request;
int64_t generate_clips(const struct generate_request *request); /* of a batch; 1 of none */

/* The network takes batches of clips made from prompts alone. */
bool generate_batches(const struct model_config *model);

/* Forwards per step: two with guidance, unless the network is told it. */
int generate_passes(const struct model_config *model, double guidance);

/* Turns a prompt into at most `rows` token numbers, the end of sequence among them. */
struct generate_tokenizer {
    enum status (*tokenize)(void *user, const char *text, int64_t rows, int32_t *ids,
                            int64_t *count, struct fault *fault);
    void *user;
};

struct generate_request {
    const struct model_config *model;
    struct geometry geometry;
    const char *prompt, *negative; /* negative may be "" */
    /* Clips made together, 0 and 1: one. Their prompts, or NULL: `prompt` for all; and what the seed
     * of the noise grows by from one to the next. Text is encoded and frames are decoded clip by
     * clip; every forward takes all of them. ST_REFUSED by generate() where the network or what is
     * given takes one clip at a time. */
    int64_t batch;
    const char *const *prompts;
    uint64_t seed_step;
    struct generate_tokenizer tokenizer; /* without a function: bytes, as tokenize_bytes() */
    int64_t class_label;                 /* DiT, in place of a prompt */
    int64_t steps;
    enum scheduler scheduler;
    double guidance, shift; /* guidance > 1 costs generate_passes() */
    double guidance_low;    /* of the second expert, where there is one */
    double fps;
    /* [pad_height][pad_width][3], -1..1, of the first frame and of the last; and both as the image
     * encoder sees them, [size][size][3] normalised, where the model has one. NULL: none; a model
     * that needs one draws it from seed. */
    const float *image, *last_image;
    const float *image_pixels, *last_image_pixels;
    uint64_t seed;            /* of the initial noise */
    const float *noise;       /* [C][T][H][W], of every clip, or NULL: drawn from seed */
    const float *extra_noise; /* [extra rows][C], or NULL likewise */
    const float *prompt_embeds, *negative_embeds; /* [embed_rows][text.C], or NULL: text encoder */
    int64_t embed_rows;                           /* <= text.rows; the rest are zero rows */
    /* In place of a prompt: frames to be encoded and decoded again, [frames][height][width][3] of
     * the geometry; or latents [C][T][H][W] to be decoded. */
    const uint8_t *clip;
    const float *clean;
    struct vae_tiling tiling; /* of encoder and decoder; all 0: whole frames */
    struct generate_sink sink;
};

/* Runs text, the given image where there is one, denoise and decode in turn through `ops`, in
 * whatever mode ops is in. Errors: the status of the failing op or hook, text in ops->fault. Memory:
 * only through ops, plus host buffers of the latents, of one chunk of pixels and what
 * clip_host_bytes() says, freed on every path. */
enum status generate(struct ops *ops, const struct generate_request *request);

/* Prompt bytes -> token numbers (byte tokenizer: byte + 3, then end of sequence 1); returns the
 * count, at most `rows`, the end of sequence kept on truncation. */
int64_t tokenize_bytes(const char *text, int64_t rows, int32_t *ids);

/* One part alone, for tests and block-level checks: text.h, transformer.h, vae.h, sampler.h. All
 * tensors from ops, the stage entered by the caller. */

#endif
