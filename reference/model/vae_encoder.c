// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/vae_encoder.h"

#include "decode/average_down/average_down.h"
#include "denoise/elementwise/elementwise.h"

/* ---- weights --------------------------------------------------------------------------------- */

/* Wan 2.1 numbers blocks and resamplers of all levels through, Wan 2.2 within their level. */
static void block_prefix(const struct vae_config *c, int level, int64_t block, char *out,
                         size_t bytes)
{
    const int64_t number = level * (c->res_blocks + 1) + block;
    if (!c->residual)
        snprintf(out, bytes, "encoder.down_blocks.%d.", (int)number);
    else if (block < c->res_blocks)
        snprintf(out, bytes, "encoder.down_blocks.%d.resnets.%d.", level, (int)block);
    else
        snprintf(out, bytes, "encoder.down_blocks.%d.downsampler.", level);
}

static enum status load_level(struct vae_encoder *e, int level, int64_t *C)
{
    const struct vae_config *c = e->config;
    struct vae_encoder_level *l = &e->level[level];
    const int64_t O = c->base * c->mult[level];
    char prefix[LAYER_NAME_MAX];
    for (int64_t i = 0; i < e->blocks; i++, *C = O) {
        block_prefix(c, level, i, prefix, sizeof prefix);
        TRY(vae_block_load(e->ops, prefix, O, *C, &l->block[i]));
    }
    l->shortcut = c->residual;
    l->downsamples = level < VAE_LEVELS - 1;
    l->halves_time = l->downsamples && c->time_up[VAE_LEVELS - 2 - level];
    if (!l->downsamples)
        return ST_OK;
    block_prefix(c, level, e->blocks, prefix, sizeof prefix);
    TRY(vae_resample_load(e->ops, prefix, O, O, &l->space));
    l->space.ss = 2;
    if (!l->halves_time)
        return ST_OK;
    TRY(vae_conv_load(e->ops, prefix, "time_conv", O, O, 3, 1, &l->time));
    l->time.st = 2;
    return ST_OK;
}

enum status vae_encoder_load(struct ops *ops, const struct vae_config *config,
                             struct vae_encoder *out)
{
    *out = (struct vae_encoder){.ops = ops, .config = config, .blocks = config->res_blocks};
    TRY(vae_check(ops, config));
    const int64_t z = config->z_dim;
    int64_t C = config->base;
    TRY(vae_conv_load(ops, "encoder.", "conv_in", C, vae_pixel_channels(config), 3, 3, &out->in));
    for (int level = 0; level < VAE_LEVELS; level++)
        TRY(load_level(out, level, &C));
    TRY(vae_middle_load(ops, "encoder.", C, &out->middle));
    TRY(vae_out_gamma_load(ops, "encoder.", C, &out->out_gamma));
    TRY(vae_conv_load(ops, "encoder.", "conv_out", 2 * z, C, 3, 3, &out->out));
    return layer_load_linear(ops, "", "quant_conv", 5, 2 * z, 2 * z, 0, true, &out->quant);
}

/* ---- caches ---------------------------------------------------------------------------------- */

/* (z - mean) / std as one multiplication and one addition */
static enum status put_statistics(struct vae_encoder *e)
{
    const struct vae_config *c = e->config;
    double scale[VAE_Z_MAX], shift[VAE_Z_MAX];
    for (int64_t i = 0; i < c->z_dim; i++) {
        scale[i] = 1.0 / c->std[i];
        shift[i] = -c->mean[i] / c->std[i];
    }
    TRY(vae_row_put(e->ops, scale, c->z_dim, &e->scale));
    return vae_row_put(e->ops, shift, c->z_dim, &e->shift);
}

