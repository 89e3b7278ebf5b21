// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* inspect_print.c   What was found, as a table with a line per problem, or whole as JSON. */
#include "weights/inspect.h"

#include "base/patchmark.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 12 /* tensors named per component in the table */

static const char *const difference_names[] = {"missing", "extra", "misshapen"};
static const char *const kind_names[] = {"file", "component", "model"};

/* ---- words ----------------------------------------------------------------------------------- */

static void size_text(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    double value = (double)bytes;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(out, 24, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
}

static const char *class_of(const struct inspected *p)
{
    return p->configured && p->config.class_name[0] ? p->config.class_name : "-";
}

/* ---- the table ------------------------------------------------------------------------------- */

static void print_types(const struct tensor_sums *sums, int rows)
{
    for (int i = 1; i < rows; i++)
        printf("%s%s x%" PRId64, i > 1 ? ", " : "  ", sums[i].dtype, sums[i].tensors);
    puts("");
}

static void print_row(int width, const char *name, const char *class_name, int files,
                      const struct tensor_sums *s, bool counted)
{
    char size[24], count[24], bad[24] = "-", inf[24] = "-";
    size_text(s->bytes, size);
    snprintf(count, sizeof count, "%d", files);
    if (counted) {
        snprintf(bad, sizeof bad, "%" PRId64, s->nan);
        snprintf(inf, sizeof inf, "%" PRId64, s->inf);
    }
    printf("%-*s %-22s %5s %8" PRId64 " %15" PRId64 " %12s %6s %6s", width, name, class_name, count,
           s->tensors, s->elems, size, bad, inf);
}

static void print_table(const struct inspection *in)
{
    struct tensor_sums sums[DTYPES_MAX + 1], total = {.dtype = NULL};
    int files = 0, whole = 0;
    bool counted = true;
    int width = 14;
    for (int i = 0; i < in->parts; i++)
        if ((int)strlen(in->part[i].name) > width)
            width = (int)strlen(in->part[i].name);
    printf("%-*s %-22s %5s %8s %15s %12s %6s %6s  %s\n", width, "component", "class", "files",
           "tensors", "values", "size", "NaN", "inf", "types");
    for (int i = 0; i < in->parts; i++) {
        const struct inspected *p = &in->part[i];
        if (!p->weights) {
            printf("%-*s %-22s cannot be read\n", width, p->name, class_of(p));
            continue;
        }
        int rows = inspected_sums(p, sums);
        print_row(width, p->name, class_of(p), checkpoint_files(p->weights), sums,
                  p->values != NULL);
        print_types(sums, rows);
        files += checkpoint_files(p->weights);
        total.tensors += sums[0].tensors, total.elems += sums[0].elems;
        total.bytes += sums[0].bytes, total.nan += sums[0].nan, total.inf += sums[0].inf;
        counted = counted && p->values;
        whole++;
    }
    if (whole > 1) {
        print_row(width, "total", "", files, &total, counted);
        puts("");
    }
}

static void print_model(const struct inspection *in)
{
    if (in->kind != INSPECT_MODEL)
        return;
    printf("tokenizer      %s%s%s\n",
           in->has_tokenizer_json ? "tokenizer.json"
           : in->has_spiece       ? ""
                                  : "absent",
           in->has_tokenizer_json && in->has_spiece ? ", " : "",
           in->has_spiece ? "spiece.model" : "");
    printf("scheduler      %s", in->scheduler[0] ? in->scheduler : "absent");
    if (!isnan(in->flow_shift))
        printf(", flow shift %g", in->flow_shift);
    if (!isnan(in->boundary_ratio))
        printf(", two experts meet at %g", in->boundary_ratio);
    puts(in->expand_timesteps ? ", a time for each token" : "");
}

static void print_metadata(const struct inspected *p)
{
    const struct safetensors_pair *pair;
    char key[80], value[160];
    int64_t count = p->weights ? safetensors_metadata(checkpoint_file(p->weights, 0), &pair) : 0;
    for (int64_t i = 0; i < count; i++)
        printf("metadata       %s: %s\n",
               text_printable(pair[i].key, strlen(pair[i].key), key, sizeof key),
               text_printable(pair[i].value, pair[i].value_bytes, value, sizeof value));
}

static void print_difference(const struct inspected *p, const struct difference *d)
{
    char name[160], wanted[SHAPE_BYTES], found[SHAPE_BYTES];
    const char *raw = d->wanted ? d->wanted->name : d->found->is->name;
    text_printable(raw, strlen(raw), name, sizeof name);
    if (d->wanted)
        checkpoint_shape(d->wanted->rank, d->wanted->dim, wanted);
    if (d->found)
        checkpoint_shape(d->found->is->rank, d->found->is->dim, found);
    if (d->kind == TENSOR_MISSING)
        printf("problem: %s: %s is missing, wanted %s\n", p->name, name, wanted);
    else if (d->kind == TENSOR_EXTRA)
        printf("problem: %s: %s %s is extra, the model does not ask for it\n", p->name, name,
               found);
    else
        printf("problem: %s: %s is %s, wanted %s\n", p->name, name, found, wanted);
}

static void print_differences(const struct inspected *p)
{
    const struct differences *d = &p->differences;
    int64_t shown[3] = {0};
    for (int64_t i = 0; i < d->count; i++)
        if (shown[d->row[i].kind]++ < SHOWN_MAX)
            print_difference(p, &d->row[i]);
    for (int kind = 0; kind < 3; kind++)
        if (shown[kind] > SHOWN_MAX)
            printf("problem: %s: and %" PRId64 " more tensors %s; --format json names all\n",
                   p->name, shown[kind] - SHOWN_MAX, difference_names[kind]);
}

static void print_non_finite(const struct inspected *p)
{
    int64_t shown = 0, all = 0;
    for (int64_t i = 0; p->values && i < checkpoint_count(p->weights); i++) {
        char name[160];
        const char *raw = checkpoint_at(p->weights, i)->is->name;
        if (!p->values[i].nan && !p->values[i].inf)
            continue;
        if (++all <= SHOWN_MAX && ++shown)
            printf("note: %s: %s holds %" PRId64 " NaN and %" PRId64 " infinite values\n", p->name,
                   text_printable(raw, strlen(raw), name, sizeof name), p->values[i].nan,
                   p->values[i].inf);
    }
    if (all > shown)
        printf("note: %s: and %" PRId64 " more tensors hold such\n", p->name, all - shown);
}

static void print_findings(const struct inspection *in)
{
    for (int i = 0; i < in->parts; i++) {
        const struct inspected *p = &in->part[i];
        char why[sizeof p->why.text];
        if (p->status != ST_OK && p->status != ST_INTERRUPTED)
            printf("problem: %s: %s\n", p->name,
                   text_printable(p->why.text, strlen(p->why.text), why, sizeof why));
        print_differences(p);
    }
    for (int i = 0; i < in->problems; i++)
        printf("problem: %s\n", in->problem[i]);
    for (int i = 0; i < in->parts; i++) {
        const struct inspected *p = &in->part[i];
        if (p->differences.unused)
            printf("note: %s: %" PRId64
                   " tensors are known, and nothing that Patchmark runs uses them\n",
                   p->name, p->differences.unused);
        print_non_finite(p);
    }
    for (int i = 0; i < in->notes; i++)
        printf("note: %s\n", in->note[i]);
}

static void print_preset(const struct inspection *in)
{
    bool known = false;
    for (int i = 0; i < in->parts; i++)
        known = known || in->part[i].part != PART_OTHER;
    if (in->presets[0])
        printf("geometry       %s\n", in->presets);
    else if (in->nearest[0] && in->apart[0])
        printf("geometry       of no preset; the nearest is %s (its values in brackets): %s\n",
               in->nearest, in->apart);
    else
        printf("geometry       %s\n", known ? "of no preset" : "of no model known here");
}

static void print_tensors(const struct inspected *p)
{
    for (int64_t i = 0; p->weights && i < checkpoint_count(p->weights); i++) {
        const struct safetensor *t = checkpoint_at(p->weights, i)->is;
        char name[200], shape[SHAPE_BYTES];
        checkpoint_shape(t->rank, t->dim, shape);
        printf("%s: %s  %s %s  %" PRIu64 " bytes", p->name,
               text_printable(t->name, strlen(t->name), name, sizeof name), t->dtype, shape,
               t->end - t->begin);
        if (p->values && (p->values[i].nan || p->values[i].inf))
            printf("  NaN %" PRId64 ", inf %" PRId64, p->values[i].nan, p->values[i].inf);
        puts("");
    }
}

void inspection_print(const struct inspection *in, bool tensors)
{
    char path[400];
    text_printable(in->path, strlen(in->path), path, sizeof path);
    /* The sentence of a lone file or component says all there is. */
    if (in->kind != INSPECT_MODEL && !in->part[0].weights)
        return;
    printf("%s", path);
    if (in->pipeline[0])
        printf("   %s%s%s%s", in->pipeline, in->release[0] ? " (diffusers " : "", in->release,
               in->release[0] ? ")" : "");
    puts("\n");
    print_table(in);
    print_model(in);
    print_preset(in);
    if (in->kind == INSPECT_FILE)
        print_metadata(&in->part[0]);
    print_findings(in);
    for (int i = 0; tensors && i < in->parts; i++)
        print_tensors(&in->part[i]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_shape(struct json *j, const char *key, int rank, const int64_t *dim)
{
    char text[SHAPE_BYTES];
    checkpoint_shape(rank, dim, text);
    json_raw(j, key, text);
}

static void json_values(struct json *j, const struct inspected *p, int64_t nan, int64_t inf)
{
    if (p->values) {
        json_int(j, "nan", nan);
        json_int(j, "inf", inf);
    } else {
        json_none(j, "nan");
        json_none(j, "inf");
    }
}

static void json_sums(struct json *j, const struct inspected *p)
{
    struct tensor_sums sums[DTYPES_MAX + 1];
    int rows = inspected_sums(p, sums);
    json_int(j, "tensors", sums[0].tensors);
    json_int(j, "values", sums[0].elems);
    json_int(j, "bytes", (int64_t)sums[0].bytes);
    json_values(j, p, sums[0].nan, sums[0].inf);
    json_open_array(j, "dtypes");
    for (int i = 1; i < rows; i++) {
        json_open_object(j, NULL);
        json_text(j, "dtype", sums[i].dtype);
        json_int(j, "tensors", sums[i].tensors);
        json_int(j, "values", sums[i].elems);
        json_int(j, "bytes", (int64_t)sums[i].bytes);
        json_values(j, p, sums[i].nan, sums[i].inf);
        json_end(j);
    }
    json_end(j);
}

static void json_files(struct json *j, const struct inspected *p)
{
    json_open_array(j, "files");
    for (int f = 0; f < checkpoint_files(p->weights); f++) {
        const struct safetensors_pair *pair;
        int64_t pairs = safetensors_metadata(checkpoint_file(p->weights, f), &pair);
        json_open_object(j, NULL);
        json_text(j, "path", checkpoint_file_path(p->weights, f));
        json_int(j, "tensors", safetensors_count(checkpoint_file(p->weights, f)));
        json_open_object(j, "metadata");
        for (int64_t i = 0; i < pairs; i++)
            json_bytes(j, pair[i].key, pair[i].value, pair[i].value_bytes);
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

static void json_geometry(struct json *j, const struct inspected *p)
{
    if (!p->configured || p->part == PART_OTHER) {
        json_none(j, "geometry");
        return;
    }
    json_open_object(j, "geometry");
    for (int i = 0; i < checkpoint_field_count; i++)
        if (checkpoint_has_field(p->part, &p->config.model, &checkpoint_fields[i]))
            json_int(j, checkpoint_fields[i].name,
                     checkpoint_field_of(&p->config.model, &checkpoint_fields[i]));
    const struct transformer_config *t = &p->config.model.transformer;
    const struct vae_config *v = &p->config.model.vae;
    if (p->part == PART_TRANSFORMER && p->config.model.family == FAMILY_WAN)
        json_shape(j, "patch_size", 3, (const int64_t[]){t->pt, t->ph, t->pw});
    if (p->part == PART_VAE) {
        json_shape(j, "dim_mult", VAE_LEVELS, v->mult);
        json_shape(j, "time_upsample", VAE_LEVELS - 1, v->time_up);
    }
    json_end(j);
}

static void json_differences(struct json *j, const struct inspected *p)
{
    json_bool(j, "compared", p->compared);
    json_int(j, "unused", p->differences.unused);
    json_open_array(j, "differences");
    for (int64_t i = 0; i < p->differences.count; i++) {
        const struct difference *d = &p->differences.row[i];
        json_open_object(j, NULL);
        json_text(j, "kind", difference_names[d->kind]);
        json_text(j, "tensor", d->wanted ? d->wanted->name : d->found->is->name);
        if (d->wanted)
            json_shape(j, "wanted", d->wanted->rank, d->wanted->dim);
        if (d->found)
            json_shape(j, "found", d->found->is->rank, d->found->is->dim);
        json_end(j);
    }
    json_end(j);
}

static void json_tensors(struct json *j, const struct inspected *p)
{
    json_open_array(j, "list");
    for (int64_t i = 0; i < checkpoint_count(p->weights); i++) {
        const struct checkpoint_tensor *t = checkpoint_at(p->weights, i);
        json_open_object(j, NULL);
        json_text(j, "name", t->is->name);
        json_text(j, "dtype", t->is->dtype);
        json_shape(j, "shape", t->is->rank, t->is->dim);
        json_int(j, "bytes", (int64_t)(t->is->end - t->is->begin));
        json_int(j, "file", t->file);
        json_values(j, p, p->values ? p->values[i].nan : 0, p->values ? p->values[i].inf : 0);
        json_end(j);
    }
    json_end(j);
}

static void json_part(struct json *j, const struct inspected *p)
{
    json_open_object(j, NULL);
    json_text(j, "name", p->name);
    json_text(j, "class", p->config.class_name[0] ? p->config.class_name : NULL);
    json_text(j, "status", p->status == ST_OK ? "read" : status_name(p->status));
    json_text(j, "why", p->why.text[0] ? p->why.text : NULL);
    json_text(j, "unsupported", p->config.unsupported[0] ? p->config.unsupported : NULL);
    if (p->weights) {
        json_sums(j, p);
        json_geometry(j, p);
        json_files(j, p);
        json_differences(j, p);
        json_tensors(j, p);
    }
    json_end(j);
}

static void json_lines(struct json *j, const char *key, const char lines[][512], int count)
{
    json_open_array(j, key);
    for (int i = 0; i < count; i++)
        json_text(j, NULL, lines[i]);
    json_end(j);
}

/* "a, b" -> ["a", "b"] */
static void json_presets(struct json *j, const char *names)
{
    json_open_array(j, "presets");
    while (*names) {
        size_t n = strcspn(names, ",");
        json_bytes(j, NULL, names, n);
        names += n + strspn(names + n, ", ");
    }
    json_end(j);
}

void inspection_json(const struct inspection *in, struct json *j)
{
    json_open_object(j, NULL);
    json_text(j, "path", in->path);
    json_text(j, "kind", kind_names[in->kind]);
    json_text(j, "status",
              in->status == ST_OK      ? "sound"
              : in->status == ST_WRONG ? "problems"
                                       : status_name(in->status));
    json_presets(j, in->presets);
    json_text(j, "nearest", in->nearest[0] ? in->nearest : NULL);
    json_text(j, "apart", in->apart[0] ? in->apart : NULL);
    if (in->kind == INSPECT_MODEL) {
        json_text(j, "pipeline", in->pipeline[0] ? in->pipeline : NULL);
        json_text(j, "diffusers", in->release[0] ? in->release : NULL);
        json_text(j, "scheduler", in->scheduler[0] ? in->scheduler : NULL);
        json_number(j, "flow_shift", in->flow_shift);
        json_number(j, "boundary_ratio", in->boundary_ratio);
        json_bool(j, "expand_timesteps", in->expand_timesteps);
        json_bool(j, "spiece_model", in->has_spiece);
        json_bool(j, "tokenizer_json", in->has_tokenizer_json);
    }
    json_lines(j, "problems", in->problem, in->problems);
    json_lines(j, "notes", in->note, in->notes);
    json_open_array(j, "components");
    for (int i = 0; i < in->parts; i++)
        json_part(j, &in->part[i]);
    json_end(j);
    json_end(j);
}
