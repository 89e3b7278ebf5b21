// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "drawn_folder.h"

#include "base/json.h"
#include "elem.h"
#include "files.h"
#include "model/weights.h"
#include "spawn.h"
#include "weights_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static enum elem stored(const struct weight_spec *spec, enum elem large)
{
    return spec->kind == WEIGHT_MATRIX || spec->kind == WEIGHT_EMBEDDING ? large : ELEM_F32;
}

static const char *dtype_of(enum elem elem)
{
    return elem == ELEM_F32 ? "F32" : elem == ELEM_BF16 ? "BF16" : "F16";
}

/* The tensors of one shard: every `step`-th from `first` on. */
struct share {
    const struct wanted *w;
    int64_t first, step;
    enum elem large;
};

static void header(struct json *j, const struct share *s)
{
    int64_t end = 0;
    json_init(j, false);
    json_open_object(j, NULL);
    for (int64_t i = s->first; i < s->w->count; i += s->step) {
        const struct weight_spec *spec = &s->w->spec[i];
        const enum elem elem = stored(spec, s->large);
        json_open_object(j, spec->name);
        json_text(j, "dtype", dtype_of(elem));
        json_open_array(j, "shape");
        for (int k = 0; k < spec->rank; k++)
            json_int(j, NULL, spec->dim[k]);
        json_end(j);
        json_open_array(j, "data_offsets");
        json_int(j, NULL, end);
        json_int(j, NULL, end += elems_of(spec) * (int64_t)elem_bytes(elem));
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

static void draw(FILE *out, const struct weight_spec *spec, enum elem elem, const char *under)
{
    char name[512];
    const int64_t n = elems_of(spec);
    struct weight_spec drawn = *spec;
    float *values = malloc((size_t)n * sizeof *values);
    void *as = malloc((size_t)n * sizeof *values);
    need(values && as, spec->name);
    snprintf(name, sizeof name, "%s%s", under, spec->name);
    drawn.name = name;
    weights_synthetic(0, FILL_NORMAL, &drawn, 0, n, values);
    elem_convert(as, elem, values, ELEM_F32, n);
    need(fwrite(as, elem_bytes(elem), (size_t)n, out) == (size_t)n, spec->name);
    free(values);
    free(as);
}

static void put_share(const char *path, const struct share *s, const char *under)
{
    struct json j;
    header(&j, s);
    const uint64_t length = j.used;
    FILE *out = fopen(path, "wb");
    need(out && fwrite(&length, 8, 1, out) == 1 && fwrite(j.text, 1, j.used, out) == j.used, path);
    for (int64_t i = s->first; i < s->w->count; i += s->step)
        draw(out, &s->w->spec[i], stored(&s->w->spec[i], s->large), under);
    need(fclose(out) == 0, path);
    json_free(&j);
}

#define SHARD "diffusion_pytorch_model-%05d-of-%05d.safetensors"

static void put_index(const char *folder_path, const struct wanted *w, int shards)
{
    struct json j;
    char shard[128];
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_open_object(&j, "weight_map");
    for (int64_t i = 0; i < w->count; i++) {
        snprintf(shard, sizeof shard, SHARD, (int)(i % shards) + 1, shards);
        json_text(&j, w->spec[i].name, shard);
    }
    json_end(&j);
    json_end(&j);
    file_write(at("%s/diffusion_pytorch_model.safetensors.index.json", folder_path), j.text, false);
    json_free(&j);
}

void component_draw(const char *dir, const char *name, enum checkpoint_part part,
                    const struct model_config *model, enum elem large, int shards,
                    const char *under)
{
    char path[512], shard[128];
    struct wanted w;
    struct fault fault = {{0}};
    need(wanted_of(part, model, &w, &fault) == ST_OK, "wanted_of");
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    need(mkdir(path, 0700) == 0, path);
    char *config = config_text(part, model);
    file_write(at("%s/config.json", path), config, false);
    for (int i = 0; i < shards; i++) {
        const struct share s = {&w, i, shards, large};
        snprintf(shard, sizeof shard, SHARD, i + 1, shards);
        put_share(at("%s/%s", path, shards > 1 ? shard : "model.safetensors"), &s, under);
    }
    if (shards > 1)
        put_index(path, &w, shards);
    free(config);
    wanted_free(&w);
}

void scheduler_put(const char *dir, double flow_shift)
{
    mkdir(at("%s/scheduler", dir), 0700);
    file_write(at("%s/scheduler/scheduler_config.json", dir),
               at("{\"_class_name\": \"UniPCMultistepScheduler\", \"prediction_type\":"
                  " \"flow_prediction\", \"use_flow_sigmas\": true, \"solver_order\": 2,"
                  " \"solver_type\": \"bh2\", \"disable_corrector\": [], \"flow_shift\": %g}",
                  flow_shift),
               false);
}

void index_put(const char *dir, double boundary)
{
    file_write(at("%s/model_index.json", dir),
               at("{\"_class_name\": \"WanPipeline\", \"boundary_ratio\": %s,"
                  " \"expand_timesteps\": false,"
                  " \"transformer\": [\"diffusers\", \"WanTransformer3DModel\"],"
                  " \"vae\": [\"diffusers\", \"AutoencoderKLWan\"]}",
                  boundary > 0 ? at("%g", boundary) : "null"),
               false);
}

void model_draw(const char *path, const struct model_config *model, enum elem large, int shards)
{
    char dir[512]; /* the caller's may be of the ring that at() turns */
    snprintf(dir, sizeof dir, "%s", path);
    component_draw(dir, "transformer", PART_TRANSFORMER, model, large, shards, "");
    if (model->boundary > 0)
        component_draw(dir, "transformer_2", PART_TRANSFORMER, model, large, shards,
                       "transformer_2.");
    component_draw(dir, "vae", PART_VAE, model, large, 1, "");
    component_draw(dir, "text_encoder", PART_TEXT, model, large, 1, "");
    if (model->image.layers)
        component_draw(dir, "image_encoder", PART_IMAGE, model, large, 1, "image_encoder.");
    scheduler_put(dir, model->shift);
    index_put(dir, model->boundary);
}
