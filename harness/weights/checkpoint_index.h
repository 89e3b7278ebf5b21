// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* checkpoint_index.h   JSON files of a checkpoint's folder, insides of checkpoint*.c and the
 * inspection of folders. */
#ifndef PATCHMARK_CHECKPOINT_INDEX_H
#define PATCHMARK_CHECKPOINT_INDEX_H

#include "op.h"

struct index_row {
    char *tensor, *shard;
};

/* A *.safetensors.index.json. Shard names are plain names, and together no more than SHARDS_MAX. */
struct shard_index {
    struct index_row *row; /* sorted by tensor */
    int64_t count;
    char **shard; /* distinct, sorted; they point into the rows */
    int shards;
    int64_t total_bytes; /* metadata.total_size; -1: not given */
};
enum status shard_index_read(const char *path, struct shard_index *out, struct fault *fault);
void shard_index_free(struct shard_index *index);
const struct index_row *shard_index_find(const struct shard_index *index, const char *tensor);

#ifdef HAVE_JANSSON
#include <jansson.h>
/* A whole JSON object, duplicate keys refused; json_decref it. */
enum status json_object_read(const char *path, json_t **out, struct fault *fault);
#endif

#endif
