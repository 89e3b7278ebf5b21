// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model.h   Geometry of a video model: text encoder, image encoder, transformer, video autoencoder.
 * Sizes only. The Wan models are complete; of other families the denoiser alone is here. */
#ifndef PATCHMARK_MODEL_H
#define PATCHMARK_MODEL_H

#include "op.h"

struct text_config {
    int64_t vocab, C, N, D, F, layers;
    int64_t buckets, max_distance;
    int64_t rows; /* text rows the transformer sees, padding included */
    double eps;
};

/* The vision transformer of CLIP, up to the hidden state that the video model reads. */
struct image_config {
    int64_t size, patch; /* pixels of a side; of a patch's side */
    int64_t N, D, F;     /* C = N D */
    int64_t layers;      /* all of them; the last one does not run */
    double eps;
};

/* Which network denoises. */
enum transformer_family {
    FAMILY_WAN = 0,
    FAMILY_DIT,
    FAMILY_HUNYUAN,
    FAMILY_HUNYUAN_15,
    FAMILY_COGVIDEOX,
    FAMILY_LTX,
    FAMILY_LTX_2,
    FAMILY_OPEN_SORA,
    FAMILY_COUNT
};

/* What every family has; what only one has stands in <family>_config, in its own header. */
struct transformer_config {
    int64_t in_channels, out_channels;
    int64_t pt, ph, pw;
    int64_t layers, N, D, F; /* C = N D */
    int64_t text_dim, freq_dim;
    double eps;
    int64_t image_dim;  /* width of the image features attended to; 0: none */
    int64_t image_rows; /* rows of a learned position added to them; 0: none */
};

#define VAE_LEVELS 4
#define VAE_Z_MAX 64

struct vae_config {
    int64_t base, z_dim, res_blocks;
    int64_t mult[VAE_LEVELS];
    int64_t time_up[VAE_LEVELS - 1]; /* 1 where the level's upsampler also doubles time */
    int64_t scale_time, scale_space; /* pixels per latent cell */
    double mean[VAE_Z_MAX], std[VAE_Z_MAX];
    int64_t decoder_base; /* where the decoder is wider than the encoder; 0: base */
    int64_t residual;     /* 1: shortcuts around whole levels, as in Wan 2.2 */
    int64_t patch;        /* side of the pixel squares folded into channels; 0: none */
};

/* UNIPC_ORIGINAL is UniPC on the noise levels of the original release (diffusers before 0.37).
 * EULER takes the scheduler's own levels, EULER_ONCE those that pipelines hand to it instead,
 * EULER_TERMINAL and _QUADRATIC those of LTX-Video: stretched to end at 0.1, and (0.9.5 and later)
 * linear, then quadratic. */
enum scheduler {
    SCHEDULER_UNIPC = 0,
    SCHEDULER_EULER,
    SCHEDULER_UNIPC_ORIGINAL,
    SCHEDULER_DDIM,
    SCHEDULER_DDPM,
    SCHEDULER_EULER_ONCE,
    SCHEDULER_DDIM_COGVIDEOX,
    SCHEDULER_EULER_TERMINAL,
    SCHEDULER_EULER_QUADRATIC,
    SCHEDULER_COUNT
};

/* How a given image steers the clip. */
enum image_input {
    IMAGE_NONE = 0,
    IMAGE_CHANNELS,   /* a mask and its latents beside the noise, as channels of the transformer */
    IMAGE_FIRST_FRAME /* its latents are the first frame, which stays as it is at time 0 */
};

struct dit_config;
struct hunyuan_config;
struct cogvideox_config;
struct ltx_config;
struct ltx_2_config;
struct open_sora_config;

struct model_config {
    const char *name, *summary;
    enum transformer_family family;
    struct text_config text; /* without layers: the rows are given or drawn */
    struct image_config image;
    struct transformer_config transformer;
    struct vae_config vae; /* without base: latents are where it ends */
    /* defaults of the model's own pipeline; shift 0: it grows with the tokens */
    double shift, guidance, fps;
    int64_t steps;
    int64_t width, height, frames;
    enum scheduler scheduler;
    enum image_input image_input;
    double boundary;       /* times from 1000 boundary on go to the first expert; 0: there is one */
    double guidance_low;   /* of the second expert; 0: as the first */
    bool few_steps;        /* the networks of another preset, run in fewer steps without guidance */
    int64_t told_guidance; /* 1: guidance is an input of the network, one forward serves */
    int64_t guided;        /* guidance acts on the first so many channels; 0: on all */
    const struct dit_config *dit;
    const struct hunyuan_config *hunyuan;
    const struct cogvideox_config *cogvideox;
    const struct ltx_config *ltx;
    const struct ltx_2_config *ltx_2;
    const struct open_sora_config *open_sora;
};

extern const struct model_config *const model_presets[]; /* NULL-terminated */

/* Parameters of each part, counted from the geometry; a part that is not there has none. */
int64_t text_parameters(const struct text_config *config);
int64_t image_parameters(const struct image_config *config);      /* what is loaded of it */
int64_t transformer_parameters(const struct model_config *model); /* of one expert */
int64_t vae_decoder_parameters(const struct vae_config *config);
int64_t vae_encoder_parameters(const struct vae_config *config);

#endif
