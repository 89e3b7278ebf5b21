// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model_folder_config.c   The JSON files of a model's folder -> one model_config. */
#include "weights/model_folder_state.h"

#include "base/text.h"
#include "weights/checkpoint_index.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const folder_names[FOLDER_COMPONENTS] = {
    [FOLDER_TRANSFORMER] = "transformer",
    [FOLDER_TRANSFORMER_2] = "transformer_2",
    [FOLDER_VAE] = "vae",
    [FOLDER_TEXT] = "text_encoder",
    [FOLDER_IMAGE] = "image_encoder",
};

#ifndef HAVE_JANSSON

enum status model_folder_configure(struct model_folder *f, struct fault *fault)
{
    return fault_set(fault, ST_NOT_BUILT,
                     "the model's folder %s needs jansson, which this build lacks: install "
                     "libjansson-dev and run make again",
                     f->path);
}

#else

static bool exists(const struct model_folder *f, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    return stat(path, &info) == 0;
}

static enum status read_object(const struct model_folder *f, const char *name, json_t **out,
                               struct fault *fault)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    return json_object_read(path, out, fault);
}

/* ---- components ------------------------------------------------------------------------------ */

/* model_index.json names a class for each component, or nulls where the model has none. */
static bool is_ruled_out(const json_t *index, const char *name)
{
    const json_t *entry = json_object_get(index, name);
    return entry && !json_is_string(json_array_get(entry, 1));
}

static enum status find_components(struct model_folder *f, const json_t *index, struct fault *fault)
{
    for (int i = 0; i < FOLDER_COMPONENTS; i++)
        f->component[i].is_there =
            exists(f, folder_names[i]) && !is_ruled_out(index, folder_names[i]);
    if (f->component[FOLDER_TRANSFORMER].is_there)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s holds no folder 'transformer'; --model wants a preset or a model in the "
                     "folder layout of diffusers",
                     f->path);
}

static enum status read_component(struct model_folder *f, int i, enum checkpoint_part part,
                                  struct fault *fault)
{
    char path[PATH_MAX];
    struct checkpoint_config *c = &f->component[i].config;
    snprintf(path, sizeof path, "%s/%s/config.json", f->path, folder_names[i]);
    TRY(checkpoint_config_read(path, c, fault));
    if (c->part != part)
        return fault_set(fault, ST_BAD_INPUT, "%s: the class '%s' is none that runs here as a %s",
                         path, c->class_name, folder_names[i]);
    if (c->unsupported[0])
        return fault_set(fault, ST_BAD_INPUT, "%s: not computed here: %s", path, c->unsupported);
    return ST_OK;
}

/* Experts differ in their weights alone. */
static enum status check_experts(const struct model_folder *f, struct fault *fault)
{
    const struct model_config *a = &f->component[FOLDER_TRANSFORMER].config.model;
    const struct model_config *b = &f->component[FOLDER_TRANSFORMER_2].config.model;
    const char *apart =
        a->family != b->family ? "_class_name" : checkpoint_lists_differ(PART_TRANSFORMER, a, b);
    for (int i = 0; i < checkpoint_field_count && !apart; i++) {
        const struct checkpoint_field *field = &checkpoint_fields[i];
        if (checkpoint_has_field(PART_TRANSFORMER, a, field) &&
            checkpoint_field_of(a, field) != checkpoint_field_of(b, field))
            apart = field->name;
    }
    return apart ? fault_set(fault, ST_BAD_INPUT,
                             "%s: transformer and transformer_2 differ in %s; two experts of one "
                             "model have one geometry",
                             f->path, apart)
                 : ST_OK;
}

/* Of a model of classes the transformer alone runs here; an image encoder whose rows no transformer
 * takes is left alone too. */
static bool is_read(const struct model_folder *f, int i)
{
    const struct model_config *m = &f->component[FOLDER_TRANSFORMER].config.model;
    return f->component[i].is_there && (i == FOLDER_TRANSFORMER || m->family == FAMILY_WAN) &&
           (i != FOLDER_IMAGE || m->transformer.image_dim);
}

