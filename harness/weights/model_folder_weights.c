// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model_folder_weights.c   A folder as a source of weights: all of a stage's tensors are looked for
 * before one is read, and values go from the file into the staging buffer in pieces, one thread
 * each. */
#include "weights/model_folder_state.h"

#include "base/patchmark.h"
#include "elem.h"
#include "records/record.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const enum folder_component component_of[STAGE_COUNT] = {
    [STAGE_TEXT] = FOLDER_TEXT,
    [STAGE_IMAGE] = FOLDER_IMAGE,
    [STAGE_ENCODE] = FOLDER_VAE,
    [STAGE_DENOISE] = FOLDER_TRANSFORMER,
    [STAGE_DENOISE_LOW] = FOLDER_TRANSFORMER_2,
    [STAGE_DECODE] = FOLDER_VAE,
};

/* ---- checking -------------------------------------------------------------------------------- */

static enum status open_component(struct model_folder *f, enum folder_component which,
                                  struct fault *fault)
{
    struct component *c = &f->component[which];
    char path[PATH_MAX];
    if (c->weights)
        return ST_OK;
    if (!c->is_there)
        return fault_set(fault, ST_BAD_INPUT, "%s holds no folder '%s', which this clip needs",
                         f->path, folder_names[which]);
    snprintf(path, sizeof path, "%s/%s", f->path, folder_names[which]);
    TRY(checkpoint_open(path, &c->weights, fault));
    c->counted = calloc((size_t)checkpoint_count(c->weights) + 1, sizeof *c->counted);
    return c->counted ? ST_OK : fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
}

/* The first tensor that no stage of the model reads. */
static enum status check_extra(const struct model_folder *f, const struct component *c,
                               struct fault *fault)
{
    struct wanted wanted;
    struct differences d = {0};
    char shape[SHAPE_BYTES];
    TRY(wanted_of(c->config.part, &f->model, &wanted, fault));
    enum status s = checkpoint_compare(c->weights, c->config.part, &wanted, &d, fault);
    for (int64_t i = 0; s == ST_OK && i < d.count; i++) {
        if (d.row[i].kind != TENSOR_EXTRA)
            continue;
        const struct safetensor *t = d.row[i].found->is;
        checkpoint_shape(t->rank, t->dim, shape);
        s = fault_set(fault, ST_BAD_INPUT,
                      "%s: tensor %.96s %s is none of this model's; wanted is nothing of that name",
                      checkpoint_path(c->weights), t->name, shape);
    }
    free(d.row);
    wanted_free(&wanted);
    return s;
}

