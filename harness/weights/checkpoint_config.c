// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* checkpoint_config.c   config.json of a component -> its part of a model's geometry. Fields are
 * read by a table; what a field may hold beyond what the model code here computes is said, not
 * guessed. */
#include "weights/checkpoint.h"

#include "base/text.h"
#include "weights/checkpoint_index.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(part_, name_, member, fallback_, least_, most_)                                      \
    {                                                                                              \
        .part = (part_), .name = (name_), .offset = offsetof(struct model_config, member),         \
        .fallback = (fallback_), .least = (least_), .most = (most_)                                \
    }
#define DIT_FIELD(name_, member, fallback_, least_, most_)                                         \
    {                                                                                              \
        .part = PART_TRANSFORMER, .family = FAMILY_DIT, .name = (name_),                           \
        .offset = offsetof(struct model_config, member), .fallback = (fallback_),                  \
        .least = (least_), .most = (most_)                                                         \
    }

/* A field that is true or false; one that is null where there is nothing of it. Both count as 0. */
#define FIELD_FLAG(part_, name_, member)                                                           \
    {                                                                                              \
        .part = (part_), .name = (name_), .offset = offsetof(struct model_config, member),         \
        .most = 1, .flag = true                                                                    \
    }
#define FIELD_OR_NULL(part_, name_, member, most_)                                                 \
    {                                                                                              \
        .part = (part_), .name = (name_), .offset = offsetof(struct model_config, member),         \
        .most = (most_), .or_null = true                                                           \
    }

/* Limits keep products of extents within 63 bits. Where a field is left out the model class' own
 * default holds. */
const struct checkpoint_field checkpoint_fields[] = {
    FIELD(PART_TRANSFORMER, "num_attention_heads", transformer.N, 40, 1, 4096),
    FIELD(PART_TRANSFORMER, "attention_head_dim", transformer.D, 128, 1, 4096),
    FIELD(PART_TRANSFORMER, "num_layers", transformer.layers, 40, 1, 4096),
    FIELD(PART_TRANSFORMER, "ffn_dim", transformer.F, 13824, 1, 1 << 24),
    FIELD(PART_TRANSFORMER, "in_channels", transformer.in_channels, 16, 1, 65536),
    FIELD(PART_TRANSFORMER, "out_channels", transformer.out_channels, 16, 1, 65536),
    FIELD(PART_TRANSFORMER, "text_dim", transformer.text_dim, 4096, 1, 1 << 24),
    FIELD(PART_TRANSFORMER, "freq_dim", transformer.freq_dim, 256, 2, 65536),
    FIELD_OR_NULL(PART_TRANSFORMER, "image_dim", transformer.image_dim, 65536),
    FIELD_OR_NULL(PART_TRANSFORMER, "pos_embed_seq_len", transformer.image_rows, 65536),
    DIT_FIELD("num_attention_heads", transformer.N, 16, 1, 4096),
    DIT_FIELD("attention_head_dim", transformer.D, 72, 1, 4096),
    DIT_FIELD("num_layers", transformer.layers, 28, 1, 4096),
    DIT_FIELD("in_channels", transformer.in_channels, 4, 1, VAE_Z_MAX),
    DIT_FIELD("out_channels", transformer.out_channels, 0, 1, 2 * VAE_Z_MAX),
    DIT_FIELD("patch_size", transformer.ph, 2, 1, 64),
    FIELD(PART_VAE, "base_dim", vae.base, 96, 1, 65536),
    FIELD(PART_VAE, "z_dim", vae.z_dim, 16, 1, VAE_Z_MAX),
    FIELD(PART_VAE, "num_res_blocks", vae.res_blocks, 2, 1, 3),
    FIELD(PART_VAE, "scale_factor_temporal", vae.scale_time, 4, 1, 64),
    FIELD(PART_VAE, "scale_factor_spatial", vae.scale_space, 8, 1, 64),
    FIELD_OR_NULL(PART_VAE, "decoder_base_dim", vae.decoder_base, 65536),
    FIELD_FLAG(PART_VAE, "is_residual", vae.residual),
    FIELD_OR_NULL(PART_VAE, "patch_size", vae.patch, 2),
    FIELD(PART_TEXT, "vocab_size", text.vocab, 0, 1, INT32_MAX),
    FIELD(PART_TEXT, "d_model", text.C, 0, 1, 1 << 20),
    FIELD(PART_TEXT, "num_heads", text.N, 0, 1, 4096),
    FIELD(PART_TEXT, "d_kv", text.D, 0, 1, 4096),
    FIELD(PART_TEXT, "d_ff", text.F, 0, 1, 1 << 24),
    FIELD(PART_TEXT, "num_layers", text.layers, 0, 1, 4096),
    FIELD(PART_TEXT, "relative_attention_num_buckets", text.buckets, 32, 4, 65536),
    FIELD(PART_TEXT, "relative_attention_max_distance", text.max_distance, 128, 2, 1 << 20),
    FIELD(PART_IMAGE, "image_size", image.size, 224, 1, 4096),
    FIELD(PART_IMAGE, "patch_size", image.patch, 32, 1, 4096),
    FIELD(PART_IMAGE, "num_attention_heads", image.N, 12, 1, 4096),
    FIELD(PART_IMAGE, "intermediate_size", image.F, 3072, 1, 1 << 24),
    FIELD(PART_IMAGE, "num_hidden_layers", image.layers, 12, 2, 4096),
};
const int checkpoint_field_count = sizeof checkpoint_fields / sizeof *checkpoint_fields;

