// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/vae_layer.h"

#include <math.h>

#include "attention/attention/attention.h"
#include "decode/conv3d/conv3d.h"
#include "decode/norm_conv3d/norm_conv3d.h"
#include "decode/norm_silu/norm_silu.h"
#include "denoise/linear/linear.h"

enum status vae_check(struct ops *ops, const struct vae_config *c)
{
    if (c->res_blocks < 1 || c->res_blocks >= VAE_BLOCKS_MAX)
        return fault_set(ops->fault, ST_BAD_INPUT,
                         "The video autoencoder has %d residual blocks per level; 1 to %d are "
                         "supported.",
                         (int)c->res_blocks, VAE_BLOCKS_MAX - 1);
    if (c->patch != 0 && c->patch != 2)
        return fault_set(ops->fault, ST_BAD_INPUT,
                         "The video autoencoder folds squares of %d pixels' side; 2 is supported.",
                         (int)c->patch);
    return ST_OK;
}

enum status vae_clip_new(struct ops *ops, int64_t T, int64_t H, int64_t W, int64_t C,
                         enum elem elem, const char *name, struct vae_clip *out)
{
    *out = (struct vae_clip){.T = T, .H = H, .W = W, .C = C};
    return ops->alloc(ops, &out->data, elem, T * H * W, C, name);
}

/* ---- weights --------------------------------------------------------------------------------- */

