// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights_folder.h"

#include "base/json.h"
#include "files.h"
#include "spawn.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static int64_t elems_of(const struct weight_spec *spec)
{
    int64_t n = 1;
    for (int i = 0; i < spec->rank; i++)
        n *= spec->dim[i];
    return n;
}

int64_t weights_put(const char *path, const struct wanted *w, int64_t first, int64_t count,
                    const char *dtype, size_t elem_bytes)
{
    struct json j;
    int64_t end = 0;
    json_init(&j, false);
    json_open_object(&j, NULL);
    json_open_object(&j, "__metadata__");
    json_text(&j, "format", "pt");
    json_end(&j);
    for (int64_t i = first; i < first + count; i++) {
        const struct weight_spec *spec = &w->spec[i];
        int64_t begin = end;
        end += elems_of(spec) * (int64_t)elem_bytes;
        json_open_object(&j, spec->name);
        json_text(&j, "dtype", dtype);
        json_open_array(&j, "shape");
        for (int k = 0; k < spec->rank; k++)
            json_int(&j, NULL, spec->dim[k]);
        json_end(&j);
        json_open_array(&j, "data_offsets");
        json_int(&j, NULL, begin);
        json_int(&j, NULL, end);
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    uint64_t length = j.used;
    FILE *out = fopen(path, "wb");
    need(out && fwrite(&length, 8, 1, out) == 1 && fwrite(j.text, 1, j.used, out) == j.used, path);
    need(fclose(out) == 0 && truncate(path, (off_t)(8 + length) + end) == 0, path);
    json_free(&j);
    return end;
}

static void list_integers(struct json *j, const char *key, int count, const int64_t *values)
{
    json_open_array(j, key);
    for (int i = 0; i < count; i++)
        json_int(j, NULL, values[i]);
    json_end(j);
}

static void list_reals(struct json *j, const char *key, int64_t count, const double *values)
{
    json_open_array(j, key);
    for (int64_t i = 0; i < count; i++)
        json_number(j, NULL, values[i]);
    json_end(j);
}

static void vae_members(struct json *j, const struct vae_config *v)
{
    list_integers(j, "dim_mult", VAE_LEVELS, v->mult);
    json_open_array(j, "temperal_downsample");
    for (int i = VAE_LEVELS - 2; i >= 0; i--)
        json_bool(j, NULL, v->time_up[i]);
    json_end(j);
    list_reals(j, "latents_mean", v->z_dim, v->mean);
    list_reals(j, "latents_std", v->z_dim, v->std);
    json_int(j, "in_channels", v->patch ? 3 * v->patch * v->patch : 3);
    json_int(j, "out_channels", v->patch ? 3 * v->patch * v->patch : 3);
}

static void field_member(struct json *j, const struct model_config *model,
                         const struct checkpoint_field *f)
{
    const int64_t value = checkpoint_field_of(model, f);
    if (f->flag)
        json_bool(j, f->name, value);
    else if (f->or_null && !value)
        json_none(j, f->name);
    else
        json_int(j, f->name, value);
}

char *config_text(enum checkpoint_part part, const struct model_config *model)
{
    static const char *const classes[PART_COUNT] = {[PART_TRANSFORMER] = "WanTransformer3DModel",
                                                    [PART_VAE] = "AutoencoderKLWan",
                                                    [PART_TEXT] = "UMT5EncoderModel",
                                                    [PART_IMAGE] = "CLIPVisionModel"};
    const bool is_dit = part == PART_TRANSFORMER && model->dit;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    if (part == PART_TEXT || part == PART_IMAGE) {
        json_open_array(&j, "architectures");
        json_text(&j, NULL, classes[part]);
        json_end(&j);
    } else {
        json_text(&j, "_class_name", is_dit ? "DiTTransformer2DModel" : classes[part]);
    }
    for (int i = 0; i < checkpoint_field_count; i++)
        if (checkpoint_has_field(part, model, &checkpoint_fields[i]))
            field_member(&j, model, &checkpoint_fields[i]);
    if (is_dit) {
        json_text(&j, "activation_fn", "gelu-approximate");
        json_text(&j, "norm_type", "ada_norm_zero");
        json_int(&j, "num_embeds_ada_norm", model->dit->classes);
        json_int(&j, "sample_size", model->dit->sample);
    } else if (part == PART_TRANSFORMER) {
        const struct transformer_config *t = &model->transformer;
        list_integers(&j, "patch_size", 3, (const int64_t[]){t->pt, t->ph, t->pw});
        json_bool(&j, "cross_attn_norm", true);
        if (t->image_dim)
            json_int(&j, "added_kv_proj_dim", t->N * t->D);
        else
            json_none(&j, "added_kv_proj_dim");
    }
    if (part == PART_IMAGE) {
        json_text(&j, "hidden_act", "gelu");
        json_int(&j, "hidden_size", model->image.N * model->image.D);
    }
    if (part == PART_VAE)
        vae_members(&j, &model->vae);
    json_end(&j);
    return j.text;
}

void component_put(const char *dir, const char *name, enum checkpoint_part part,
                   const struct model_config *model, const char *dtype, size_t elem_bytes)
{
    struct wanted w;
    struct fault fault = {{0}};
    need(wanted_of(part, model, &w, &fault) == ST_OK, "wanted_of");
    mkdir(dir, 0700);
    need(mkdir(at("%s/%s", dir, name), 0700) == 0, name);
    char *config = config_text(part, model);
    file_write(at("%s/%s/config.json", dir, name), config, false);
    weights_put(at("%s/%s/%s.safetensors", dir, name,
                   part == PART_TEXT ? "model" : "diffusion_pytorch_model"),
                &w, 0, w.count, dtype, elem_bytes);
    free(config);
    wanted_free(&w);
}

void model_put(const char *dir, const struct model_config *model)
{
    component_put(dir, "transformer", PART_TRANSFORMER, model, "BF16", 2);
    component_put(dir, "vae", PART_VAE, model, "F32", 4);
    component_put(dir, "text_encoder", PART_TEXT, model, "F16", 2);
    need(mkdir(at("%s/tokenizer", dir), 0700) == 0, "tokenizer");
    need(mkdir(at("%s/scheduler", dir), 0700) == 0, "scheduler");
    file_write(at("%s/tokenizer/spiece.model", dir), "x", false);
    file_write(at("%s/scheduler/scheduler_config.json", dir),
               "{\"_class_name\": \"UniPCMultistepScheduler\", \"flow_shift\": 3.0}", false);
    file_write(
        at("%s/model_index.json", dir),
        "{\"_class_name\": \"WanPipeline\", \"_diffusers_version\": \"0.35.0\","
        " \"boundary_ratio\": null, \"transformer\": [\"diffusers\","
        " \"WanTransformer3DModel\"], \"transformer_2\": [null, null],"
        " \"vae\": [\"diffusers\", \"AutoencoderKLWan\"], \"text_encoder\":"
        " [\"transformers\", \"UMT5EncoderModel\"], \"tokenizer\": [\"transformers\","
        " \"T5TokenizerFast\"], \"scheduler\": [\"diffusers\", \"UniPCMultistepScheduler\"]}",
        false);
}