int64_t checkpoint_field_of(const struct model_config *m, const struct checkpoint_field *field)
{
    int64_t value;
    memcpy(&value, (const char *)m + field->offset, sizeof value);
    return value;
}

bool checkpoint_has_field(enum checkpoint_part part, const struct model_config *m,
                          const struct checkpoint_field *field)
{
    return field->part == part && (part != PART_TRANSFORMER || field->family == m->family);
}

static bool reals_differ(const double *a, const double *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabs(a[i] - b[i]) > 1e-6)
            return true;
    return false;
}

const char *checkpoint_lists_differ(enum checkpoint_part part, const struct model_config *a,
                                    const struct model_config *b)
{
    const struct transformer_config *t = &a->transformer, *u = &b->transformer;
    const struct vae_config *v = &a->vae, *w = &b->vae;
    if (part == PART_TRANSFORMER && a->dit && b->dit)
        return a->dit->classes != b->dit->classes ? "num_embeds_ada_norm"
               : a->dit->sample != b->dit->sample ? "sample_size"
                                                  : NULL;
    if (part == PART_TRANSFORMER)
        return t->pt != u->pt || t->ph != u->ph || t->pw != u->pw ? "patch_size" : NULL;
    if (part == PART_IMAGE)
        return a->image.N * a->image.D != b->image.N * b->image.D ? "hidden_size" : NULL;
    if (part != PART_VAE)
        return NULL;
    return memcmp(v->mult, w->mult, sizeof v->mult)            ? "dim_mult"
           : memcmp(v->time_up, w->time_up, sizeof v->time_up) ? "temperal_downsample"
           : reals_differ(v->mean, w->mean, VAE_Z_MAX)         ? "latents_mean"
           : reals_differ(v->std, w->std, VAE_Z_MAX)           ? "latents_std"
                                                               : NULL;
}

int checkpoint_fields_apart(enum checkpoint_part part, const struct model_config *a,
                            const struct model_config *b)
{
    if (part == PART_TRANSFORMER && a->family != b->family)
        return checkpoint_field_count + 1;
    int apart = checkpoint_lists_differ(part, a, b) != NULL;
    for (int i = 0; i < checkpoint_field_count; i++) {
        const struct checkpoint_field *f = &checkpoint_fields[i];
        if (checkpoint_has_field(part, a, f))
            apart += checkpoint_field_of(a, f) != checkpoint_field_of(b, f);
    }
    return apart;
}

#ifndef HAVE_JANSSON

enum status checkpoint_config_read(const char *path, struct checkpoint_config *out,
                                   struct fault *fault)
{
    *out = (struct checkpoint_config){.part = PART_OTHER};
    return fault_set(fault, ST_NOT_BUILT,
                     "reading %s needs jansson, which this build lacks: install libjansson-dev and "
                     "run make again",
                     path);
}

