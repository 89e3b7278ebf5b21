// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* checkpoint_wanted.c   What the model code would load, found by letting it load through ops that
 * only write down names and shapes; so a comparison cannot differ from a run. */
#include "weights/checkpoint.h"

#include "model/denoiser.h"
#include "model/image.h"
#include "model/text.h"
#include "model/vae.h"
#include "model/vae_encoder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct recorder {
    struct ops ops; /* first, so that the hook finds the recorder */
    struct wanted *wanted;
};

static enum status record_weight(struct ops *ops, struct tensor *t, const struct weight_spec *spec)
{
    struct wanted *w = ((struct recorder *)ops)->wanted;
    char *name = strdup(spec->name);
    if (w->count == w->room) {
        int64_t room = w->room ? 2 * w->room : 256;
        struct weight_spec *grown = realloc(w->spec, (size_t)room * sizeof *grown);
        w->spec = grown ? grown : w->spec;
        w->room = grown ? room : w->room;
    }
    if (!name || w->count == w->room) {
        free(name);
        return fault_set(ops->fault, ST_NO_MEMORY, "out of memory for a list of tensors");
    }
    w->spec[w->count] = *spec;
    w->spec[w->count++].name = name;
    *t = (struct tensor){.elem = ELEM_NONE};
    return ST_OK;
}

static enum status load_vae(struct ops *ops, const struct vae_config *config)
{
    struct vae decoder;
    struct vae_encoder encoder;
    TRY(vae_encoder_load(ops, config, &encoder));
    return vae_load(ops, config, &decoder);
}

enum status wanted_of(enum checkpoint_part part, const struct model_config *model,
                      struct wanted *out, struct fault *fault)
{
    struct recorder r = {
        .ops = {.weight = record_weight, .mode = MODE_COUNT, .type = ELEM_F32, .fault = fault},
        .wanted = out};
    struct text text = {0};
    struct denoiser denoiser = {0};
    struct image image = {0};
    *out = (struct wanted){0};
    enum status status = ST_OK;
    if (part == PART_TEXT && model->text.layers)
        status = text_load(&r.ops, &model->text, &text);
    else if (part == PART_TRANSFORMER)
        status = denoiser_load(&r.ops, model, &denoiser);
    else if (part == PART_VAE && model->vae.base)
        status = load_vae(&r.ops, &model->vae);
    else if (part == PART_IMAGE && model->image.layers)
        status = image_load(&r.ops, &model->image, &image);
    text_free(&text);
    image_free(&image);
    denoiser_free(&denoiser);
    if (status != ST_OK)
        wanted_free(out);
    return status;
}

void wanted_free(struct wanted *w)
{
    for (int64_t i = 0; i < w->count; i++)
        free((char *)w->spec[i].name);
    free(w->spec);
    *w = (struct wanted){0};
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* The text encoder's table has a second name where input and output shared it once. */
#define TABLE "shared.weight"
#define TABLE_ALIAS "encoder.embed_tokens.weight"

/* Published tensors that making a clip does not read, by how their names begin or, with
 * a '*', end. */
static const struct {
    enum checkpoint_part part;
    const char *name;
} unused[] = {
    {PART_TEXT, TABLE_ALIAS},
    {PART_TRANSFORMER, "*.attn2.norm_added_q.weight"},
    {PART_IMAGE, "vision_model.encoder.layers."}, /* the last one */
    {PART_IMAGE, "vision_model.post_layernorm."},
    {PART_IMAGE, "vision_model.embeddings.position_ids"},
    {PART_IMAGE, "encoder.layers."},
    {PART_IMAGE, "post_layernorm."},
    {PART_IMAGE, "embeddings.position_ids"},
};

static bool is_unused(enum checkpoint_part part, const char *name)
{
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        const char *rule = unused[i].name;
        size_t n = strlen(name), m = strlen(rule + 1);
        if (unused[i].part != part)
            continue;
        if (*rule == '*' ? n >= m && !strcmp(name + n - m, rule + 1) : !strncmp(name, rule, m + 1))
            return true;
    }
    return false;
}

/* Under either of its names: newer releases of transformers leave CLIP's prefix out. */
static const struct checkpoint_tensor *find_weight(const struct checkpoint *c, const char *name)
{
    static const char prefix[] = "vision_model.";
    const struct checkpoint_tensor *t = checkpoint_find(c, name);
    if (!t && !strcmp(name, TABLE))
        t = checkpoint_find(c, TABLE_ALIAS);
    if (!t && !strncmp(name, prefix, strlen(prefix)))
        t = checkpoint_find(c, name + strlen(prefix));
    return t;
}

