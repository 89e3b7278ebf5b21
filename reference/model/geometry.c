// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* geometry.c   The latent grid of a clip, and what a model makes depend on it. */
#include "model/denoiser.h"
#include "model/generate.h"

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static enum status check_size(int64_t width, int64_t height, int64_t frames, struct fault *fault)
{
    if (width < 16 || height < 16 || width > GEOMETRY_MAX_SIDE || height > GEOMETRY_MAX_SIDE)
        return fault_set(fault, ST_BAD_INPUT,
                         "a size of %lldx%lld pixels: each side must be 16 to %d", (long long)width,
                         (long long)height, GEOMETRY_MAX_SIDE);
    if (frames < 1 || frames > GEOMETRY_MAX_FRAMES)
        return fault_set(fault, ST_BAD_INPUT, "a clip of %lld frames: choose 1 to %d",
                         (long long)frames, GEOMETRY_MAX_FRAMES);
    return ST_OK;
}

enum status geometry_of(const struct model_config *model, int64_t width, int64_t height,
                        int64_t frames, struct geometry *out, struct fault *fault)
{
    const struct transformer_config *t = &model->transformer;
    const struct vae_config *v = &model->vae;
    TRY(check_size(width, height, frames, fault));
    /* the first latent frame holds one frame, every later one scale_time */
    const int64_t T = round_up(1 + round_up(frames - 1, v->scale_time) / v->scale_time, t->pt);
    const int64_t H = round_up(height, v->scale_space * t->ph) / v->scale_space;
    const int64_t W = round_up(width, v->scale_space * t->pw) / v->scale_space;
    *out = (struct geometry){.width = width,
                             .height = height,
                             .frames = frames,
                             .pad_width = W * v->scale_space,
                             .pad_height = H * v->scale_space,
                             .pad_frames = 1 + (T - 1) * v->scale_time,
                             .T = T,
                             .H = H,
                             .W = W,
                             .C = v->z_dim,
                             .S = (T / t->pt) * (H / t->ph) * (W / t->pw)};
    const struct denoiser_family *family = denoiser_families[model->family];
    return family->grid ? family->grid(model, T, H, W, fault) : ST_OK;
}

int64_t generate_extra_rows(const struct model_config *model, const struct geometry *geometry,
                            double fps)
{
    const struct denoiser_family *f = denoiser_families[model->family];
    return f->extra_rows ? f->extra_rows(model, geometry->T, fps) : 0;
}

double generate_shift(const struct model_config *model, const struct geometry *geometry)
{
    const struct denoiser_family *f = denoiser_families[model->family];
    return model->shift > 0 || !f->shift ? model->shift : f->shift(geometry->S);
}