#else

struct reader {
    const char *path;
    const json_t *root;
    struct checkpoint_config *out;
    struct fault *fault;
};

/* "num_layers should be ..., not 1.5" */
static enum status refuse(const struct reader *r, const char *field, const char *wanted,
                          const json_t *value)
{
    char shown[80] = "a list or object";
    char *text = json_is_object(value) || json_is_array(value)
                     ? NULL
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (text)
        text_printable(text, strlen(text), shown, sizeof shown);
    free(text);
    return fault_set(r->fault, ST_BAD_INPUT, "%s: %s should be %s, not %s", r->path, field, wanted,
                     value ? shown : "left out");
}

static enum status read_flag(const struct reader *r, const struct checkpoint_field *f)
{
    const json_t *value = json_object_get(r->root, f->name);
    const int64_t got = json_is_true(value);
    if (value && !json_is_boolean(value))
        return refuse(r, f->name, "true or false", value);
    memcpy((char *)&r->out->model + f->offset, &got, sizeof got);
    return ST_OK;
}

static enum status read_integer(const struct reader *r, const struct checkpoint_field *f)
{
    const json_t *value = json_object_get(r->root, f->name);
    if (f->or_null && json_is_null(value))
        value = NULL;
    int64_t got = value ? (int64_t)json_integer_value(value) : f->fallback;
    if ((value && !json_is_integer(value)) || got < f->least || got > f->most) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, f->least,
                 f->most);
        return refuse(r, f->name, wanted, value);
    }
    memcpy((char *)&r->out->model + f->offset, &got, sizeof got);
    return ST_OK;
}

/* A list of exactly `count` whole numbers or booleans; left as it is where it is left out. */
static enum status read_integers(const struct reader *r, const char *name, int count, int64_t least,
                                 int64_t most, int64_t *out)
{
    const json_t *list = json_object_get(r->root, name);
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a list of %d small whole numbers", count);
    if (!list)
        return ST_OK;
    if (json_array_size(list) != (size_t)count)
        return refuse(r, name, wanted, list);
    for (int i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        out[i] = json_is_boolean(item) ? json_is_true(item) : (int64_t)json_integer_value(item);
        if ((!json_is_integer(item) && !json_is_boolean(item)) || out[i] < least || out[i] > most)
            return refuse(r, name, wanted, item);
    }
    return ST_OK;
}

static enum status read_reals(const struct reader *r, const char *name, int64_t count, double *out)
{
    const json_t *list = json_object_get(r->root, name);
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a list of %" PRId64 " numbers, one per channel of z", count);
    if (!list || json_array_size(list) != (size_t)count)
        return refuse(r, name, wanted, list);
    for (int64_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        if (!json_is_number(item))
            return refuse(r, name, wanted, item);
        out[i] = json_number_value(item);
    }
    return ST_OK;
}

/* ---- what the model code here does not compute ----------------------------------------------- */

/* The one value of a field that is supported, as JSON; a field that is left out has it, but for
 * those that must be there. */
static const struct supported {
    enum checkpoint_part part;
    enum transformer_family family;
    const char *name, *value;
    bool must_be;
} supported[] = {
    {PART_TRANSFORMER, FAMILY_WAN, "cross_attn_norm", "true", false},
    {PART_TRANSFORMER, FAMILY_WAN, "qk_norm", "\"rms_norm_across_heads\"", false},
    {PART_TRANSFORMER, FAMILY_DIT, "activation_fn", "\"gelu-approximate\"", true},
    {PART_TRANSFORMER, FAMILY_DIT, "norm_type", "\"ada_norm_zero\"", true},
    {PART_TRANSFORMER, FAMILY_DIT, "norm_elementwise_affine", "false", false},
    {PART_TRANSFORMER, FAMILY_DIT, "attention_bias", "true", false},
    {PART_TRANSFORMER, FAMILY_DIT, "upcast_attention", "false", false},
    {PART_VAE, FAMILY_WAN, "attn_scales", "[]", false},
    {PART_TEXT, FAMILY_WAN, "feed_forward_proj", "\"gated-gelu\"", false},
    {PART_IMAGE, FAMILY_WAN, "hidden_act", "\"gelu\"", true},
    {PART_IMAGE, FAMILY_WAN, "num_channels", "3", false},
};