static enum status check(void *user, enum stage stage, const struct weight_spec *spec,
                         int64_t count, struct fault *fault)
{
    struct model_folder *f = user;
    const struct checkpoint_tensor *unused;
    struct component *c = &f->component[component_of[stage]];
    TRY(open_component(f, component_of[stage], fault));
    for (int64_t i = 0; i < count; i++)
        TRY(checkpoint_weight(c->weights, &spec[i], &unused, fault));
    return check_extra(f, c, fault);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* One weight on its way: a run of its elements. */
struct transfer {
    struct safetensors *file;
    const struct safetensor *tensor;
    int64_t first;
    enum elem elem;
    char *to;
};

/* Converted a little at a time, so that it stays in the cache; by way of f32, which holds every
 * value of the types at hand but F64's. */
static enum status read_piece(const struct transfer *t, int64_t begin, int64_t count,
                              struct fault *fault)
{
    enum { FEW = 4096 };
    const size_t size = elem_bytes(t->tensor->elem), to_size = elem_bytes(t->elem);
    _Alignas(TENSOR_ALIGN) char raw[FEW * sizeof(double)];
    _Alignas(TENSOR_ALIGN) float single[FEW];
    char *to = t->to + (size_t)begin * to_size;
    const uint64_t at = (uint64_t)(t->first + begin) * size;
    if (t->tensor->elem == t->elem)
        return safetensors_read_bytes(t->file, t->tensor, at, (size_t)count * size, to, fault);
    for (int64_t done = 0, n; done < count; done += n) {
        n = count - done < FEW ? count - done : FEW;
        TRY(safetensors_read_bytes(t->file, t->tensor, at + (uint64_t)done * size, (size_t)n * size,
                                   raw, fault));
        elem_convert(single, ELEM_F32, raw, t->tensor->elem, n);
        elem_convert(to + (size_t)done * to_size, t->elem, single, ELEM_F32, n);
    }
    return ST_OK;
}

static enum status read_run(const struct transfer *t, int64_t count, int threads,
                            struct checkpoint_values *values, struct fault *fault)
{
    enum { PIECE = 1 << 18 };
    const int64_t pieces = (count + PIECE - 1) / PIECE;
    int64_t nan = 0, inf = 0;
    enum status failed = ST_OK;
#pragma omp parallel for schedule(dynamic) reduction(+ : nan, inf) num_threads(threads)
    for (int64_t i = 0; i < pieces; i++) {
        struct fault why = {{0}};
        struct checkpoint_values v = {0};
        const int64_t begin = i * PIECE, n = count - begin < PIECE ? count - begin : PIECE;
        enum status s = interrupted_by ? fault_set(&why, ST_INTERRUPTED, "interrupted")
                                       : read_piece(t, begin, n, &why);
        if (s == ST_OK)
            checkpoint_values_add(t->elem, t->to + (size_t)begin * elem_bytes(t->elem), n, &v);
        else
#pragma omp critical(model_folder)
            failed = fault_set(fault, s, "%s", why.text);
        nan += v.nan;
        inf += v.inf;
    }
    *values = (struct checkpoint_values){nan, inf};
    return failed;
}

/* A weight may be read once for each of its forms, and again for the next clip: it counts once. */
static void count_values(struct model_folder *f, struct component *c,
                         const struct checkpoint_tensor *t, bool is_last,
                         const struct checkpoint_values *v)
{
    bool *counted = &c->counted[t - checkpoint_at(c->weights, 0)];
    if (*counted)
        return;
    *counted = is_last;
    f->values.nan += v->nan;
    f->values.inf += v->inf;
    if (!f->where[0] && v->nan + v->inf > 0)
        snprintf(f->where, sizeof f->where, "%s: %.160s", folder_names[c - f->component],
                 t->is->name);
}

static enum status read_weight(void *user, enum stage stage, const struct weight_spec *spec,
                               int64_t first, int64_t count, enum elem elem, void *to, int threads,
                               struct fault *fault)
{
    struct model_folder *f = user;
    struct component *c = &f->component[component_of[stage]];
    const struct checkpoint_tensor *tensor;
    struct transfer t = {.first = first, .elem = elem, .to = to};
    struct checkpoint_values values;
    TRY(checkpoint_weight(c->weights, spec, &tensor, fault));
    TRY(checkpoint_wake(c->weights, tensor->file, &t.file, fault));
    t.tensor = tensor->is;
    TRY(read_run(&t, count, threads, &values, fault));
    count_values(f, c, tensor, first + count == safetensor_elems(tensor->is), &values);
    return ST_OK;
}

const struct weights_source model_folder_source = {.check = check, .read = read_weight};

struct checkpoint_values model_folder_values(const struct model_folder *f, const char **where)
{
    *where = f->where;
    return f->values;
}

/* ---- identity -------------------------------------------------------------------------------- */

static enum status sample_tensor(struct checkpoint *c, const struct checkpoint_tensor *t, FILE *out,
                                 struct fault *fault)
{
    char sample[MODEL_FOLDER_SAMPLE_BYTES], shape[SHAPE_BYTES];
    const uint64_t bytes = t->is->end - t->is->begin;
    const size_t n = bytes < sizeof sample ? (size_t)bytes : sizeof sample;
    struct safetensors *file;
    TRY(checkpoint_wake(c, t->file, &file, fault));
    TRY(safetensors_read_bytes(file, t->is, (bytes - n) / 2, n, sample, fault));
    checkpoint_shape(t->is->rank, t->is->dim, shape);
    fprintf(out, "%s %s %s\n", t->is->name, t->is->dtype, shape);
    fwrite(sample, 1, n, out);
    return ST_OK;
}

static enum status sample_all(struct model_folder *f, FILE *out, struct fault *fault)
{
    for (int i = 0; i < FOLDER_COMPONENTS; i++) {
        struct checkpoint *c = f->component[i].weights;
        if (c)
            fprintf(out, "%s\n", folder_names[i]);
        for (int64_t k = 0; c && k < checkpoint_count(c); k++)
            TRY(sample_tensor(c, checkpoint_at(c, k), out, fault));
    }
    return ST_OK;
}

enum status model_folder_sha256(struct model_folder *f, char out[65], struct fault *fault)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    out[0] = 0;
    if (!memory)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", f->path);
    enum status s = sample_all(f, memory, fault);
    if (fclose(memory) && s == ST_OK)
        s = fault_set(fault, ST_NO_MEMORY, "out of memory for %s", f->path);
    if (s == ST_OK)
        sha256_hex(text, bytes, out);
    free(text);
    return s;
}