enum status vae_encoder_begin(struct vae_encoder *e, int64_t H, int64_t W)
{
    struct ops *ops = e->ops;
    const int64_t side = e->config->patch ? e->config->patch : 1;
    e->H = H, e->W = W, e->chunk = 0;
    H /= side, W /= side;
    if (!tensor_given(&e->scale))
        TRY(put_statistics(e));
    TRY(vae_conv_begin(ops, &e->in, H, W));
    for (int level = 0; level < VAE_LEVELS; level++) {
        struct vae_encoder_level *l = &e->level[level];
        for (int64_t i = 0; i < e->blocks; i++)
            TRY(vae_block_begin(ops, &l->block[i], H, W));
        H = l->downsamples ? H / 2 : H;
        W = l->downsamples ? W / 2 : W;
        if (l->halves_time)
            TRY(vae_conv_begin(ops, &l->time, H, W));
    }
    TRY(vae_middle_begin(ops, &e->middle, H, W));
    return vae_conv_begin(ops, &e->out, H, W);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Squares of pixels into channels, in new memory. */
static enum status fold(struct ops *ops, int64_t side, struct vae_clip *x)
{
    const struct vae_clip rgb = *x;
    TRY(vae_clip_new(ops, x->T, x->H / side, x->W / side, x->C * side * side, ops->type,
                     "vae.folded", x));
    const struct average_down_problem p = {.T = rgb.T,
                                           .H = rgb.H,
                                           .W = rgb.W,
                                           .C = rgb.C,
                                           .O = x->C,
                                           .ft = 1,
                                           .fs = side,
                                           .order = CELL_COLUMNS,
                                           .x = rgb.data,
                                           .aux = NO_TENSOR,
                                           .y = x->data};
    return ops->average_down(ops, &p);
}

/* pixels, conv_in */
static enum status run_input(struct vae_encoder *e, struct tensor pixels, int64_t T,
                             struct vae_clip *x)
{
    struct ops *ops = e->ops;
    struct vae_clip rgb = {.T = T, .H = e->H, .W = e->W, .C = 3, .data = pixels}, folded;
    const bool converts = ops->type != ELEM_F32, folds = e->config->patch > 0;
    if (converts) {
        TRY(vae_clip_new(ops, T, e->H, e->W, 3, ops->type, "vae.rgb", &rgb));
        TRY(layer_copy(ops, vae_pixels(&rgb), 3, pixels, rgb.data));
    }
    folded = rgb;
    if (folds)
        TRY(fold(ops, e->config->patch, &folded));
    if (folds && converts)
        ops->release(ops, &rgb.data);
    TRY(vae_convolve(ops, &e->in, &folded, x));
    if (folds || converts)
        ops->release(ops, &folded.data);
    return ST_OK;
}

/* The first frame of a clip stands alone: time is not halved there, but the time convolution of the
 * next chunk sees it. */
static enum status run_downsampler(struct vae_encoder *e, struct vae_encoder_level *l,
                                   struct vae_clip *x)
{
    struct ops *ops = e->ops;
    struct vae_clip small, y;
    TRY(vae_convolve(ops, &l->space, x, &small));
    ops->release(ops, &x->data);
    *x = small;
    if (!l->halves_time)
        return ST_OK;
    if (e->chunk == 0)
        return vae_conv_remember(ops, &l->time, x);
    TRY(vae_convolve(ops, &l->time, x, &y));
    ops->release(ops, &x->data);
    *x = y;
    return ST_OK;
}

/* x += the level's input, its cells averaged. Where time halves, the first frame of a clip is a cell
 * with a frame of zeros in front. */
static enum status add_shortcut(struct vae_encoder *e, const struct vae_encoder_level *l,
                                const struct vae_clip *input, const struct vae_clip *x)
{
    const struct average_down_problem p = {.T = input->T,
                                           .H = input->H,
                                           .W = input->W,
                                           .C = input->C,
                                           .O = x->C,
                                           .ft = l->halves_time ? 2 : 1,
                                           .fs = l->downsamples ? 2 : 1,
                                           .lead = l->halves_time && e->chunk == 0,
                                           .x = input->data,
                                           .aux = x->data,
                                           .y = x->data};
    return e->ops->average_down(e->ops, &p);
}

static enum status run_level(struct vae_encoder *e, struct vae_encoder_level *l, struct vae_clip *x)
{
    struct vae_clip input = *x;
    for (int64_t i = 0; i < e->blocks; i++)
        TRY(vae_block_run(e->ops, &l->block[i], x, l->shortcut && i == 0));
    if (l->downsamples)
        TRY(run_downsampler(e, l, x));
    if (!l->shortcut)
        return ST_OK;
    TRY(add_shortcut(e, l, &input, x));
    e->ops->release(e->ops, &input.data);
    return ST_OK;
}

/* norm_out, conv_out, quant_conv; of its 2 z channels the first half is the mean. */
static enum status run_output(struct vae_encoder *e, struct vae_clip *x, struct tensor *z)
{
    struct ops *ops = e->ops;
    const int64_t C = e->config->z_dim;
    struct vae_clip raw, mixed;
    TRY(vae_clip_new(ops, x->T, x->H, x->W, 2 * C, ops->type, "vae.moments", &raw));
    TRY(vae_norm_convolve(ops, e->out_gamma, &e->out, x, NO_TENSOR, raw.data));
    ops->release(ops, &x->data);
    TRY(vae_clip_new(ops, raw.T, raw.H, raw.W, 2 * C, ELEM_F32, "vae.quant", &mixed));
    TRY(layer_linear(ops, &e->quant, vae_pixels(&raw), raw.data, mixed.data));
    ops->release(ops, &raw.data);
    TRY(ops->alloc(ops, z, ELEM_F32, vae_pixels(&mixed), C, "vae.z"));
    const struct elementwise_problem p = {.S = vae_pixels(&mixed),
                                          .C = C,
                                          .G = 1,
                                          .kind = ELEMENTWISE_AFFINE,
                                          .a = mixed.data,
                                          .b = e->scale,
                                          .c = e->shift,
                                          .y = *z};
    TRY(ops->elementwise(ops, &p));
    ops->release(ops, &mixed.data);
    return ST_OK;
}

enum status vae_encode(struct vae_encoder *e, struct tensor pixels, int64_t T, struct tensor *z)
{
    struct vae_clip x;
    TRY(run_input(e, pixels, T, &x));
    for (int level = 0; level < VAE_LEVELS; level++)
        TRY(run_level(e, &e->level[level], &x));
    TRY(vae_middle_run(e->ops, &e->middle, &x));
    TRY(run_output(e, &x, z));
    e->chunk++;
    return ST_OK;
}