static enum status read_components(struct model_folder *f, struct fault *fault)
{
    static const enum checkpoint_part part[FOLDER_COMPONENTS] = {
        [FOLDER_TRANSFORMER] = PART_TRANSFORMER,
        [FOLDER_TRANSFORMER_2] = PART_TRANSFORMER,
        [FOLDER_VAE] = PART_VAE,
        [FOLDER_TEXT] = PART_TEXT,
        [FOLDER_IMAGE] = PART_IMAGE,
    };
    const struct component *c = f->component;
    for (int i = 0; i < FOLDER_COMPONENTS; i++)
        if (is_read(f, i))
            TRY(read_component(f, i, part[i], fault));
    f->model.family = c[FOLDER_TRANSFORMER].config.model.family;
    f->model.dit = c[FOLDER_TRANSFORMER].config.model.dit;
    f->model.transformer = c[FOLDER_TRANSFORMER].config.model.transformer;
    f->model.vae = c[FOLDER_VAE].config.model.vae;
    f->model.text = c[FOLDER_TEXT].config.model.text;
    f->model.image = c[FOLDER_IMAGE].config.model.image;
    return is_read(f, FOLDER_TRANSFORMER_2) ? check_experts(f, fault) : ST_OK;
}

static enum status widths_differ(const struct model_folder *f, const char *what, int64_t given,
                                 int64_t taken, struct fault *fault)
{
    return fault_set(fault, ST_BAD_INPUT, "%s: %s of %lld, the transformer takes %lld", f->path,
                     what, (long long)given, (long long)taken);
}

/* Channels beside the noise: a mask of the frames in a latent frame, and the image's latents. */
static enum status fit_image(struct model_folder *f, struct fault *fault)
{
    struct model_config *m = &f->model;
    const int64_t in = m->transformer.in_channels;
    if (in == 2 * m->vae.z_dim + m->vae.scale_time)
        m->image_input = IMAGE_CHANNELS;
    else if (in != m->vae.z_dim)
        return widths_differ(f, "the vae gives latents", m->vae.z_dim, in, fault);
    if (!m->transformer.image_dim)
        return ST_OK;
    if (!f->component[FOLDER_IMAGE].is_there)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s holds no folder 'image_encoder', whose rows the transformer takes",
                         f->path);
    if (m->image.N * m->image.D != m->transformer.image_dim)
        return widths_differ(f, "the image encoder gives rows", m->image.N * m->image.D,
                             m->transformer.image_dim, fault);
    return ST_OK;
}

/* Widths that one component hands to the next, and rows without an encoder. */
static enum status fit_wan(struct model_folder *f, struct fault *fault)
{
    struct model_config *m = &f->model;
    if (!f->component[FOLDER_VAE].is_there)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s holds no folder 'vae', without which latents are no clip", f->path);
    if (!f->component[FOLDER_TEXT].is_there)
        m->text = (struct text_config){.C = m->transformer.text_dim, .rows = 512};
    if (m->text.C != m->transformer.text_dim)
        return widths_differ(f, "the text encoder gives rows", m->text.C, m->transformer.text_dim,
                             fault);
    if (m->vae.z_dim != m->transformer.out_channels)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the transformer gives latents of %lld channels, the vae takes %lld",
                         f->path, (long long)m->transformer.out_channels, (long long)m->vae.z_dim);
    return fit_image(f, fault);
}

/* Its autoencoder is not here: the latents' grid alone. */
static enum status fit_dit(struct model_folder *f, struct fault *fault)
{
    const struct transformer_config *t = &f->model.transformer;
    f->model.vae = (struct vae_config){.z_dim = t->in_channels, .scale_time = 1, .scale_space = 8};
    if (t->out_channels == t->in_channels || t->out_channels == 2 * t->in_channels)
        return ST_OK;
    return fault_set(
        fault, ST_BAD_INPUT,
        "%s: out_channels is %lld; noise for %lld channels is wanted, or noise and its "
        "variance",
        f->path, (long long)t->out_channels, (long long)t->in_channels);
}

static enum status fit_together(struct model_folder *f, struct fault *fault)
{
    return f->model.family == FAMILY_DIT ? fit_dit(f, fault) : fit_wan(f, fault);
}

/* ---- the scheduler --------------------------------------------------------------------------- */

