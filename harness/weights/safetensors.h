// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* safetensors.h   Tensor files: a strict reader of our own and a writer. */
#ifndef PATCHMARK_SAFETENSORS_H
#define PATCHMARK_SAFETENSORS_H

#include "op.h"

#define SAFETENSORS_RANK_MAX 8

struct safetensor {
    const char *name;
    enum elem elem;    /* ELEM_NONE: a dtype we cannot compute with; see dtype */
    const char *dtype; /* as written in the file */
    int rank;
    int64_t dim[SAFETENSORS_RANK_MAX];
    uint64_t begin, end; /* byte range within the file */
};

/* One entry of the header's __metadata__; the value may contain NULs. */
struct safetensors_pair {
    const char *key, *value;
    size_t value_bytes;
};

struct safetensors;

/* Header only; refuses a malformed file in one sentence before allocating for its contents. */
enum status safetensors_open(const char *path, struct safetensors **out, struct fault *fault);
void safetensors_free(struct safetensors *file);
int64_t safetensors_count(const struct safetensors *file);
const struct safetensor *safetensors_at(const struct safetensors *file, int64_t index);
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);
/* The entries of __metadata__, sorted by key; returns how many. */
int64_t safetensors_metadata(const struct safetensors *file, const struct safetensors_pair **out);
/* Product of the dimensions, 1 for a scalar. */
int64_t safetensor_elems(const struct safetensor *tensor);

/* Gives the file descriptor back, so that many files may be known at once. A read takes it again,
 * and refuses where another file stands at the path by then or this one has changed. */
void safetensors_rest(struct safetensors *file);
enum status safetensors_wake(struct safetensors *file, struct fault *fault);

/* Elements first .. first + count - 1 as f32 (from F32, F64, BF16, F16). */
enum status safetensors_read(struct safetensors *file, const struct safetensor *tensor,
                             int64_t first, int64_t count, float *out, struct fault *fault);
/* Bytes first .. first + bytes - 1 of the tensor as the file has them. Several threads may do this
 * at once with a file that is awake. */
enum status safetensors_read_bytes(struct safetensors *file, const struct safetensor *tensor,
                                   uint64_t first, size_t bytes, void *out, struct fault *fault);

/* Writes f32 tensors to a temporary name, syncs, renames. */
struct safetensor_out {
    const char *name;
    int rank;
    int64_t dim[SAFETENSORS_RANK_MAX];
    const float *data;
};
enum status safetensors_write(const char *path, const struct safetensor_out *tensors, int count,
                              struct fault *fault);

/* The same for one tensor that is produced piece by piece. close frees the stream on every path;
 * where elements are missing, or something failed before, it leaves no file and fails. */
struct safetensors_stream;
enum status safetensors_stream_open(const char *path, const char *name, int rank,
                                    const int64_t *dim, struct safetensors_stream **out,
                                    struct fault *fault);
enum status safetensors_stream_add(struct safetensors_stream *s, const float *data, int64_t count,
                                   struct fault *fault);
enum status safetensors_stream_close(struct safetensors_stream *s, struct fault *fault);

#endif
