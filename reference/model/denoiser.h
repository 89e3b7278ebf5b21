// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* denoiser.h   The network of any family as the generator drives it: load once per stage, fix the
 * grid, make one condition per prompt, then set the time and run forwards.
 *
 * A family is one row of functions in denoiser.c. The network of a family is a struct of its own,
 * `bytes` large, zeroed before load and freed by free, which gives back host memory only: tensors
 * end with their stage. Likewise its condition. After a failure the owner of `ops` frees what the
 * stage holds, so model code returns at once. */
#ifndef PATCHMARK_DENOISER_H
#define PATCHMARK_DENOISER_H

#include "model/layer.h"
#include "model/model.h"

#define DENOISER_NO_CLASS (-1)

/* What steers a forward beside latents and time. Host memory, valid during the call; data pointers
 * are NULL unless executing. */
struct denoiser_prompt {
    const float *text; /* [clips][rows][text_dim], rows past `real` are zero */
    int64_t rows, real;
    const float *image; /* [image_rows][image_dim], image_rows 0: none */
    int64_t image_rows;
    const float *pooled; /* one vector for the whole prompt, where the family has one */
    const float *glyph;  /* [glyph_rows][glyph_dim], text to paint (HunyuanVideo 1.5) */
    int64_t glyph_rows;  /* 0: none, as in most prompts */
    int64_t class_label; /* DiT */
    double guidance;     /* of networks that are told it (distilled ones) */
    double fps;          /* of networks whose positions are in seconds */
};

/* What a model has and does, at its own size. */
struct denoiser_figures {
    int64_t tokens, parameters;
    double forward_flops;
};

/* A family whose networks are not here has `figures` in place of load and all that follows it. */
struct denoiser_family {
    const char *name;
    void (*figures)(const struct model_config *model, struct denoiser_figures *out);
    size_t network_bytes, condition_bytes;
    /* refuses latent grids that the network cannot take with ST_BAD_INPUT; NULL: it takes all */
    enum status (*grid)(const struct model_config *model, int64_t T, int64_t H, int64_t W,
                        struct fault *fault);
    /* asks for every weight */
    enum status (*load)(struct ops *ops, const struct model_config *model, void *network);
    void (*free)(void *network);
    /* so many clips at once, each of its own latents and prompt: called before begin. NULL: one */
    enum status (*clips)(void *network, int64_t clips);
    /* fixes the latent grid; fps as in denoiser_prompt */
    enum status (*begin)(void *network, int64_t T, int64_t H, int64_t W, double fps);
    /* everything that depends on the prompt and on neither latents nor time */
    enum status (*condition)(void *network, const struct denoiser_prompt *prompt, void *out);
    void (*condition_free)(void *condition);
    /* time [frames]: one for each latent frame where frames > 1, else one for all (0..1000) */
    enum status (*set_time)(void *network, const double *time, int64_t frames);
    /* latents [clips][T][H][W][in_channels] f32 -> prediction [clips][T][H][W][out_channels] f32 */
    enum status (*forward)(void *network, const void *condition, struct tensor latents,
                           struct tensor prediction);
    /* Where there is more than the grid, as the sound of LTX-2: rows of in_channels that follow its
     * cells in latents and prediction. NULL: none */
    int64_t (*extra_rows)(const struct model_config *model, int64_t T, double fps);
    /* flow shift that grows with the tokens, of models whose own is 0. NULL: there are none */
    double (*shift)(int64_t tokens);
};

extern const struct denoiser_family *const denoiser_families[FAMILY_COUNT];

/* A loaded network of any family. */
struct denoiser {
    const struct denoiser_family *family;
    void *network;
};

/* Refuses a model of which there are figures alone with ST_NOT_BUILT. */
enum status denoiser_available(const struct model_config *model, struct fault *fault);

enum status denoiser_load(struct ops *ops, const struct model_config *model, struct denoiser *out);
void denoiser_free(struct denoiser *d);
enum status denoiser_condition_new(const struct denoiser *d, struct ops *ops,
                                   const struct denoiser_prompt *prompt, void **out);
void denoiser_condition_free(const struct denoiser *d, void *condition);

#endif