/* A value that a scheduler's field must have, and whether leaving it out means that value. */
static const struct wanted_value {
    enum scheduler scheduler;
    const char *name, *value;
    bool by_default;
} wanted_values[] = {
    {SCHEDULER_UNIPC, "prediction_type", "\"flow_prediction\"", false},
    {SCHEDULER_UNIPC, "use_flow_sigmas", "true", false},
    {SCHEDULER_UNIPC, "solver_order", "2", true},
    {SCHEDULER_UNIPC, "solver_type", "\"bh2\"", true},
    {SCHEDULER_UNIPC, "predict_x0", "true", true},
    {SCHEDULER_UNIPC, "lower_order_final", "true", true},
    {SCHEDULER_UNIPC, "disable_corrector", "[]", true},
    {SCHEDULER_UNIPC, "thresholding", "false", true},
    {SCHEDULER_UNIPC, "use_karras_sigmas", "false", true},
    {SCHEDULER_UNIPC, "use_exponential_sigmas", "false", true},
    {SCHEDULER_UNIPC, "use_beta_sigmas", "false", true},
    {SCHEDULER_UNIPC, "use_dynamic_shifting", "false", true},
    {SCHEDULER_UNIPC, "final_sigmas_type", "\"zero\"", true},
    {SCHEDULER_UNIPC, "shift_terminal", "null", true},
    {SCHEDULER_UNIPC, "num_train_timesteps", "1000", true},
    {SCHEDULER_EULER, "use_dynamic_shifting", "false", true},
    {SCHEDULER_EULER, "use_karras_sigmas", "false", true},
    {SCHEDULER_EULER, "use_exponential_sigmas", "false", true},
    {SCHEDULER_EULER, "use_beta_sigmas", "false", true},
    {SCHEDULER_EULER, "invert_sigmas", "false", true},
    {SCHEDULER_EULER, "stochastic_sampling", "false", true},
    {SCHEDULER_EULER, "shift_terminal", "null", true},
    {SCHEDULER_EULER, "num_train_timesteps", "1000", true},
    {SCHEDULER_DDIM, "prediction_type", "\"epsilon\"", true},
    {SCHEDULER_DDIM, "clip_sample", "false", false},
    {SCHEDULER_DDIM, "set_alpha_to_one", "true", true},
    {SCHEDULER_DDIM, "steps_offset", "0", true},
    {SCHEDULER_DDIM, "thresholding", "false", true},
    {SCHEDULER_DDIM, "timestep_spacing", "\"leading\"", true},
    {SCHEDULER_DDIM, "rescale_betas_zero_snr", "false", true},
    {SCHEDULER_DDIM, "trained_betas", "null", true},
    {SCHEDULER_DDIM, "beta_schedule", "\"linear\"", true},
    {SCHEDULER_DDIM, "beta_start", "0.0001", true},
    {SCHEDULER_DDIM, "beta_end", "0.02", true},
    {SCHEDULER_DDIM, "num_train_timesteps", "1000", true},
};

static const struct scheduler_class {
    const char *class_name;
    enum scheduler scheduler;
    const char *shift; /* the field; NULL: it has none */
} scheduler_classes[] = {
    {"UniPCMultistepScheduler", SCHEDULER_UNIPC, "flow_shift"},
    {"FlowMatchEulerDiscreteScheduler", SCHEDULER_EULER, "shift"},
    {"DDIMScheduler", SCHEDULER_DDIM, NULL},
};

__attribute__((format(printf, 2, 3))) static void problem(struct model_folder *f,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->scheduler_problem, sizeof f->scheduler_problem, format, args);
    va_end(args);
}

static bool is_value(const json_t *root, const struct wanted_value *w)
{
    const json_t *value = json_object_get(root, w->name);
    char *text =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    bool same = value ? text && !strcmp(text, w->value) : w->by_default;
    free(text);
    return same;
}

/* A number is read whatever is said of the rest; 1 is the default of both classes. */
static void read_shift(struct model_folder *f, const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);
    if (value && json_number_value(value) > 0)
        f->model.shift = json_number_value(value);
    else if (value)
        problem(f, "its %s is no number over 0", name);
}

