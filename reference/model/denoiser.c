// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/denoiser.h"

#include <stdlib.h>

#include "model/cogvideox.h"
#include "model/dit.h"
#include "model/hunyuan.h"
#include "model/hunyuan_15.h"
#include "model/open_sora.h"
#include "model/ltx.h"
#include "model/transformer.h"

const struct denoiser_family *const denoiser_families[FAMILY_COUNT] = {
    [FAMILY_WAN] = &transformer_family_wan,
    [FAMILY_DIT] = &dit_family,
    [FAMILY_HUNYUAN] = &hunyuan_family,
    [FAMILY_HUNYUAN_15] = &hunyuan_15_family,
    [FAMILY_COGVIDEOX] = &cogvideox_family,
    [FAMILY_OPEN_SORA] = &open_sora_family,
    [FAMILY_LTX] = &ltx_family,
    [FAMILY_LTX_2] = &ltx_2_family,
};

enum status denoiser_available(const struct model_config *model, struct fault *fault)
{
    if (denoiser_families[model->family]->load)
        return ST_OK;
    return fault_set(fault, ST_NOT_BUILT,
                     "%s is known here by its parameters and flops alone and cannot run; 'patchmark"
                     " list models' shows them, and which models do run",
                     model->name);
}

enum status denoiser_load(struct ops *ops, const struct model_config *model, struct denoiser *out)
{
    TRY(denoiser_available(model, ops->fault));
    *out = (struct denoiser){.family = denoiser_families[model->family]};
    out->network = calloc(1, out->family->network_bytes);
    if (!out->network)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the %s network",
                         out->family->name);
    return out->family->load(ops, model, out->network);
}

void denoiser_free(struct denoiser *d)
{
    if (d->network)
        d->family->free(d->network);
    free(d->network);
    *d = (struct denoiser){0};
}

enum status denoiser_condition_new(const struct denoiser *d, struct ops *ops,
                                   const struct denoiser_prompt *prompt, void **out)
{
    *out = calloc(1, d->family->condition_bytes);
    if (!*out)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for a prompt's condition");
    return d->family->condition(d->network, prompt, *out);
}

void denoiser_condition_free(const struct denoiser *d, void *condition)
{
    if (condition)
        d->family->condition_free(condition);
    free(condition);
}
