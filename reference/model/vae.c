// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/vae.h"

#include <math.h>

#include "attention/attention/attention.h"
#include "decode/conv3d/conv3d.h"
#include "decode/norm_conv3d/norm_conv3d.h"
#include "decode/norm_silu/norm_silu.h"
#include "decode/upsample/upsample.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"

/* A chunk on its way through the decoder. */
struct clip {
    int64_t T, H, W, C;
    struct tensor data;
};

static int64_t pixels(const struct clip *c) { return c->T * c->H * c->W; }

static enum status clip_new(struct ops *ops, int64_t T, int64_t H, int64_t W, int64_t C,
                            enum elem elem, const char *name, struct clip *out)
{
    *out = (struct clip){.T = T, .H = H, .W = W, .C = C};
    return ops->alloc(ops, &out->data, elem, T * H * W, C, name);
}

/* ---- weights --------------------------------------------------------------------------------- */

static enum status load_conv(struct ops *ops, const char *prefix, const char *name, int64_t O,
                             int64_t C, int64_t kt, int64_t k, struct vae_conv *out)
{
    char full[LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    *out = (struct vae_conv){.C = C, .O = O, .kt = kt, .kh = k, .kw = k};
    TRY(layer_load(ops, full, ".weight", WEIGHT_MATRIX, 0, DIMS(O, C, kt, k, k), &out->w));
    return layer_load(ops, full, ".bias", WEIGHT_BIAS, 0, DIMS(O), &out->bias);
}

/* The 2-D convolution behind nearest upsampling; its checkpoint shape has no time axis. */
static enum status load_conv2d(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                               struct vae_conv *out)
{
    *out = (struct vae_conv){.C = C, .O = O, .kt = 1, .kh = 3, .kw = 3};
    TRY(layer_load(ops, prefix, "resample.1.weight", WEIGHT_MATRIX, 0, DIMS(O, C, 3, 3), &out->w));
    return layer_load(ops, prefix, "resample.1.bias", WEIGHT_BIAS, 0, DIMS(O), &out->bias);
}

static enum status load_gamma(struct ops *ops, const char *prefix, const char *name,
                              enum weight_kind kind, int64_t C, struct tensor *out)
{
    TRY(layer_load(ops, prefix, name, kind, 0, DIMS(C, 1, 1, 1), out));
    out->stride = C;
    return ST_OK;
}

static enum status load_block(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                              struct vae_block *b)
{
    *b = (struct vae_block){.widens = O != C};
    TRY(load_gamma(ops, prefix, "norm1.gamma", WEIGHT_GAIN, C, &b->gamma_1));
    TRY(load_conv(ops, prefix, "conv1", O, C, 3, 3, &b->conv_1));
    TRY(load_gamma(ops, prefix, "norm2.gamma", WEIGHT_GAIN, O, &b->gamma_2));
    TRY(load_conv(ops, prefix, "conv2", O, O, 3, 3, &b->conv_2));
    if (!b->widens)
        return ST_OK;
    return layer_load_linear(ops, prefix, "conv_shortcut", 5, O, C, 0, true, &b->shortcut);
}

static enum status load_mid(struct vae *v, int64_t C)
{
    struct ops *ops = v->ops;
    const char *attention = "decoder.mid_block.attentions.0.";
    TRY(load_block(ops, "decoder.mid_block.resnets.0.", C, C, &v->mid[0]));
    TRY(layer_load(ops, attention, "norm.gamma", WEIGHT_GAIN, 0, DIMS(C, 1, 1),
                   &v->attention_gamma));
    v->attention_gamma.stride = C;
    TRY(layer_load_linear(ops, attention, "to_qkv", 4, 3 * C, C, 0, true, &v->qkv));
    TRY(layer_load_linear(ops, attention, "proj", 4, C, C, 0, true, &v->proj));
    return load_block(ops, "decoder.mid_block.resnets.1.", C, C, &v->mid[1]);
}

/* Level widths fall from the last multiplier to the first; an upsampler halves the width. */
static enum status load_level(struct vae *v, int level, int64_t *C)
{
    const struct vae_config *c = v->config;
    struct vae_level *l = &v->level[level];
    const int64_t O = c->base * c->mult[VAE_LEVELS - 1 - level];
    char prefix[LAYER_NAME_MAX];
    for (int64_t i = 0; i < v->blocks; i++, *C = O) {
        snprintf(prefix, sizeof prefix, "decoder.up_blocks.%d.resnets.%d.", level, (int)i);
        TRY(load_block(v->ops, prefix, O, *C, &l->block[i]));
    }
    l->upsamples = level < VAE_LEVELS - 1;
    l->doubles_time = l->upsamples && c->time_up[level];
    snprintf(prefix, sizeof prefix, "decoder.up_blocks.%d.upsamplers.0.", level);
    if (l->doubles_time)
        TRY(load_conv(v->ops, prefix, "time_conv", 2 * O, O, 3, 1, &l->time));
    if (!l->upsamples)
        return ST_OK;
    *C = O / 2;
    return load_conv2d(v->ops, prefix, O / 2, O, &l->space);
}

enum status vae_load(struct ops *ops, const struct vae_config *config, struct vae *out)
{
    *out = (struct vae){.ops = ops, .config = config, .blocks = config->res_blocks + 1};
    if (out->blocks > VAE_BLOCKS_MAX)
        return fault_set(ops->fault, ST_BAD_INPUT,
                         "The video autoencoder has %d residual blocks per level; at most %d are "
                         "supported.",
                         (int)out->blocks, VAE_BLOCKS_MAX);
    const int64_t z = config->z_dim;
    int64_t C = config->base * config->mult[VAE_LEVELS - 1];
    TRY(layer_load_linear(ops, "", "post_quant_conv", 5, z, z, 0, true, &out->post_quant));
    TRY(load_conv(ops, "decoder.", "conv_in", C, z, 3, 3, &out->in));
    TRY(load_mid(out, C));
    for (int level = 0; level < VAE_LEVELS; level++)
        TRY(load_level(out, level, &C));
    /* gains around 0 here, not 1: synthetic frames come out neither tinted nor saturated */
    TRY(load_gamma(ops, "decoder.", "norm_out.gamma", WEIGHT_TABLE, C, &out->out_gamma));
    return load_conv(ops, "decoder.", "conv_out", 3, C, 3, 3, &out->out);
}

/* ---- caches ---------------------------------------------------------------------------------- */

static enum status cache_new(struct ops *ops, struct vae_conv *conv, int64_t H, int64_t W)
{
    conv->past.P = 0;
    return ops->alloc(ops, &conv->past.frames, ops->type, 2 * H * W, conv->C, "vae.cache");
}

static enum status block_caches(struct ops *ops, struct vae_block *b, int64_t H, int64_t W)
{
    TRY(cache_new(ops, &b->conv_1, H, W));
    return cache_new(ops, &b->conv_2, H, W);
}

static enum status put_vector(struct vae *v, const double *values, struct tensor *out)
{
    float host[VAE_Z_MAX];
    for (int64_t i = 0; i < v->config->z_dim; i++)
        host[i] = (float)values[i];
    TRY(v->ops->alloc(v->ops, out, ELEM_F32, 1, v->config->z_dim, "vae.statistics"));
    return v->ops->put(v->ops, out, host, 1, v->config->z_dim);
}

enum status vae_begin(struct vae *v, int64_t H, int64_t W)
{
    struct ops *ops = v->ops;
    v->H = H, v->W = W, v->chunk = 0;
    TRY(put_vector(v, v->config->mean, &v->mean));
    TRY(put_vector(v, v->config->std, &v->std));
    TRY(cache_new(ops, &v->in, H, W));
    TRY(block_caches(ops, &v->mid[0], H, W));
    TRY(block_caches(ops, &v->mid[1], H, W));
    for (int level = 0; level < VAE_LEVELS; level++) {
        struct vae_level *l = &v->level[level];
        for (int64_t i = 0; i < v->blocks; i++)
            TRY(block_caches(ops, &l->block[i], H << level, W << level));
        if (l->doubles_time)
            TRY(cache_new(ops, &l->time, H << level, W << level));
    }
    return cache_new(ops, &v->out, H << (VAE_LEVELS - 1), W << (VAE_LEVELS - 1));
}

/* Keeps the last two frames of everything the convolution has seen. */
static enum status cache_roll(struct ops *ops, struct vae_cache *cache, const struct clip *x)
{
    const int64_t frame = x->H * x->W;
    const struct tensor older = cache->frames;
    const struct tensor newer = layer_view(older, frame * x->C);
    if (x->T >= 2) {
        cache->P = 2;
        return layer_copy(ops, 2 * frame, x->C, layer_view(x->data, (x->T - 2) * frame * x->C),
                          older);
    }
    if (cache->P == 2)
        TRY(layer_copy(ops, frame, x->C, newer, older));
    TRY(layer_copy(ops, frame, x->C, x->data, cache->P == 0 ? older : newer));
    if (cache->P < 2)
        cache->P++;
    return ST_OK;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static struct tensor past_of(const struct vae_conv *conv)
{
    return conv->past.P > 0 ? conv->past.frames : NO_TENSOR;
}

static enum status convolve(struct vae *v, struct vae_conv *conv, const struct clip *x,
                            struct tensor y)
{
    const struct conv3d_problem p = {.T = x->T,
                                     .H = x->H,
                                     .W = x->W,
                                     .C = conv->C,
                                     .O = conv->O,
                                     .kt = conv->kt,
                                     .kh = conv->kh,
                                     .kw = conv->kw,
                                     .st = 1,
                                     .sh = 1,
                                     .sw = 1,
                                     .lead = conv->kt - 1,
                                     .P = conv->past.P,
                                     .pad_top = conv->kh / 2,
                                     .pad_left = conv->kw / 2,
                                     .pad_bottom = conv->kh / 2,
                                     .pad_right = conv->kw / 2,
                                     .x = x->data,
                                     .past = past_of(conv),
                                     .w = conv->w,
                                     .bias = conv->bias,
                                     .aux = NO_TENSOR,
                                     .y = y};
    TRY(v->ops->conv3d(v->ops, &p));
    return conv->kt > 1 ? cache_roll(v->ops, &conv->past, x) : ST_OK;
}

/* y = conv(silu(norm(x))) + aux */
static enum status norm_convolve(struct vae *v, struct tensor gamma, struct vae_conv *conv,
                                 const struct clip *x, struct tensor aux, struct tensor y)
{
    const struct norm_conv3d_problem p = {.T = x->T,
                                          .H = x->H,
                                          .W = x->W,
                                          .C = conv->C,
                                          .O = conv->O,
                                          .kt = conv->kt,
                                          .kh = conv->kh,
                                          .kw = conv->kw,
                                          .lead = conv->kt - 1,
                                          .P = conv->past.P,
                                          .pad_top = conv->kh / 2,
                                          .pad_left = conv->kw / 2,
                                          .pad_bottom = conv->kh / 2,
                                          .pad_right = conv->kw / 2,
                                          .x = x->data,
                                          .past = past_of(conv),
                                          .gamma = gamma,
                                          .w = conv->w,
                                          .bias = conv->bias,
                                          .aux = aux,
                                          .y = y};
    TRY(v->ops->norm_conv3d(v->ops, &p));
    return cache_roll(v->ops, &conv->past, x);
}

/* x becomes the block's output; its memory changes where the width does. */
static enum status run_block(struct vae *v, struct vae_block *b, struct clip *x)
{
    struct ops *ops = v->ops;
    struct clip h;
    TRY(clip_new(ops, x->T, x->H, x->W, b->conv_1.O, ops->type, "vae.h", &h));
    TRY(norm_convolve(v, b->gamma_1, &b->conv_1, x, NO_TENSOR, h.data));
    if (b->widens) {
        struct clip wide;
        TRY(clip_new(ops, x->T, x->H, x->W, b->conv_1.O, ops->type, "vae.x", &wide));
        TRY(layer_linear(ops, &b->shortcut, pixels(x), x->data, wide.data));
        ops->release(ops, &x->data);
        *x = wide;
    }
    TRY(norm_convolve(v, b->gamma_2, &b->conv_2, &h, x->data, x->data));
    ops->release(ops, &h.data);
    return ST_OK;
}

/* Every frame attends to itself, one head as wide as the frame has channels. */
static enum status run_attention(struct vae *v, struct clip *x)
{
    struct ops *ops = v->ops;
    struct tensor u, qkv;
    TRY(ops->alloc(ops, &u, ops->type, pixels(x), x->C, "vae.u"));
    TRY(ops->alloc(ops, &qkv, ops->type, pixels(x), 3 * x->C, "vae.qkv"));
    const struct norm_silu_problem norm = {
        .S = pixels(x), .C = x->C, .silu = 0, .x = x->data, .gamma = v->attention_gamma, .y = u};
    TRY(ops->norm_silu(ops, &norm));
    TRY(layer_linear(ops, &v->qkv, pixels(x), u, qkv));
    const struct attention_problem p = {.B = x->T,
                                        .Sq = x->H * x->W,
                                        .Sk = x->H * x->W,
                                        .N = 1,
                                        .D = x->C,
                                        .scale = 1.0 / sqrt((double)x->C),
                                        .q = qkv,
                                        .k = layer_view(qkv, x->C),
                                        .v = layer_view(qkv, 2 * x->C),
                                        .bias = NO_TENSOR,
                                        .o = u};
    TRY(ops->attention(ops, &p));
    TRY(layer_linear_with(ops, &v->proj, pixels(x), u, EPI_ADD, x->data, NO_TENSOR, x->data));
    ops->release(ops, &qkv);
    ops->release(ops, &u);
    return ST_OK;
}

/* The first frame of a clip stands alone: time is not doubled there, and the time convolution of
 * later chunks does not see it. */
static enum status run_upsampler(struct vae *v, struct vae_level *l, struct clip *x)
{
    struct ops *ops = v->ops;
    const bool doubles = l->doubles_time && v->chunk > 0;
    const int64_t ft = doubles ? 2 : 1;
    struct clip wide = *x, large, y;
    if (doubles) {
        TRY(clip_new(ops, x->T, x->H, x->W, 2 * x->C, ops->type, "vae.time", &wide));
        TRY(convolve(v, &l->time, x, wide.data));
        ops->release(ops, &x->data);
    }
    TRY(clip_new(ops, ft * x->T, 2 * x->H, 2 * x->W, x->C, ops->type, "vae.large", &large));
    const struct upsample_problem p = {.T = x->T,
                                       .H = x->H,
                                       .W = x->W,
                                       .C = x->C,
                                       .ft = ft,
                                       .fs = 2,
                                       .x = wide.data,
                                       .y = large.data};
    TRY(ops->upsample(ops, &p));
    ops->release(ops, &wide.data);
    TRY(clip_new(ops, large.T, large.H, large.W, l->space.O, ops->type, "vae.x", &y));
    TRY(convolve(v, &l->space, &large, y.data));
    ops->release(ops, &large.data);
    *x = y;
    return ST_OK;
}

/* z std + mean, post_quant_conv, conv_in */
static enum status run_input(struct vae *v, struct tensor z, struct clip *x)
{
    struct ops *ops = v->ops;
    struct tensor raw;
    struct clip mixed;
    TRY(ops->alloc(ops, &raw, ops->type, v->H * v->W, v->config->z_dim, "vae.z"));
    TRY(clip_new(ops, 1, v->H, v->W, v->config->z_dim, ops->type, "vae.quant", &mixed));
    const struct elementwise_problem p = {.S = v->H * v->W,
                                          .C = v->config->z_dim,
                                          .G = 1,
                                          .kind = ELEMENTWISE_AFFINE,
                                          .a = z,
                                          .b = v->std,
                                          .c = v->mean,
                                          .y = raw};
    TRY(ops->elementwise(ops, &p));
    TRY(layer_linear(ops, &v->post_quant, v->H * v->W, raw, mixed.data));
    TRY(clip_new(ops, 1, v->H, v->W, v->in.O, ops->type, "vae.x", x));
    TRY(convolve(v, &v->in, &mixed, x->data));
    ops->release(ops, &mixed.data);
    ops->release(ops, &raw);
    return ST_OK;
}

enum status vae_decode(struct vae *v, struct tensor z, struct tensor *frames, int64_t *T)
{
    struct clip x, rgb;
    TRY(run_input(v, z, &x));
    TRY(run_block(v, &v->mid[0], &x));
    TRY(run_attention(v, &x));
    TRY(run_block(v, &v->mid[1], &x));
    for (int level = 0; level < VAE_LEVELS; level++) {
        struct vae_level *l = &v->level[level];
        for (int64_t i = 0; i < v->blocks; i++)
            TRY(run_block(v, &l->block[i], &x));
        if (l->upsamples)
            TRY(run_upsampler(v, l, &x));
    }
    TRY(clip_new(v->ops, x.T, x.H, x.W, v->out.O, ELEM_F32, "vae.frames", &rgb));
    TRY(norm_convolve(v, v->out_gamma, &v->out, &x, NO_TENSOR, rgb.data));
    v->ops->release(v->ops, &x.data);
    v->chunk++;
    *frames = rgb.data;
    *T = rgb.T;
    return ST_OK;
}
