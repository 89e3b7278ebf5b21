// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/vae.h"

#include "decode/average_down/average_down.h"
#include "decode/duplicate_up/duplicate_up.h"
#include "decode/upsample/upsample.h"
#include "denoise/elementwise/elementwise.h"

/* ---- weights --------------------------------------------------------------------------------- */

/* Wan 2.2's decoder may be wider than its encoder. */
static int64_t base_of(const struct vae_config *c)
{
    return c->decoder_base ? c->decoder_base : c->base;
}

/* Level widths fall from the last multiplier to the first. An upsampler halves the width, but not
 * where a shortcut goes around it. */
static enum status load_level(struct vae *v, int level, int64_t *C)
{
    const struct vae_config *c = v->config;
    struct vae_level *l = &v->level[level];
    const int64_t O = base_of(c) * c->mult[VAE_LEVELS - 1 - level];
    char prefix[LAYER_NAME_MAX];
    for (int64_t i = 0; i < v->blocks; i++, *C = O) {
        snprintf(prefix, sizeof prefix, "decoder.up_blocks.%d.resnets.%d.", level, (int)i);
        TRY(vae_block_load(v->ops, prefix, O, *C, &l->block[i]));
    }
    l->upsamples = level < VAE_LEVELS - 1;
    l->doubles_time = l->upsamples && c->time_up[level];
    l->shortcut = l->upsamples && c->residual;
    snprintf(prefix, sizeof prefix, "decoder.up_blocks.%d.%s.", level,
             c->residual ? "upsampler" : "upsamplers.0");
    if (l->doubles_time)
        TRY(vae_conv_load(v->ops, prefix, "time_conv", 2 * O, O, 3, 1, &l->time));
    if (!l->upsamples)
        return ST_OK;
    *C = c->residual ? O : O / 2;
    return vae_resample_load(v->ops, prefix, *C, O, &l->space);
}

enum status vae_load(struct ops *ops, const struct vae_config *config, struct vae *out)
{
    *out = (struct vae){.ops = ops, .config = config, .blocks = config->res_blocks + 1};
    TRY(vae_check(ops, config));
    const int64_t z = config->z_dim;
    int64_t C = base_of(config) * config->mult[VAE_LEVELS - 1];
    TRY(layer_load_linear(ops, "", "post_quant_conv", 5, z, z, 0, true, &out->post_quant));
    TRY(vae_conv_load(ops, "decoder.", "conv_in", C, z, 3, 3, &out->in));
    TRY(vae_middle_load(ops, "decoder.", C, &out->middle));
    for (int level = 0; level < VAE_LEVELS; level++)
        TRY(load_level(out, level, &C));
    TRY(vae_out_gamma_load(ops, "decoder.", C, &out->out_gamma));
    return vae_conv_load(ops, "decoder.", "conv_out", vae_pixel_channels(config), C, 3, 3,
                         &out->out);
}

/* ---- caches ---------------------------------------------------------------------------------- */

