// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "weights/checkpoint_index.h"

#include <stdlib.h>
#include <string.h>

const struct index_row *shard_index_find(const struct shard_index *index, const char *tensor)
{
    int64_t low = 0, high = index->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(tensor, index->row[middle].tensor);
        if (order == 0)
            return &index->row[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void shard_index_free(struct shard_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        free(index->row[i].tensor);
        free(index->row[i].shard);
    }
    free(index->row);
    free(index->shard);
    *index = (struct shard_index){0};
}

#ifndef HAVE_JANSSON

enum status shard_index_read(const char *path, struct shard_index *out, struct fault *fault)
{
    *out = (struct shard_index){0};
    return fault_set(fault, ST_NOT_BUILT,
                     "reading %s needs jansson, which this build lacks: install libjansson-dev and "
                     "run make again",
                     path);
}

#else

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_MAX_BYTES 16000000
#define SHARDS_MAX 10000

static enum status open_text(const char *path, FILE **out, struct fault *fault)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = fd < 0 || fstat(fd, &info) != 0 ? strerror(errno)
                      : !S_ISREG(info.st_mode)        ? "it is no regular file"
                      : info.st_size > JSON_MAX_BYTES ? "it is larger than 16 MB"
                      : !(*out = fdopen(fd, "r"))     ? strerror(errno)
                                                      : NULL;
    if (!why)
        return ST_OK;
    if (fd >= 0)
        close(fd);
    return fault_set(fault, ST_BAD_INPUT, "cannot read %s: %s", path, why);
}

enum status json_object_read(const char *path, json_t **out, struct fault *fault)
{
    json_error_t error;
    char what[160];
    FILE *in = NULL;
    *out = NULL;
    TRY(open_text(path, &in, fault));
    *out = json_loadf(in, JSON_REJECT_DUPLICATES, &error);
    fclose(in);
    if (!*out)
        return fault_set(fault, ST_BAD_INPUT, "%s: malformed JSON at line %d: %s", path, error.line,
                         text_printable(error.text, strlen(error.text), what, sizeof what));
    if (json_is_object(*out))
        return ST_OK;
    json_decref(*out);
    *out = NULL;
    return fault_set(fault, ST_BAD_INPUT, "%s: should hold one JSON object", path);
}

static enum status refuse(const char *path, const char *what, const char *name, struct fault *fault)
{
    char shown[120];
    return fault_set(fault, ST_BAD_INPUT, "%s: malformed index: %s \"%s\"", path, what,
                     text_printable(name, strlen(name), shown, sizeof shown));
}

/* A name in the index's own folder and nothing else: no path, no parent, no hidden file. */
static bool is_plain(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\') &&
           strlen(name) < 256;
}

static enum status read_rows(const char *path, const json_t *map, struct shard_index *out,
                             struct fault *fault)
{
    const char *tensor;
    json_t *shard;
    out->row = calloc(json_object_size(map) + 1, sizeof *out->row);
    if (!out->row)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    json_object_foreach((json_t *)map, tensor, shard)
    {
        if (!json_is_string(shard))
            return refuse(path, "no file is named for tensor", tensor, fault);
        if (!is_plain(json_string_value(shard)))
            return refuse(path, "a shard must be a plain file name beside the index, not",
                          json_string_value(shard), fault);
        struct index_row *row = &out->row[out->count++];
        *row = (struct index_row){strdup(tensor), strdup(json_string_value(shard))};
        if (!row->tensor || !row->shard)
            return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    }
    return ST_OK;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct index_row *)a)->tensor, ((const struct index_row *)b)->tensor);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status collect_shards(const char *path, struct shard_index *out, struct fault *fault)
{
    int64_t distinct = 0;
    out->shard = calloc((size_t)out->count + 1, sizeof *out->shard);
    if (!out->shard)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for %s", path);
    for (int64_t i = 0; i < out->count; i++)
        out->shard[i] = out->row[i].shard;
    qsort(out->shard, (size_t)out->count, sizeof *out->shard, compare_names);
    for (int64_t i = 0; i < out->count; i++)
        if (i == 0 || strcmp(out->shard[i], out->shard[distinct - 1]) != 0)
            out->shard[distinct++] = out->shard[i];
    if (distinct > SHARDS_MAX)
        return fault_set(fault, ST_BAD_INPUT, "%s: malformed index: it names more than %d files",
                         path, SHARDS_MAX);
    out->shards = (int)distinct;
    return ST_OK;
}

/* Some writers give the size as a real number. */
static enum status read_total(const char *path, const json_t *metadata, struct shard_index *out,
                              struct fault *fault)
{
    const json_t *total = json_object_get(metadata, "total_size");
    const double bytes = json_number_value(total);
    out->total_bytes = -1;
    if (!total)
        return ST_OK;
    if (!json_is_number(total) || bytes < 0 || bytes > 0x1p62 || bytes != floor(bytes))
        return refuse(path, "no number of bytes is given by", "total_size", fault);
    out->total_bytes = json_is_integer(total) ? (int64_t)json_integer_value(total) : (int64_t)bytes;
    return ST_OK;
}

static enum status read_index(const char *path, const json_t *root, struct shard_index *out,
                              struct fault *fault)
{
    const json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map))
        return refuse(path, "it lacks the object", "weight_map", fault);
    TRY(read_rows(path, map, out, fault));
    qsort(out->row, (size_t)out->count, sizeof *out->row, compare_rows);
    TRY(collect_shards(path, out, fault));
    return read_total(path, json_object_get(root, "metadata"), out, fault);
}

enum status shard_index_read(const char *path, struct shard_index *out, struct fault *fault)
{
    json_t *root;
    *out = (struct shard_index){0};
    TRY(json_object_read(path, &root, fault));
    enum status status = read_index(path, root, out, fault);
    json_decref(root);
    if (status != ST_OK)
        shard_index_free(out);
    return status;
}

#endif
