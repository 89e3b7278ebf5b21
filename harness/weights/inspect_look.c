// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* inspect_look.c   Looks at a weights file, a component's folder, or a model in the folder layout
 * of diffusers. What is wrong with one component does not keep us from the next. */
#include "weights/inspect.h"

#include "base/patchmark.h"
#include "base/text.h"
#include "weights/checkpoint_index.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Folders with weights, and the only one without which there is no model. */
static const char *const components[INSPECT_PARTS_MAX] = {"transformer", "transformer_2", "vae",
                                                          "text_encoder", "image_encoder"};

__attribute__((format(printf, 3, 4))) static void add_line(char lines[][512], int *count,
                                                           const char *format, ...)
{
    va_list args;
    if (*count == INSPECT_LINES_MAX)
        return;
    va_start(args, format);
    vsnprintf(lines[(*count)++], 512, format, args);
    va_end(args);
}

#define PROBLEM(in, ...) add_line((in)->problem, &(in)->problems, __VA_ARGS__)
#define NOTE(in, ...) add_line((in)->note, &(in)->notes, __VA_ARGS__)

static bool exists(const char *folder, const char *name)
{
    char path[PATH_MAX + 64];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

/* ---- one component --------------------------------------------------------------------------- */

static const char *shown_part; /* for the progress line, which takes no user pointer */
static uint64_t shown_total;

static void show_progress(uint64_t bytes)
{
    progress_line("reading %s: %.2f of %.2f GiB", shown_part, (double)bytes * 0x1p-30,
                  (double)shown_total * 0x1p-30);
}

static enum status count_values(struct inspected *p)
{
    int64_t count = checkpoint_count(p->weights);
    struct tensor_sums sums[DTYPES_MAX + 1];
    struct checkpoint_values *values = calloc((size_t)count + 1, sizeof *values);
    if (!values)
        return fault_set(&p->why, ST_NO_MEMORY, "out of memory for %s", p->path);
    inspected_sums(p, sums);
    shown_part = p->name;
    shown_total = sums[0].bytes;
    enum status status = checkpoint_count_values(p->weights, values, show_progress, &p->why);
    progress_line(NULL);
    if (status == ST_OK)
        p->values = values;
    else
        free(values);
    return status;
}

/* True where the tensors are exactly what this preset's part asks for. */
static bool tensors_are(const struct inspected *p, enum checkpoint_part part,
                        const struct model_config *preset)
{
    struct wanted wanted;
    struct differences d = {.count = 1};
    if (wanted_of(part, preset, &wanted, NULL) != ST_OK)
        return false;
    enum status status = ST_REFUSED; /* a preset without this part */
    if (wanted.count)
        status = checkpoint_compare(p->weights, part, &wanted, &d, NULL);
    free(d.row);
    wanted_free(&wanted);
    return status == ST_OK && d.count == 0;
}

/* Types that are read here and computed with nowhere. */
static void check_types(struct inspection *in, const struct inspected *p)
{
    struct tensor_sums sums[DTYPES_MAX + 1];
    int rows = inspected_sums(p, sums);
    for (int i = 1; i < rows; i++)
        for (int64_t k = 0; k < checkpoint_count(p->weights); k++) {
            const struct safetensor *t = checkpoint_at(p->weights, k)->is;
            if (t->dtype != sums[i].dtype || checkpoint_can_read(t))
                continue;
            PROBLEM(in, "%s: %" PRId64 " tensors have dtype %s; F32, BF16 and F16 can be loaded",
                    p->name, sums[i].tensors, t->dtype);
            break;
        }
}

static void find_presets(struct inspected *p)
{
    for (int i = 0; model_presets[i] && i < INSPECT_PRESETS_MAX; i++) {
        if (model_presets[i]->few_steps)
            continue; /* the same networks again */
        if (p->configured && p->part != PART_OTHER)
            p->is_preset[i] = !p->config.unsupported[0] &&
                              !checkpoint_fields_apart(p->part, &p->config.model, model_presets[i]);
        else if (!p->configured)
            for (int part = PART_TRANSFORMER; part < PART_COUNT; part++)
                if (tensors_are(p, (enum checkpoint_part)part, model_presets[i])) {
                    p->part = (enum checkpoint_part)part;
                    p->is_preset[i] = true;
                }
    }
}

static enum status compare(struct inspection *in, struct inspected *p)
{
    if (!p->configured || p->part == PART_OTHER || p->config.unsupported[0])
        return ST_OK;
    TRY(wanted_of(p->part, &p->config.model, &p->wanted, &p->why));
    TRY(checkpoint_compare(p->weights, p->part, &p->wanted, &p->differences, &p->why));
    p->compared = true;
    check_types(in, p);
    return ST_OK;
}

static enum status read_config(struct inspection *in, struct inspected *p)
{
    char path[PATH_MAX + 16];
    struct fault why = {{0}};
    if (in->kind == INSPECT_FILE || !exists(p->path, "config.json"))
        return ST_OK;
    snprintf(path, sizeof path, "%s/config.json", p->path);
    enum status status = checkpoint_config_read(path, &p->config, &why);
    p->configured = status == ST_OK;
    p->part = p->config.part;
    if (status == ST_NOT_BUILT)
        NOTE(in, "%s: config.json is not read: this build lacks jansson", p->name);
    else if (status != ST_OK)
        return fault_set(&p->why, status, "%s", why.text);
    if (p->config.unsupported[0])
        NOTE(in, "%s: not compared with the model code, which does not know %s", p->name,
             p->config.unsupported);
    return ST_OK;
}

static enum status look_inside(struct inspection *in, struct inspected *p, bool values)
{
    TRY(checkpoint_open(p->path, &p->weights, &p->why));
    TRY(read_config(in, p));
    find_presets(p);
    TRY(compare(in, p));
    return values ? count_values(p) : ST_OK;
}

static void look_at_part(struct inspection *in, const char *path, const char *name, bool values)
{
    struct inspected *p = &in->part[in->parts++];
    snprintf(p->path, sizeof p->path, "%s", path);
    text_printable(name, strlen(name), p->name, sizeof p->name);
    p->status = look_inside(in, p, values);
    if (p->status != ST_OK && in->status == ST_OK)
        in->status = p->status;
}

/* ---- the model ------------------------------------------------------------------------------- */

#ifdef HAVE_JANSSON

/* model_index.json names a class for each component: ["diffusers", "AutoencoderKLWan"], or nulls
 * where the model has none. */
static bool is_listed(const json_t *index, const char *name)
{
    return json_is_string(json_array_get(json_object_get(index, name), 1));
}

static void copy_text(const json_t *root, const char *key, char *out, size_t bytes)
{
    const char *text = json_string_value(json_object_get(root, key));
    if (text)
        text_printable(text, strlen(text), out, bytes);
}

static double real_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static enum status read_index(struct inspection *in, struct fault *fault)
{
    char path[PATH_MAX];
    json_t *index;
    snprintf(path, sizeof path, "%s/model_index.json", in->path);
    TRY(json_object_read(path, &index, fault));
    in->indexed = true;
    copy_text(index, "_class_name", in->pipeline, sizeof in->pipeline);
    copy_text(index, "_diffusers_version", in->release, sizeof in->release);
    in->boundary_ratio = real_of(index, "boundary_ratio");
    in->expand_timesteps = json_is_true(json_object_get(index, "expand_timesteps"));
    static const char *const others[] = {"tokenizer", "scheduler"};
    for (int i = 0; i < INSPECT_PARTS_MAX + 2; i++) {
        const char *name = i < INSPECT_PARTS_MAX ? components[i] : others[i - INSPECT_PARTS_MAX];
        if (is_listed(index, name) && !exists(in->path, name))
            PROBLEM(in, "%s is named by model_index.json, and there is no such folder", name);
    }
    json_decref(index);
    return ST_OK;
}

static enum status read_scheduler(struct inspection *in, struct fault *fault)
{
    char path[PATH_MAX];
    json_t *root;
    snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", in->path);
    TRY(json_object_read(path, &root, fault));
    copy_text(root, "_class_name", in->scheduler, sizeof in->scheduler);
    in->flow_shift = real_of(root, "flow_shift");
    if (isnan(in->flow_shift))
        in->flow_shift = real_of(root, "shift");
    json_decref(root);
    return ST_OK;
}

#else

static enum status read_index(struct inspection *in, struct fault *fault)
{
    (void)fault;
    NOTE(in, "model_index.json is not read: this build lacks jansson");
    return ST_OK;
}

static enum status read_scheduler(struct inspection *in, struct fault *fault)
{
    (void)fault;
    NOTE(in, "scheduler_config.json is not read: this build lacks jansson");
    return ST_OK;
}

#endif

static void note_malformed(struct inspection *in, enum status status, const struct fault *why)
{
    if (status == ST_OK)
        return;
    PROBLEM(in, "%s", why->text);
    if (in->status == ST_OK)
        in->status = status;
}

static void look_at_tokenizer(struct inspection *in)
{
    in->has_tokenizer = exists(in->path, "tokenizer");
    in->has_spiece = exists(in->path, "tokenizer/spiece.model");
    in->has_tokenizer_json = exists(in->path, "tokenizer/tokenizer.json");
    if (in->has_tokenizer && !in->has_spiece && !in->has_tokenizer_json)
        PROBLEM(in, "tokenizer holds neither spiece.model nor tokenizer.json");
}

static void look_at_model(struct inspection *in, bool values)
{
    char path[PATH_MAX];
    struct fault why = {{0}};
    if (exists(in->path, "model_index.json"))
        note_malformed(in, read_index(in, &why), &why);
    else
        PROBLEM(in, "model_index.json is missing");
    for (int i = 0; i < INSPECT_PARTS_MAX && in->status != ST_INTERRUPTED; i++) {
        snprintf(path, sizeof path, "%s/%s", in->path, components[i]);
        if (exists(in->path, components[i]))
            look_at_part(in, path, components[i], values);
        else if (!strcmp(components[i], "transformer") && !in->indexed)
            PROBLEM(in, "transformer is missing");
    }
    look_at_tokenizer(in);
    why = (struct fault){{0}};
    if (exists(in->path, "scheduler/scheduler_config.json"))
        note_malformed(in, read_scheduler(in, &why), &why);
    else if (exists(in->path, "scheduler"))
        PROBLEM(in, "scheduler holds no scheduler_config.json");
}

/* ---- which preset ---------------------------------------------------------------------------- */

/* True where every component that is part of a preset's geometry has this one's. */
static bool all_are(const struct inspection *in, int preset, int *known)
{
    *known = 0;
    if (in->kind == INSPECT_MODEL && in->indexed &&
        (model_presets[preset]->boundary > 0) != !isnan(in->boundary_ratio))
        return false;
    for (int i = 0; i < in->parts; i++) {
        if (in->part[i].part == PART_OTHER)
            continue;
        ++*known;
        if (!in->part[i].is_preset[preset])
            return false;
    }
    return *known > 0;
}

static void describe_apart(struct inspection *in, const struct model_config *preset)
{
    char *out = in->apart;
    for (int i = 0; i < in->parts; i++) {
        const struct inspected *p = &in->part[i];
        const char *list = p->configured && p->part != PART_OTHER
                               ? checkpoint_lists_differ(p->part, &p->config.model, preset)
                               : NULL;
        for (int k = 0; p->configured && k < checkpoint_field_count; k++) {
            const struct checkpoint_field *f = &checkpoint_fields[k];
            int64_t here = checkpoint_field_of(&p->config.model, f);
            int64_t there = checkpoint_field_of(preset, f);
            size_t used = strlen(out);
            if (checkpoint_has_field(p->part, &p->config.model, f) && here != there)
                snprintf(out + used, sizeof in->apart - used, "%s%s.%s %" PRId64 " (%" PRId64 ")",
                         used ? ", " : "", p->name, f->name, here, there);
        }
        size_t used = strlen(out);
        if (list)
            snprintf(out + used, sizeof in->apart - used, "%s%s.%s", used ? ", " : "", p->name,
                     list);
    }
}

static void find_nearest(struct inspection *in)
{
    int best = -1, least = INT_MAX;
    for (int i = 0; model_presets[i]; i++) {
        int apart = 0, known = 0;
        for (int k = 0; k < in->parts; k++)
            if (in->part[k].configured && in->part[k].part != PART_OTHER) {
                apart += checkpoint_fields_apart(in->part[k].part, &in->part[k].config.model,
                                                 model_presets[i]);
                known++;
            }
        if (known && apart < least) {
            least = apart;
            best = i;
        }
    }
    if (best < 0)
        return;
    snprintf(in->nearest, sizeof in->nearest, "%s", model_presets[best]->name);
    describe_apart(in, model_presets[best]);
}

static void name_presets(struct inspection *in)
{
    int known;
    for (int i = 0; model_presets[i] && i < INSPECT_PRESETS_MAX; i++) {
        size_t used = strlen(in->presets);
        if (all_are(in, i, &known))
            snprintf(in->presets + used, sizeof in->presets - used, "%s%s", used ? ", " : "",
                     model_presets[i]->name);
    }
    if (!in->presets[0])
        find_nearest(in);
}

/* ---- the interface --------------------------------------------------------------------------- */

static bool holds_components(const char *path)
{
    for (int i = 0; i < INSPECT_PARTS_MAX; i++)
        if (exists(path, components[i]))
            return true;
    return exists(path, "model_index.json");
}

enum status inspection_look(const char *path, bool values, struct inspection *out,
                            struct fault *fault)
{
    struct stat info;
    *out = (struct inspection){.path = path, .flow_shift = NAN, .boundary_ratio = NAN};
    if (strlen(path) > PATH_MAX - 300 || stat(path, &info) != 0)
        return fault_set(fault, ST_BAD_INPUT, "cannot open %s: %s", path,
                         strlen(path) > PATH_MAX - 300 ? "the name is too long" : strerror(errno));
    const char *slash = strrchr(path, '/');
    const char *name = slash && slash[1] ? slash + 1 : path;
    out->kind = !S_ISDIR(info.st_mode)   ? INSPECT_FILE
                : holds_components(path) ? INSPECT_MODEL
                                         : INSPECT_COMPONENT;
    if (out->kind == INSPECT_MODEL)
        look_at_model(out, values);
    else
        look_at_part(out, path, name, values);
    name_presets(out);
    for (int i = 0; i < out->parts && out->status == ST_OK; i++)
        if (out->part[i].differences.count)
            out->status = ST_WRONG;
    if (out->problems && out->status == ST_OK)
        out->status = ST_WRONG;
    return ST_OK;
}

void inspection_free(struct inspection *in)
{
    for (int i = 0; i < in->parts; i++) {
        struct inspected *p = &in->part[i];
        checkpoint_free(p->weights);
        wanted_free(&p->wanted);
        free(p->values);
        free(p->differences.row);
    }
}

int inspected_sums(const struct inspected *p, struct tensor_sums sums[DTYPES_MAX + 1])
{
    int rows = 1;
    sums[0] = (struct tensor_sums){.dtype = NULL};
    for (int64_t i = 0; p->weights && i < checkpoint_count(p->weights); i++) {
        const struct safetensor *t = checkpoint_at(p->weights, i)->is;
        int row = 1;
        while (row < rows && sums[row].dtype != t->dtype)
            row++;
        if (row == rows)
            sums[rows++] = (struct tensor_sums){.dtype = t->dtype};
        for (int k = 0; k <= row; k += row) {
            sums[k].tensors++;
            sums[k].elems += safetensor_elems(t);
            sums[k].bytes += t->end - t->begin;
            sums[k].nan += p->values ? p->values[i].nan : 0;
            sums[k].inf += p->values ? p->values[i].inf : 0;
        }
    }
    return rows;
}