static bool same_shape(const struct weight_spec *spec, const struct safetensor *t)
{
    return spec->rank == t->rank && !memcmp(spec->dim, t->dim, (size_t)t->rank * sizeof *t->dim);
}

void checkpoint_shape(int rank, const int64_t *dim, char out[SHAPE_BYTES])
{
    int used = 1;
    strcpy(out, "[");
    for (int i = 0; i < rank; i++)
        used +=
            snprintf(out + used, SHAPE_BYTES - (size_t)used, "%s%" PRId64, i ? ", " : "", dim[i]);
    strcpy(out + used, "]"); /* 8 extents of at most 15 digits leave room */
}

bool checkpoint_can_read(const struct safetensor *t)
{
    return t->elem == ELEM_F32 || t->elem == ELEM_BF16 || t->elem == ELEM_F16 ||
           t->elem == ELEM_F64;
}

enum status checkpoint_weight(const struct checkpoint *c, const struct weight_spec *spec,
                              const struct checkpoint_tensor **out, struct fault *fault)
{
    char wanted[SHAPE_BYTES], found[SHAPE_BYTES];
    const struct checkpoint_tensor *t = find_weight(c, spec->name);
    *out = t;
    checkpoint_shape(spec->rank, spec->dim, wanted);
    if (!t)
        return fault_set(fault, ST_BAD_INPUT, "%s: tensor %s is missing, wanted %s",
                         checkpoint_path(c), spec->name, wanted);
    checkpoint_shape(t->is->rank, t->is->dim, found);
    if (!same_shape(spec, t->is))
        return fault_set(fault, ST_BAD_INPUT, "%s: tensor %s is %s, wanted %s", checkpoint_path(c),
                         spec->name, found, wanted);
    if (!checkpoint_can_read(t->is))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: tensor %s has dtype %s; F32, BF16, F16 and F64 can be read",
                         checkpoint_path(c), spec->name, t->is->dtype);
    return ST_OK;
}

static int compare_specs(const void *a, const void *b)
{
    return strcmp((*(const struct weight_spec *const *)a)->name,
                  (*(const struct weight_spec *const *)b)->name);
}

/* What is wanted first, by name; then what is there beside it. */
static void walk(const struct checkpoint *c, enum checkpoint_part part,
                 const struct weight_spec *const *spec, int64_t specs, bool *used,
                 struct differences *out)
{
    for (int64_t i = 0; i < specs; i++) {
        const struct checkpoint_tensor *found = find_weight(c, spec[i]->name);
        if (found)
            used[found - checkpoint_at(c, 0)] = true;
        if (!found || !same_shape(spec[i], found->is))
            out->row[out->count++] =
                (struct difference){found ? TENSOR_MISSHAPEN : TENSOR_MISSING, spec[i], found};
    }
    for (int64_t i = 0; i < checkpoint_count(c); i++) {
        const struct checkpoint_tensor *found = checkpoint_at(c, i);
        if (!used[i] && is_unused(part, found->is->name))
            out->unused++;
        else if (!used[i])
            out->row[out->count++] = (struct difference){TENSOR_EXTRA, NULL, found};
    }
}

enum status checkpoint_compare(const struct checkpoint *c, enum checkpoint_part part,
                               const struct wanted *wanted, struct differences *out,
                               struct fault *fault)
{
    int64_t most = wanted->count + checkpoint_count(c) + 1;
    const struct weight_spec **sorted = calloc((size_t)wanted->count + 1, sizeof *sorted);
    bool *used = calloc((size_t)checkpoint_count(c) + 1, sizeof *used);
    *out = (struct differences){.row = calloc((size_t)most, sizeof *out->row)};
    if (!sorted || !used || !out->row) {
        free(sorted);
        free(used);
        free(out->row);
        out->row = NULL;
        return fault_set(fault, ST_NO_MEMORY, "out of memory for a list of tensors");
    }
    for (int64_t i = 0; i < wanted->count; i++)
        sorted[i] = &wanted->spec[i];
    qsort(sorted, (size_t)wanted->count, sizeof *sorted, compare_specs);
    walk(c, part, sorted, wanted->count, used, out);
    free(sorted);
    free(used);
    return ST_OK;
}