static void note_unsupported(const struct reader *r)
{
    char *out = r->out->unsupported;
    const size_t bytes = sizeof r->out->unsupported;
    for (size_t i = 0; i < sizeof supported / sizeof *supported; i++) {
        const struct supported *s = &supported[i];
        const json_t *value = json_object_get(r->root, s->name);
        if (s->part != r->out->part || s->family != r->out->model.family)
            continue;
        char *text =
            value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        size_t used = strlen(out);
        if (text ? strcmp(text, s->value) != 0 : s->must_be)
            snprintf(out + used, bytes - used, "%s%s %.60s", used ? ", " : "", s->name,
                     text ? text : "left out");
        free(text);
    }
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* A whole number that must follow from the others; left out where there is none. */
static void expect_number(const struct reader *r, const char *name, int64_t wanted)
{
    const json_t *value = json_object_get(r->root, name);
    const int64_t got = json_integer_value(value); /* 0 of null */
    char *out = r->out->unsupported;
    const size_t used = strlen(out);
    if (value && got != wanted)
        snprintf(out + used, sizeof r->out->unsupported - used, "%s%s %" PRId64, used ? ", " : "",
                 name, got);
}

static enum status read_transformer(const struct reader *r)
{
    struct transformer_config *t = &r->out->model.transformer;
    int64_t patch[3] = {1, 2, 2};
    expect_number(r, "added_kv_proj_dim", t->image_dim ? t->N * t->D : 0);
    TRY(read_integers(r, "patch_size", 3, 1, 64, patch));
    t->pt = patch[0], t->ph = patch[1], t->pw = patch[2];
    const json_t *eps = json_object_get(r->root, "eps");
    t->eps = json_is_number(eps) ? json_number_value(eps) : 1e-6;
    return ST_OK;
}

/* As diffusers runs it: with the time's weights once in every block. */
static enum status read_dit(const struct reader *r)
{
    struct checkpoint_config *c = r->out;
    struct transformer_config *t = &c->model.transformer;
    const json_t *eps = json_object_get(r->root, "norm_eps");
    const json_t *classes = json_object_get(r->root, "num_embeds_ada_norm");
    const json_t *sample = json_object_get(r->root, "sample_size");
    t->pt = 1;
    t->pw = t->ph;
    t->F = 4 * t->N * t->D;
    t->freq_dim = 256;
    t->eps = 1e-6;
    c->dit = (struct dit_config){
        .classes = classes ? (int64_t)json_integer_value(classes) : 1000,
        .sample = sample ? (int64_t)json_integer_value(sample) : 32,
        .time_drop = 1,
        .mlp_eps = json_is_number(eps) ? json_number_value(eps) : 1e-5,
    };
    c->model.dit = &c->dit;
    if (c->dit.classes < 1 || c->dit.classes > 1 << 24)
        return refuse(r, "num_embeds_ada_norm", "a whole number from 1 to 16777216", classes);
    if (c->dit.sample < 1 || c->dit.sample > 65536)
        return refuse(r, "sample_size", "a whole number from 1 to 65536", sample);
    return ST_OK;
}

static enum status read_image(const struct reader *r)
{
    struct image_config *i = &r->out->model.image;
    const json_t *value = json_object_get(r->root, "hidden_size");
    const json_t *eps = json_object_get(r->root, "layer_norm_eps");
    const int64_t width = value ? (int64_t)json_integer_value(value) : 768;
    i->eps = json_is_number(eps) ? json_number_value(eps) : 1e-5;
    if (width < i->N || width > 65536 || width % i->N)
        return refuse(r, "hidden_size", "a multiple of num_attention_heads, up to 65536", value);
    i->D = width / i->N;
    return ST_OK;
}

/* Pixels are of three colours, and squares of patch_size are folded. */
static enum status check_channels(const struct reader *r, const char *name, int64_t wanted)
{
    const json_t *value = json_object_get(r->root, name);
    const int64_t got = value ? (int64_t)json_integer_value(value) : 3;
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, wanted);
    return got == wanted ? ST_OK : refuse(r, name, text, value);
}