enum status vae_begin(struct vae *v, int64_t H, int64_t W)
{
    struct ops *ops = v->ops;
    const int64_t z = v->config->z_dim;
    v->H = H, v->W = W, v->chunk = 0;
    if (!tensor_given(&v->mean)) {
        TRY(vae_row_put(ops, v->config->mean, z, &v->mean));
        TRY(vae_row_put(ops, v->config->std, z, &v->std));
    }
    TRY(vae_conv_begin(ops, &v->in, H, W));
    TRY(vae_middle_begin(ops, &v->middle, H, W));
    for (int level = 0; level < VAE_LEVELS; level++) {
        struct vae_level *l = &v->level[level];
        for (int64_t i = 0; i < v->blocks; i++)
            TRY(vae_block_begin(ops, &l->block[i], H << level, W << level));
        if (l->doubles_time)
            TRY(vae_conv_begin(ops, &l->time, H << level, W << level));
    }
    return vae_conv_begin(ops, &v->out, H << (VAE_LEVELS - 1), W << (VAE_LEVELS - 1));
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The first frame of a clip stands alone: time is not doubled there, and the time convolution of
 * later chunks does not see it. */
static enum status run_upsampler(struct vae *v, struct vae_level *l, struct vae_clip *x)
{
    struct ops *ops = v->ops;
    const bool doubles = l->doubles_time && v->chunk > 0;
    const int64_t ft = doubles ? 2 : 1, C = x->C;
    struct vae_clip wide = *x, large;
    if (doubles) {
        TRY(vae_convolve(ops, &l->time, x, &wide));
        ops->release(ops, &x->data);
    }
    TRY(vae_clip_new(ops, ft * x->T, 2 * x->H, 2 * x->W, C, ops->type, "vae.large", &large));
    const struct upsample_problem p = {.T = x->T,
                                       .H = x->H,
                                       .W = x->W,
                                       .C = C,
                                       .ft = ft,
                                       .fs = 2,
                                       .x = wide.data,
                                       .y = large.data};
    TRY(ops->upsample(ops, &p));
    ops->release(ops, &wide.data);
    TRY(vae_convolve(ops, &l->space, &large, x));
    ops->release(ops, &large.data);
    return ST_OK;
}

/* z std + mean, post_quant_conv, conv_in */
static enum status run_input(struct vae *v, struct tensor z, int64_t count, struct vae_clip *x)
{
    struct ops *ops = v->ops;
    const int64_t C = v->config->z_dim;
    struct vae_clip raw, mixed;
    TRY(vae_clip_new(ops, count, v->H, v->W, C, ops->type, "vae.z", &raw));
    TRY(vae_clip_new(ops, count, v->H, v->W, C, ops->type, "vae.quant", &mixed));
    const struct elementwise_problem p = {.S = vae_pixels(&raw),
                                          .C = C,
                                          .G = 1,
                                          .kind = ELEMENTWISE_AFFINE,
                                          .a = z,
                                          .b = v->std,
                                          .c = v->mean,
                                          .y = raw.data};
    TRY(ops->elementwise(ops, &p));
    TRY(layer_linear(ops, &v->post_quant, vae_pixels(&raw), raw.data, mixed.data));
    TRY(vae_convolve(ops, &v->in, &mixed, x));
    ops->release(ops, &mixed.data);
    ops->release(ops, &raw.data);
    return ST_OK;
}

/* x += the level's input, its channels repeated. Where time doubles, the first frame of a clip is
 * the second of its two. */
static enum status add_shortcut(struct vae *v, const struct vae_level *l,
                                const struct vae_clip *input, const struct vae_clip *x)
{
    const struct duplicate_up_problem p = {.T = input->T,
                                           .H = input->H,
                                           .W = input->W,
                                           .C = input->C,
                                           .O = x->C,
                                           .ft = l->doubles_time ? 2 : 1,
                                           .fs = 2,
                                           .skip = l->doubles_time && v->chunk == 0,
                                           .x = input->data,
                                           .aux = x->data,
                                           .y = x->data};
    return v->ops->duplicate_up(v->ops, &p);
}

static enum status run_level(struct vae *v, struct vae_level *l, struct vae_clip *x)
{
    struct vae_clip input = *x;
    for (int64_t i = 0; i < v->blocks; i++)
        TRY(vae_block_run(v->ops, &l->block[i], x, l->shortcut && i == 0));
    if (l->upsamples)
        TRY(run_upsampler(v, l, x));
    if (!l->shortcut)
        return ST_OK;
    TRY(add_shortcut(v, l, &input, x));
    v->ops->release(v->ops, &input.data);
    return ST_OK;
}

/* norm_out, conv_out, and channels unfolded into pixels */
static enum status run_output(struct vae *v, struct vae_clip *x, struct vae_clip *rgb)
{
    struct ops *ops = v->ops;
    const int64_t side = v->config->patch;
    TRY(vae_clip_new(ops, x->T, x->H, x->W, v->out.O, ELEM_F32, "vae.frames", rgb));
    TRY(vae_norm_convolve(ops, v->out_gamma, &v->out, x, NO_TENSOR, rgb->data));
    ops->release(ops, &x->data);
    if (!side)
        return ST_OK;
    struct vae_clip folded = *rgb;
    TRY(vae_clip_new(ops, x->T, side * x->H, side * x->W, 3, ELEM_F32, "vae.pixels", rgb));
    const struct duplicate_up_problem p = {.T = x->T,
                                           .H = x->H,
                                           .W = x->W,
                                           .C = folded.C,
                                           .O = 3,
                                           .ft = 1,
                                           .fs = side,
                                           .order = CELL_COLUMNS,
                                           .x = folded.data,
                                           .aux = NO_TENSOR,
                                           .y = rgb->data};
    TRY(ops->duplicate_up(ops, &p));
    ops->release(ops, &folded.data);
    return ST_OK;
}

enum status vae_decode_many(struct vae *v, struct tensor z, int64_t count, struct tensor *frames,
                            int64_t *T)
{
    struct vae_clip x, rgb;
    TRY(run_input(v, z, count, &x));
    TRY(vae_middle_run(v->ops, &v->middle, &x));
    for (int level = 0; level < VAE_LEVELS; level++)
        TRY(run_level(v, &v->level[level], &x));
    TRY(run_output(v, &x, &rgb));
    v->chunk++;
    *frames = rgb.data;
    *T = rgb.T;
    return ST_OK;
}

enum status vae_decode(struct vae *v, struct tensor z, struct tensor *frames, int64_t *T)
{
    return vae_decode_many(v, z, 1, frames, T);
}
