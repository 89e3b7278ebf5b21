// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* parameters.c   Counts parameters by loading a network through ops that only add up extents, so
 * the count cannot differ from what is loaded. */
#include "model/denoiser.h"
#include "model/image.h"
#include "model/text.h"
#include "model/vae.h"
#include "model/vae_encoder.h"

struct counter {
    struct ops ops; /* first, so that the hook finds the counter */
    int64_t total;
};

static enum status count_weight(struct ops *ops, struct tensor *t, const struct weight_spec *spec)
{
    int64_t elems = 1;
    for (int i = 0; i < spec->rank; i++)
        elems *= spec->dim[i];
    ((struct counter *)ops)->total += elems;
    *t = NO_TENSOR;
    return ST_OK;
}

static struct counter counter_new(void)
{
    return (struct counter){.ops = {.weight = count_weight, .mode = MODE_COUNT, .type = ELEM_F32}};
}

int64_t text_parameters(const struct text_config *config)
{
    struct counter counter = counter_new();
    struct text text;
    if (!config->layers)
        return 0;
    text_load(&counter.ops, config, &text);
    text_free(&text);
    return counter.total;
}

int64_t image_parameters(const struct image_config *config)
{
    struct counter counter = counter_new();
    struct image image;
    if (!config->layers)
        return 0;
    image_load(&counter.ops, config, &image);
    image_free(&image);
    return counter.total;
}

int64_t transformer_parameters(const struct model_config *model)
{
    struct counter counter = counter_new();
    struct denoiser denoiser;
    if (denoiser_families[model->family]->figures) {
        struct denoiser_figures figures;
        denoiser_families[model->family]->figures(model, &figures);
        return figures.parameters;
    }
    denoiser_load(&counter.ops, model, &denoiser);
    denoiser_free(&denoiser);
    return counter.total;
}

int64_t vae_decoder_parameters(const struct vae_config *config)
{
    struct counter counter = counter_new();
    struct vae vae;
    if (!config->base)
        return 0;
    vae_load(&counter.ops, config, &vae);
    return counter.total;
}

int64_t vae_encoder_parameters(const struct vae_config *config)
{
    struct counter counter = counter_new();
    struct vae_encoder encoder;
    if (!config->base)
        return 0;
    vae_encoder_load(&counter.ops, config, &encoder);
    return counter.total;
}
