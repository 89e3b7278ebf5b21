// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model_folder_config.c   The JSON files of a model's folder -> one model_config. */
#include "model_folder_state.h"

#include "checkpoint_index.h"
#include "text.h"

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
    const struct checkpoint_config *a = &f->component[FOLDER_TRANSFORMER].config;
    const struct checkpoint_config *b = &f->component[FOLDER_TRANSFORMER_2].config;
    const char *apart = checkpoint_lists_differ(PART_TRANSFORMER, &a->model, &b->model);
    if (a->model.family != b->model.family)
        apart = "_class_name";
    for (int i = 0; i < checkpoint_field_count && !apart; i++) {
        const struct checkpoint_field *field = &checkpoint_fields[i];
        if (field->part == PART_TRANSFORMER &&
            checkpoint_field_of(&a->model, field) != checkpoint_field_of(&b->model, field))
            apart = field->name;
    }
    return apart ? fault_set(fault, ST_BAD_INPUT,
                             "%s: transformer and transformer_2 differ in %s; two experts of one "
                             "model have one geometry",
                             f->path, apart)
                 : ST_OK;
}

static enum status read_components(struct model_folder *f, struct fault *fault)
{
    static const enum checkpoint_part part[FOLDER_COMPONENTS] = {
        [FOLDER_TRANSFORMER] = PART_TRANSFORMER,
        [FOLDER_TRANSFORMER_2] = PART_TRANSFORMER,
        [FOLDER_VAE] = PART_VAE,
        [FOLDER_TEXT] = PART_TEXT,
    };
    for (int i = 0; i < FOLDER_COMPONENTS; i++)
        if (f->component[i].is_there && part[i] != PART_OTHER)
            TRY(read_component(f, i, part[i], fault));
    const struct component *c = f->component;
    f->model.family = c[FOLDER_TRANSFORMER].config.model.family;
    f->model.transformer = c[FOLDER_TRANSFORMER].config.model.transformer;
    f->model.vae = c[FOLDER_VAE].config.model.vae;
    f->model.text = c[FOLDER_TEXT].config.model.text;
    return c[FOLDER_TRANSFORMER_2].is_there ? check_experts(f, fault) : ST_OK;
}

/* Widths that one component hands to the next, and rows without an encoder. */
static enum status fit_together(struct model_folder *f, struct fault *fault)
{
    struct model_config *m = &f->model;
    if (!f->component[FOLDER_VAE].is_there)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s holds no folder 'vae', without which latents are no clip", f->path);
    if (!f->component[FOLDER_TEXT].is_there)
        m->text = (struct text_config){.C = m->transformer.text_dim, .rows = 512};
    if (m->text.C != m->transformer.text_dim)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the text encoder gives rows of %lld, the transformer takes %lld",
                         f->path, (long long)m->text.C, (long long)m->transformer.text_dim);
    if (m->vae.z_dim != m->transformer.out_channels)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the transformer gives latents of %lld channels, the vae takes %lld",
                         f->path, (long long)m->transformer.out_channels, (long long)m->vae.z_dim);
    return ST_OK;
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
};

static const struct scheduler_class {
    const char *class_name;
    enum scheduler scheduler;
    const char *shift; /* the field; NULL: it has none */
} scheduler_classes[] = {
    {"UniPCMultistepScheduler", SCHEDULER_UNIPC, "flow_shift"},
    {"FlowMatchEulerDiscreteScheduler", SCHEDULER_EULER, "shift"},
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
    f->model.shift = value ? json_number_value(value) : 1.0;
    if (value && (!json_is_number(value) || !(f->model.shift > 0)))
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

static bool same_part(const struct checkpoint_config *c, const struct model_config *preset)
{
    if (c->part == PART_TRANSFORMER && c->model.family != preset->family)
        return false;
    for (int i = 0; i < checkpoint_field_count; i++)
        if (checkpoint_fields[i].part == c->part &&
            checkpoint_field_of(&c->model, &checkpoint_fields[i]) !=
                checkpoint_field_of(preset, &checkpoint_fields[i]))
            return false;
    return !checkpoint_lists_differ(c->part, &c->model, preset);
}

static const struct model_config *preset_of(const struct model_folder *f)
{
    for (const struct model_config *const *m = model_presets; *m; m++) {
        bool same = ((*m)->boundary > 0) == (f->model.boundary > 0) &&
                    (*m)->image_input == f->model.image_input;
        for (int i = 0; i < FOLDER_COMPONENTS && same; i++)
            same = !f->component[i].is_there || f->component[i].config.part == PART_OTHER ||
                   same_part(&f->component[i].config, *m);
        if (same)
            return *m;
    }
    return NULL;
}

/* What no file says: sizes, steps and guidance are arguments of the published pipelines, and the
 * number of text rows is one too. */
static void set_defaults(struct model_folder *f)
{
    struct model_config *m = &f->model;
    const struct model_config *preset = preset_of(f);
    m->name = preset ? preset->name : f->name;
    m->summary = "a folder of published weights";
    m->guidance = preset ? preset->guidance : 5.0;
    m->guidance_low = preset ? preset->guidance_low : 0;
    m->fps = preset ? preset->fps : 16.0;
    m->steps = preset ? preset->steps : 50;
    m->width = preset ? preset->width : 832;
    m->height = preset ? preset->height : 480;
    m->frames = preset ? preset->frames : 81;
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