enum status vae_conv_load(struct ops *ops, const char *prefix, const char *name, int64_t O,
                          int64_t C, int64_t kt, int64_t k, struct vae_conv *out)
{
    char full[LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    *out = (struct vae_conv){.C = C, .O = O, .kt = kt, .k = k, .st = 1, .ss = 1};
    TRY(layer_load(ops, full, ".weight", WEIGHT_MATRIX, 0, DIMS(O, C, kt, k, k), &out->w));
    return layer_load(ops, full, ".bias", WEIGHT_BIAS, 0, DIMS(O), &out->bias);
}

enum status vae_resample_load(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                              struct vae_conv *out)
{
    *out = (struct vae_conv){.C = C, .O = O, .kt = 1, .k = 3, .st = 1, .ss = 1};
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

enum status vae_out_gamma_load(struct ops *ops, const char *prefix, int64_t C, struct tensor *out)
{
    return load_gamma(ops, prefix, "norm_out.gamma", WEIGHT_TABLE, C, out);
}

enum status vae_block_load(struct ops *ops, const char *prefix, int64_t O, int64_t C,
                           struct vae_block *b)
{
    *b = (struct vae_block){.widens = O != C};
    TRY(load_gamma(ops, prefix, "norm1.gamma", WEIGHT_GAIN, C, &b->gamma_1));
    TRY(vae_conv_load(ops, prefix, "conv1", O, C, 3, 3, &b->conv_1));
    TRY(load_gamma(ops, prefix, "norm2.gamma", WEIGHT_GAIN, O, &b->gamma_2));
    TRY(vae_conv_load(ops, prefix, "conv2", O, O, 3, 3, &b->conv_2));
    if (!b->widens)
        return ST_OK;
    return layer_load_linear(ops, prefix, "conv_shortcut", 5, O, C, 0, true, &b->shortcut);
}

enum status vae_middle_load(struct ops *ops, const char *prefix, int64_t C, struct vae_middle *m)
{
    char full[LAYER_NAME_MAX];
    snprintf(full, sizeof full, "%smid_block.resnets.0.", prefix);
    TRY(vae_block_load(ops, full, C, C, &m->block[0]));
    snprintf(full, sizeof full, "%smid_block.resnets.1.", prefix);
    TRY(vae_block_load(ops, full, C, C, &m->block[1]));
    snprintf(full, sizeof full, "%smid_block.attentions.0.", prefix);
    TRY(layer_load(ops, full, "norm.gamma", WEIGHT_GAIN, 0, DIMS(C, 1, 1), &m->gamma));
    m->gamma.stride = C;
    TRY(layer_load_linear(ops, full, "to_qkv", 4, 3 * C, C, 0, true, &m->qkv));
    return layer_load_linear(ops, full, "proj", 4, C, C, 0, true, &m->proj);
}

enum status vae_row_put(struct ops *ops, const double *values, int64_t count, struct tensor *out)
{
    float host[VAE_Z_MAX];
    for (int64_t i = 0; i < count; i++)
        host[i] = (float)values[i];
    TRY(ops->alloc(ops, out, ELEM_F32, 1, count, "vae.statistics"));
    return ops->put(ops, out, host, 1, count);
}

/* ---- caches ---------------------------------------------------------------------------------- */

enum status vae_conv_begin(struct ops *ops, struct vae_conv *conv, int64_t H, int64_t W)
{
    struct vae_cache *past = &conv->past;
    past->P = 0;
    past->keep = conv->kt - conv->st;
    const int64_t pixels = past->keep * H * W;
    if (pixels <= past->room)
        return ST_OK;
    if (past->room)
        ops->release(ops, &past->frames);
    past->room = pixels;
    return ops->alloc(ops, &past->frames, ops->type, pixels, conv->C, "vae.cache");
}

enum status vae_block_begin(struct ops *ops, struct vae_block *b, int64_t H, int64_t W)
{
    TRY(vae_conv_begin(ops, &b->conv_1, H, W));
    return vae_conv_begin(ops, &b->conv_2, H, W);
}

enum status vae_middle_begin(struct ops *ops, struct vae_middle *m, int64_t H, int64_t W)
{
    TRY(vae_block_begin(ops, &m->block[0], H, W));
    return vae_block_begin(ops, &m->block[1], H, W);
}

enum status vae_conv_remember(struct ops *ops, struct vae_conv *conv, const struct vae_clip *x)
{
    struct vae_cache *past = &conv->past;
    const int64_t frame = x->H * x->W, all = past->P + x->T;
    const int64_t P = all < past->keep ? all : past->keep;
    const int64_t taken = x->T < P ? x->T : P, kept = P - taken;
    for (int64_t i = 0; i < kept && past->P > kept; i++)
        TRY(layer_copy(ops, frame, x->C,
                       layer_view(past->frames, (past->P - kept + i) * frame * x->C),
                       layer_view(past->frames, i * frame * x->C)));
    past->P = P;
    return layer_copy(ops, taken * frame, x->C, layer_view(x->data, (x->T - taken) * frame * x->C),
                      layer_view(past->frames, kept * frame * x->C));
}

/* ---- layers ---------------------------------------------------------------------------------- */

static struct tensor past_of(const struct vae_conv *conv)
{
    return conv->past.P > 0 ? conv->past.frames : NO_TENSOR;
}

enum status vae_convolve(struct ops *ops, struct vae_conv *conv, const struct vae_clip *x,
                         struct vae_clip *y)
{
    const int64_t before = conv->ss == 1 ? conv->k / 2 : 0, after = conv->k / 2;
    struct conv3d_problem p = {.T = x->T,
                               .H = x->H,
                               .W = x->W,
                               .C = conv->C,
                               .O = conv->O,
                               .kt = conv->kt,
                               .kh = conv->k,
                               .kw = conv->k,
                               .st = conv->st,
                               .sh = conv->ss,
                               .sw = conv->ss,
                               .lead = conv->kt - conv->st,
                               .P = conv->past.P,
                               .pad_top = before,
                               .pad_left = before,
                               .pad_bottom = after,
                               .pad_right = after,
                               .x = x->data,
                               .past = past_of(conv),
                               .w = conv->w,
                               .bias = conv->bias,
                               .aux = NO_TENSOR};
    TRY(vae_clip_new(ops, conv3d_To(&p), conv3d_Ho(&p), conv3d_Wo(&p), conv->O, ops->type, "vae.x",
                     y));
    p.y = y->data;
    TRY(ops->conv3d(ops, &p));
    return conv->kt > 1 ? vae_conv_remember(ops, conv, x) : ST_OK;
}

enum status vae_norm_convolve(struct ops *ops, struct tensor gamma, struct vae_conv *conv,
                              const struct vae_clip *x, struct tensor aux, struct tensor y)
{
    const struct norm_conv3d_problem p = {.T = x->T,
                                          .H = x->H,
                                          .W = x->W,
                                          .C = conv->C,
                                          .O = conv->O,
                                          .kt = conv->kt,
                                          .kh = conv->k,
                                          .kw = conv->k,
                                          .lead = conv->kt - 1,
                                          .P = conv->past.P,
                                          .pad_top = conv->k / 2,
                                          .pad_left = conv->k / 2,
                                          .pad_bottom = conv->k / 2,
                                          .pad_right = conv->k / 2,
                                          .x = x->data,
                                          .past = past_of(conv),
                                          .gamma = gamma,
                                          .w = conv->w,
                                          .bias = conv->bias,
                                          .aux = aux,
                                          .y = y};
    TRY(ops->norm_conv3d(ops, &p));
    return vae_conv_remember(ops, conv, x);
}

enum status vae_block_run(struct ops *ops, struct vae_block *b, struct vae_clip *x, bool keep)
{
    struct vae_clip h, out = *x;
    struct tensor shortcut = x->data;
    TRY(vae_clip_new(ops, x->T, x->H, x->W, b->conv_1.O, ops->type, "vae.h", &h));
    TRY(vae_norm_convolve(ops, b->gamma_1, &b->conv_1, x, NO_TENSOR, h.data));
    if (b->widens || keep)
        TRY(vae_clip_new(ops, x->T, x->H, x->W, b->conv_1.O, ops->type, "vae.x", &out));
    if (b->widens) {
        TRY(layer_linear(ops, &b->shortcut, vae_pixels(x), x->data, out.data));
        shortcut = out.data;
    }
    if (b->widens && !keep)
        ops->release(ops, &x->data);
    TRY(vae_norm_convolve(ops, b->gamma_2, &b->conv_2, &h, shortcut, out.data));
    ops->release(ops, &h.data);
    *x = out;
    return ST_OK;
}

static enum status attend(struct ops *ops, const struct vae_middle *m, struct vae_clip *x)
{
    struct tensor u, qkv;
    TRY(ops->alloc(ops, &u, ops->type, vae_pixels(x), x->C, "vae.u"));
    TRY(ops->alloc(ops, &qkv, ops->type, vae_pixels(x), 3 * x->C, "vae.qkv"));
    const struct norm_silu_problem norm = {
        .S = vae_pixels(x), .C = x->C, .silu = 0, .x = x->data, .gamma = m->gamma, .y = u};
    TRY(ops->norm_silu(ops, &norm));
    TRY(layer_linear(ops, &m->qkv, vae_pixels(x), u, qkv));
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
    TRY(layer_linear_with(ops, &m->proj, vae_pixels(x), u, EPI_ADD, x->data, NO_TENSOR, x->data));
    ops->release(ops, &qkv);
    ops->release(ops, &u);
    return ST_OK;
}

enum status vae_middle_run(struct ops *ops, struct vae_middle *m, struct vae_clip *x)
{
    TRY(vae_block_run(ops, &m->block[0], x, false));
    TRY(attend(ops, m, x));
    return vae_block_run(ops, &m->block[1], x, false);
}
