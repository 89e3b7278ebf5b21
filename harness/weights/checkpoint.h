// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* checkpoint.h   Published weights: the tensors of one component wherever they lie, what its
 * config.json says, and what the model code would ask of it.
 *
 * A component is a tensor file, judged by its contents whatever its name, or a folder with one:
 * a single file, or shards named by an index. Everything in it comes from strangers. */
#ifndef PATCHMARK_CHECKPOINT_H
#define PATCHMARK_CHECKPOINT_H

#include "model/dit.h"
#include "model/model.h"
#include "weights/safetensors.h"

/* ---- tensors --------------------------------------------------------------------------------- */

struct checkpoint;

struct checkpoint_tensor {
    const struct safetensor *is;
    int file; /* which of the component's files holds it */
};

/* Reads every header, and no weights. Of shards each tensor must lie in exactly the file that the
 * index names, a plain name in the same folder; a link may only point into that folder or, from a
 * snapshot of the hub's cache, into the cache's blobs. */
enum status checkpoint_open(const char *path, struct checkpoint **out, struct fault *fault);
void checkpoint_free(struct checkpoint *c);

int64_t checkpoint_count(const struct checkpoint *c);
/* Sorted by name. */
const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, int64_t index);
const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *c, const char *name);
const char *checkpoint_path(const struct checkpoint *c); /* as it was given */
int checkpoint_files(const struct checkpoint *c);
const char *checkpoint_file_path(const struct checkpoint *c, int file);
const struct safetensors *checkpoint_file(const struct checkpoint *c, int file);

/* A few files are open at a time, opened when they are read from: this one is until others are
 * asked for. */
enum status checkpoint_wake(struct checkpoint *c, int file, struct safetensors **out,
                            struct fault *fault);
/* Elements first .. first + count - 1 as f32; one thread at a time. */
enum status checkpoint_read(struct checkpoint *c, const struct checkpoint_tensor *tensor,
                            int64_t first, int64_t count, float *out, struct fault *fault);

struct checkpoint_values {
    int64_t nan, inf;
};
/* Adds what is not finite among f32, bf16 or f16 values. */
void checkpoint_values_add(enum elem elem, const void *data, int64_t count,
                           struct checkpoint_values *out);
/* Counts what is not finite in every tensor: values has checkpoint_count entries, zero where a
 * dtype cannot hold such. All threads read, through a buffer of a fixed size each; progress is
 * called between pieces with the bytes done. Ends early with ST_INTERRUPTED. */
enum status checkpoint_count_values(struct checkpoint *c, struct checkpoint_values *values,
                                    void (*progress)(uint64_t bytes), struct fault *fault);

/* ---- config.json ----------------------------------------------------------------------------- */

enum checkpoint_part {
    PART_OTHER = 0,
    PART_TRANSFORMER,
    PART_VAE,
    PART_TEXT,
    PART_IMAGE,
    PART_COUNT
};

struct checkpoint_config {
    char class_name[64]; /* "" where none is given */
    enum checkpoint_part part;
    struct model_config model; /* the member of `part` alone, and the family of a transformer */
    struct dit_config dit;     /* model.dit points here, where it is one: not to be copied */
    char unsupported[256];     /* what the model code here cannot do: "qk_norm null"; "" */
};

/* ST_NOT_BUILT without jansson. */
enum status checkpoint_config_read(const char *path, struct checkpoint_config *out,
                                   struct fault *fault);

/* A field of a part's geometry by its name in config.json. */
struct checkpoint_field {
    enum checkpoint_part part;
    enum transformer_family family; /* of transformers */
    const char *name;
    size_t offset;    /* of an int64_t within struct model_config */
    int64_t fallback; /* where config.json leaves it out; below `least`: it must be there */
    int64_t least, most;
    bool flag;    /* true or false there */
    bool or_null; /* null there for 0 */
};
extern const struct checkpoint_field checkpoint_fields[];
extern const int checkpoint_field_count;
int64_t checkpoint_field_of(const struct model_config *m, const struct checkpoint_field *field);
/* Whether the part of this model has the field. */
bool checkpoint_has_field(enum checkpoint_part part, const struct model_config *m,
                          const struct checkpoint_field *field);
/* What is no single number of the table: how it differs, or NULL. */
const char *checkpoint_lists_differ(enum checkpoint_part part, const struct model_config *a,
                                    const struct model_config *b);
/* How many fields of a part are not the same, lists as one; another family is one more than all. */
int checkpoint_fields_apart(enum checkpoint_part part, const struct model_config *a,
                            const struct model_config *b);

/* ---- what the model code asks for ------------------------------------------------------------ */

struct wanted {
    struct weight_spec *spec; /* names owned */
    int64_t count, room;
};
/* Nothing of a part that the model has not. */
enum status wanted_of(enum checkpoint_part part, const struct model_config *model,
                      struct wanted *out, struct fault *fault);
void wanted_free(struct wanted *w);

/* The tensor of a weight, under either of its names where it has two. ST_BAD_INPUT names one that is
 * missing, has another shape, or a type that no one computes with. */
enum status checkpoint_weight(const struct checkpoint *c, const struct weight_spec *spec,
                              const struct checkpoint_tensor **out, struct fault *fault);
bool checkpoint_can_read(const struct safetensor *tensor); /* its type, as f32 */
#define SHAPE_BYTES 200
void checkpoint_shape(int rank, const int64_t *dim, char out[SHAPE_BYTES]); /* "[2, 3]" */

enum difference_kind { TENSOR_MISSING, TENSOR_EXTRA, TENSOR_MISSHAPEN };

struct difference {
    enum difference_kind kind;
    const struct weight_spec *wanted;      /* NULL: extra */
    const struct checkpoint_tensor *found; /* NULL: missing */
};

struct differences {
    struct difference *row; /* free() */
    int64_t count;
    int64_t unused; /* known tensors that no stage here reads: CLIP's last layer, ... */
};
enum status checkpoint_compare(const struct checkpoint *c, enum checkpoint_part part,
                               const struct wanted *wanted, struct differences *out,
                               struct fault *fault);

#endif