/* The encoder's steps in time, from fine to coarse; the decoder takes them in reverse. */
static enum status read_vae(const struct reader *r)
{
    struct vae_config *v = &r->out->model.vae;
    int64_t down[VAE_LEVELS - 1] = {0, 1, 1};
    static const int64_t mult[VAE_LEVELS] = {1, 2, 4, 4};
    memcpy(v->mult, mult, sizeof mult);
    if (v->decoder_base == v->base)
        v->decoder_base = 0;
    if (v->patch == 1)
        v->patch = 0;
    TRY(check_channels(r, "in_channels", v->patch ? 3 * v->patch * v->patch : 3));
    TRY(check_channels(r, "out_channels", v->patch ? 3 * v->patch * v->patch : 3));
    TRY(read_integers(r, "dim_mult", VAE_LEVELS, 1, 1024, v->mult));
    TRY(read_integers(r, "temperal_downsample", VAE_LEVELS - 1, 0, 1, down));
    for (int i = 0; i < VAE_LEVELS - 1; i++)
        v->time_up[i] = down[VAE_LEVELS - 2 - i];
    TRY(read_reals(r, "latents_mean", v->z_dim, v->mean));
    return read_reals(r, "latents_std", v->z_dim, v->std);
}

/* The number of rows is the pipeline's, not the encoder's. */
static enum status read_text(const struct reader *r)
{
    struct text_config *t = &r->out->model.text;
    const json_t *eps = json_object_get(r->root, "layer_norm_epsilon");
    t->eps = json_is_number(eps) ? json_number_value(eps) : 1e-6;
    t->rows = 512;
    return ST_OK;
}

/* An open list: a class that the model code here knows is one line. */
static const struct part_class {
    const char *class_name;
    enum checkpoint_part part;
    enum transformer_family family;
    enum status (*read)(const struct reader *r);
} classes[] = {
    {"WanTransformer3DModel", PART_TRANSFORMER, FAMILY_WAN, read_transformer},
    {"DiTTransformer2DModel", PART_TRANSFORMER, FAMILY_DIT, read_dit},
    {"Transformer2DModel", PART_TRANSFORMER, FAMILY_DIT, read_dit}, /* its name until 0.30 */
    {"AutoencoderKLWan", PART_VAE, FAMILY_WAN, read_vae},
    {"UMT5EncoderModel", PART_TEXT, FAMILY_WAN, read_text},
    {"CLIPVisionModel", PART_IMAGE, FAMILY_WAN, read_image},
};

/* diffusers writes _class_name, transformers a list of architectures. */
static const struct part_class *read_class(const struct reader *r)
{
    const json_t *list = json_object_get(r->root, "architectures");
    const char *name = json_string_value(json_object_get(r->root, "_class_name"));
    if (!name)
        name = json_string_value(json_array_get(list, 0));
    if (!name)
        return NULL;
    text_printable(name, strlen(name), r->out->class_name, sizeof r->out->class_name);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (!strcmp(name, classes[i].class_name))
            return &classes[i];
    return NULL;
}

static enum status read_config(const struct reader *r)
{
    const struct part_class *class = read_class(r);
    if (!class)
        return ST_OK;
    r->out->part = class->part;
    r->out->model.family = class->family;
    note_unsupported(r);
    for (int i = 0; i < checkpoint_field_count; i++)
        if (checkpoint_has_field(class->part, &r->out->model, &checkpoint_fields[i]))
            TRY(checkpoint_fields[i].flag ? read_flag(r, &checkpoint_fields[i])
                                          : read_integer(r, &checkpoint_fields[i]));
    return r->out->unsupported[0] ? ST_OK : class->read(r);
}

enum status checkpoint_config_read(const char *path, struct checkpoint_config *out,
                                   struct fault *fault)
{
    json_t *root;
    *out = (struct checkpoint_config){.part = PART_OTHER};
    TRY(json_object_read(path, &root, fault));
    const struct reader r = {path, root, out, fault};
    enum status status = read_config(&r);
    json_decref(root);
    return status;
}

#endif
