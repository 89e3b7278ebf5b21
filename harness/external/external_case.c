// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external_case.c   The first line to an engine: the case in full. Networks are told as the config.json
 * of their published classes tells them. */
#include "elem.h"
#include "external/external.h"
#include "model/sampler.h"
#include "weights/checkpoint.h"

#include <stdlib.h>

static void field_member(struct json *j, const struct model_config *m,
                         const struct checkpoint_field *f)
{
    const int64_t value = checkpoint_field_of(m, f);
    if (f->flag)
        json_bool(j, f->name, value);
    else if (f->or_null && !value)
        json_none(j, f->name);
    else
        json_int(j, f->name, value);
}

static void fields(struct json *j, const struct model_config *m, enum checkpoint_part part,
                   const char *name)
{
    json_open_object(j, name);
    for (int i = 0; i < checkpoint_field_count; i++)
        if (checkpoint_has_field(part, m, &checkpoint_fields[i]))
            field_member(j, m, &checkpoint_fields[i]);
}

static void reals(struct json *j, const char *key, int64_t count, const double *values)
{
    json_open_array(j, key);
    for (int64_t i = 0; i < count; i++)
        json_number(j, NULL, values[i]);
    json_end(j);
}

static void vae_lists(struct json *j, const struct vae_config *v)
{
    json_open_array(j, "dim_mult");
    for (int i = 0; i < VAE_LEVELS; i++)
        json_int(j, NULL, v->mult[i]);
    json_end(j);
    json_open_array(j, "temperal_downsample");
    for (int i = VAE_LEVELS - 2; i >= 0; i--)
        json_bool(j, NULL, v->time_up[i]);
    json_end(j);
    reals(j, "latents_mean", v->z_dim, v->mean);
    reals(j, "latents_std", v->z_dim, v->std);
    json_int(j, "in_channels", v->patch ? 3 * v->patch * v->patch : 3);
    json_int(j, "out_channels", v->patch ? 3 * v->patch * v->patch : 3);
}

static void transformer_members(struct json *j, const struct model_config *m)
{
    const struct transformer_config *t = &m->transformer;
    fields(j, m, PART_TRANSFORMER, "transformer");
    if (m->family == FAMILY_WAN) {
        json_open_array(j, "patch_size");
        json_int(j, NULL, t->pt);
        json_int(j, NULL, t->ph);
        json_int(j, NULL, t->pw);
        json_end(j);
        json_number(j, "eps", t->eps);
    }
    json_end(j);
}

/* Of families whose classes are told by another table than ours the sizes are left out: an engine
 * knows a published model by its name. */
static void networks(struct json *j, const struct model_config *m)
{
    json_open_object(j, "networks");
    transformer_members(j, m);
    if (m->vae.base) {
        fields(j, m, PART_VAE, "vae");
        vae_lists(j, &m->vae);
        json_end(j);
    }
    if (m->text.layers) {
        fields(j, m, PART_TEXT, "text_encoder");
        json_end(j);
    }
    json_end(j);
}

static const char *const family_names[FAMILY_COUNT] = {
    [FAMILY_WAN] = "wan",
    [FAMILY_DIT] = "dit",
    [FAMILY_HUNYUAN] = "hunyuan-video",
    [FAMILY_HUNYUAN_15] = "hunyuan-video-1.5",
    [FAMILY_COGVIDEOX] = "cogvideox",
    [FAMILY_LTX] = "ltx",
    [FAMILY_LTX_2] = "ltx-2",
    [FAMILY_OPEN_SORA] = "open-sora",
};

static void model_members(const struct outcome *o, struct json *j)
{
    const struct model_config *m = o->c.request.model;
    char *folder = o->c.folder ? realpath(o->c.spec.model, NULL) : NULL;
    json_open_object(j, "model");
    json_text(j, "name", m->name);
    json_text(j, "family", family_names[m->family]);
    json_text(j, "folder", folder);
    json_int(j, "text_rows", m->text.rows);
    json_number(j, "boundary", m->boundary > 0 ? m->boundary : NAN);
    networks(j, m);
    json_end(j);
    free(folder);
}

static void size_members(struct json *j, const struct geometry *g)
{
    json_int(j, "width", g->width);
    json_int(j, "height", g->height);
    json_int(j, "frames", g->frames);
    json_open_object(j, "generated"); /* what is made and then cut to the above */
    json_int(j, "width", g->pad_width);
    json_int(j, "height", g->pad_height);
    json_int(j, "frames", g->pad_frames);
    json_end(j);
    json_open_array(j, "latents");
    const int64_t shape[] = {1, g->C, g->T, g->H, g->W};
    for (int i = 0; i < 5; i++)
        json_int(j, NULL, shape[i]);
    json_end(j);
}

static enum status sampler_members(const struct generate_request *r, struct json *j,
                                   struct fault *fault)
{
    struct sampler sampler;
    TRY(sampler_new(r->scheduler, r->steps, r->shift, &sampler, fault));
    json_int(j, "steps", r->steps);
    json_text(j, "scheduler", sampler_name(r->scheduler));
    json_text(j, "sigma_grid", sampler_grid(r->scheduler));
    json_number(j, "shift", sampler_shifts(r->scheduler) ? r->shift : NAN);
    reals(j, "levels", r->steps + 1, sampler.level);
    reals(j, "times", r->steps, sampler.time);
    sampler_free(&sampler);
    return ST_OK;
}

static enum status case_members(const struct outcome *o, struct json *j, struct fault *fault)
{
    const struct generate_request *r = &o->c.request;
    model_members(o, j);
    json_text(j, "prompt", r->prompt);
    json_text(j, "negative", r->negative);
    if (r->model->dit)
        json_int(j, "class", r->class_label);
    size_members(j, &r->geometry);
    json_number(j, "fps", o->c.fps);
    TRY(sampler_members(r, j, fault));
    json_number(j, "guidance", r->guidance);
    json_number(j, "guidance_low", r->model->boundary > 0 ? r->guidance_low : NAN);
    json_int(j, "seed", (int64_t)r->seed);
    json_text(j, "dtype", elem_name(o->c.config.type));
    json_int(j, "threads", o->c.config.threads);
    json_text(j, "device", o->c.spec.device);
    return ST_OK;
}

enum status external_case_json(const struct outcome *o, const struct external_paths *paths,
                               struct json *j, struct fault *fault)
{
    json_open_object(j, NULL);
    json_int(j, "patchmark_engine", EXTERNAL_PROTOCOL);
    json_open_object(j, "case");
    TRY(case_members(o, j, fault));
    json_end(j);
    json_open_object(j, "inputs");
    json_text(j, "noise", paths->noise);
    json_text(j, "prompt_embeds", paths->embeds);
    json_end(j);
    json_open_object(j, "outputs");
    json_text(j, "latents", paths->latents);
    json_text(j, "frames", paths->frames);
    json_end(j);
    json_end(j);
    return j->failed ? fault_set(fault, ST_NO_MEMORY, "no memory for the case") : ST_OK;
}
