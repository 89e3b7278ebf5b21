// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "base/out_file.h"
#include "weights/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct safetensors_stream {
    struct out_file out;
    char *name;
    int64_t total, added;
};

static enum status no_memory(const char *path, struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
}

static enum status count_elements(const char *path, const struct safetensor_out *t, int64_t *out,
                                  struct fault *fault)
{
    int64_t n = 1, bytes;
    bool fits = t->rank >= 0 && t->rank <= SAFETENSORS_RANK_MAX;
    for (int i = 0; fits && i < t->rank; i++)
        fits = t->dim[i] >= 0 && !__builtin_mul_overflow(n, t->dim[i], &n);
    if (!fits || __builtin_mul_overflow(n, (int64_t)sizeof(float), &bytes))
        return fault_set(fault, ST_BAD_INPUT,
                         "cannot write %s: the shape of tensor \"%.96s\" is no "
                         "shape",
                         path, t->name);
    *out = n;
    return ST_OK;
}

static void describe_tensor(struct json *j, const struct safetensor_out *t, int64_t begin,
                            int64_t end)
{
    json_open_object(j, t->name);
    json_text(j, "dtype", "F32");
    json_open_array(j, "shape");
    for (int i = 0; i < t->rank; i++)
        json_int(j, NULL, t->dim[i]);
    json_end(j);
    json_open_array(j, "data_offsets");
    json_int(j, NULL, begin);
    json_int(j, NULL, end);
    json_end(j);
    json_end(j);
}

/* Length, object, and spaces up to a multiple of 8, so that the contents are aligned. */
static enum status write_header(struct out_file *out, struct json *j, struct fault *fault)
{
    static const char spaces[8] = "        ";
    if (j->failed)
        return no_memory(out->path, fault);
    size_t padding = (8 - j->used % 8) % 8;
    uint64_t header_bytes = j->used + padding;
    TRY(out_file_write(out, &header_bytes, sizeof header_bytes, fault));
    TRY(out_file_write(out, j->text, j->used, fault));
    return out_file_write(out, spaces, padding, fault);
}

static enum status describe_all(struct out_file *out, const struct safetensor_out *tensors,
                                int count, struct fault *fault)
{
    struct json j;
    int64_t begin = 0, elements = 0;
    enum status status = ST_OK;
    json_init(&j, false);
    json_open_object(&j, NULL);
    for (int i = 0; i < count && status == ST_OK; i++) {
        int64_t end = begin;
        status = count_elements(out->path, &tensors[i], &elements, fault);
        if (status == ST_OK &&
            __builtin_add_overflow(begin, elements * (int64_t)sizeof(float), &end))
            status = fault_set(fault, ST_BAD_INPUT, "cannot write %s: too many tensors", out->path);
        describe_tensor(&j, &tensors[i], begin, end);
        begin = end;
    }
    json_end(&j);
    if (status == ST_OK)
        status = write_header(out, &j, fault);
    json_free(&j);
    return status;
}

static enum status write_contents(struct out_file *out, const struct safetensor_out *tensors,
                                  int count, struct fault *fault)
{
    TRY(describe_all(out, tensors, count, fault));
    for (int i = 0; i < count; i++) {
        int64_t elements = 0;
        TRY(count_elements(out->path, &tensors[i], &elements, fault));
        TRY(out_file_write(out, tensors[i].data, (size_t)elements * sizeof(float), fault));
    }
    return ST_OK;
}

enum status safetensors_write(const char *path, const struct safetensor_out *tensors, int count,
                              struct fault *fault)
{
    struct out_file out;
    TRY(out_file_open(&out, path, fault));
    enum status status = write_contents(&out, tensors, count, fault);
    if (status == ST_OK)
        return out_file_commit(&out, fault);
    out_file_discard(&out);
    return status;
}

static void stream_free(struct safetensors_stream *s)
{
    out_file_discard(&s->out);
    free(s->name);
    free(s);
}

static enum status stream_begin(struct safetensors_stream *s, const char *path,
                                const struct safetensor_out *tensor, struct fault *fault)
{
    s->name = strdup(tensor->name);
    if (!s->name)
        return no_memory(path, fault);
    TRY(out_file_open(&s->out, path, fault));
    TRY(count_elements(path, tensor, &s->total, fault));
    return describe_all(&s->out, tensor, 1, fault);
}

enum status safetensors_stream_open(const char *path, const char *name, int rank,
                                    const int64_t *dim, struct safetensors_stream **out,
                                    struct fault *fault)
{
    *out = NULL;
    struct safetensor_out tensor = {.name = name, .rank = rank};
    for (int i = 0; i < rank && i < SAFETENSORS_RANK_MAX; i++)
        tensor.dim[i] = dim[i];
    struct safetensors_stream *s = calloc(1, sizeof *s);
    if (!s)
        return no_memory(path, fault);
    enum status status = stream_begin(s, path, &tensor, fault);
    if (status == ST_OK)
        *out = s;
    else
        stream_free(s);
    return status;
}

enum status safetensors_stream_add(struct safetensors_stream *s, const float *data, int64_t count,
                                   struct fault *fault)
{
    if (count < 0 || count > s->total - s->added)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: tensor \"%.96s\" has %" PRId64 " elements and is given more",
                         s->out.path, s->name, s->total);
    TRY(out_file_write(&s->out, data, (size_t)count * sizeof *data, fault));
    s->added += count;
    return ST_OK;
}

enum status safetensors_stream_close(struct safetensors_stream *s, struct fault *fault)
{
    enum status status = ST_OK;
    if (s->added == s->total)
        status = out_file_commit(&s->out, fault);
    else
        status = fault_set(fault, ST_IO,
                           "%s is not written: tensor \"%.96s\" was given %" PRId64 " of %" PRId64
                           " elements",
                           s->out.path, s->name, s->added, s->total);
    stream_free(s);
    return status;
}