static void follow_scheduler(struct model_folder *f, const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "_class_name"));
    const struct scheduler_class *known = NULL;
    for (size_t i = 0; i < sizeof scheduler_classes / sizeof *scheduler_classes; i++)
        if (name && !strcmp(name, scheduler_classes[i].class_name))
            known = &scheduler_classes[i];
    if (!known) {
        char shown[64];
        problem(f, "its class is '%s'",
                name ? text_printable(name, strlen(name), shown, sizeof shown) : "");
        return;
    }
    f->model.scheduler = known->scheduler;
    for (size_t i = 0; i < sizeof wanted_values / sizeof *wanted_values; i++)
        if (wanted_values[i].scheduler == known->scheduler && !is_value(root, &wanted_values[i]))
            problem(f, "its %s is not %s", wanted_values[i].name, wanted_values[i].value);
    if (known->shift)
        read_shift(f, root, known->shift);
}

static enum status read_scheduler(struct model_folder *f, struct fault *fault)
{
    static const char name[] = "scheduler/scheduler_config.json";
    json_t *root;
    if (!exists(f, name)) {
        problem(f, "it holds no %s", name);
        return ST_OK;
    }
    TRY(read_object(f, name, &root, fault));
    follow_scheduler(f, root);
    json_decref(root);
    return ST_OK;
}

/* ---- the pipeline ---------------------------------------------------------------------------- */

/* The second expert is used where the pipeline says from which time on, and only there. */
static enum status read_pipeline(struct model_folder *f, const json_t *index, struct fault *fault)
{
    const json_t *ratio = json_object_get(index, "boundary_ratio");
    if (json_is_true(json_object_get(index, "expand_timesteps")))
        f->model.image_input = IMAGE_FIRST_FRAME;
    if (!ratio || json_is_null(ratio))
        return ST_OK;
    f->model.boundary = json_number_value(ratio);
    if (!json_is_number(ratio) || !(f->model.boundary > 0) || f->model.boundary > 1)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s/model_index.json: boundary_ratio should be a number over 0, up to 1",
                         f->path);
    if (!f->component[FOLDER_TRANSFORMER_2].is_there)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s/model_index.json gives a boundary_ratio, and the second expert's "
                         "folder 'transformer_2' is not there",
                         f->path);
    return ST_OK;
}

static const struct model_config *preset_of(const struct model_folder *f)
{
    for (const struct model_config *const *m = model_presets; *m; m++) {
        bool same = !(*m)->few_steps && (*m)->image_input == f->model.image_input &&
                    ((*m)->boundary > 0) == (f->model.boundary > 0);
        for (int i = 0; i < FOLDER_COMPONENTS && same; i++) {
            const struct checkpoint_config *c = &f->component[i].config;
            same = c->part == PART_OTHER || !checkpoint_fields_apart(c->part, &c->model, *m);
        }
        if (same)
            return *m;
    }
    return NULL;
}

/* What no file says: sizes, steps and guidance are arguments of the published pipelines, and the
 * number of text rows is one too. */
static void set_defaults(struct model_folder *f)
{
    static const struct model_config wan = {
        .guidance = 5, .fps = 16, .steps = 50, .width = 832, .height = 480, .frames = 81};
    struct model_config *m = &f->model;
    struct model_config dit = {.guidance = 4, .fps = 1, .steps = 50, .frames = 1};
    const struct model_config *preset = preset_of(f), *from = preset ? preset : &wan;
    if (!preset && m->dit) {
        dit.width = dit.height = m->dit->sample * m->vae.scale_space;
        from = &dit;
    }
    m->name = preset ? preset->name : f->name;
    m->summary = "a folder of published weights";
    m->guidance = from->guidance;
    m->guidance_low = from->guidance_low;
    m->fps = from->fps;
    m->steps = from->steps;
    m->width = from->width;
    m->height = from->height;
    m->frames = from->frames;
    m->text.rows = preset ? preset->text.rows : m->text.rows;
}

static enum status configure(struct model_folder *f, const json_t *index, struct fault *fault)
{
    TRY(find_components(f, index, fault));
    TRY(read_components(f, fault));
    TRY(fit_together(f, fault));
    TRY(read_pipeline(f, index, fault));
    TRY(read_scheduler(f, fault));
    set_defaults(f);
    return ST_OK;
}

enum status model_folder_configure(struct model_folder *f, struct fault *fault)
{
    json_t *index = NULL;
    if (exists(f, "model_index.json"))
        TRY(read_object(f, "model_index.json", &index, fault));
    enum status status = configure(f, index, fault);
    json_decref(index);
    return status;
}

#endif
