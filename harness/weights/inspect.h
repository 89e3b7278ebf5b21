// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* inspect.h   What `inspect` found in a weights file or a model's folder, between the file that
 * looks (inspect_look.c) and the one that tells (inspect_print.c). */
#ifndef PATCHMARK_INSPECT_H
#define PATCHMARK_INSPECT_H

#include "base/json.h"
#include "weights/checkpoint.h"

#include <limits.h>

#define INSPECT_PARTS_MAX 5
#define INSPECT_LINES_MAX 32
#define INSPECT_PRESETS_MAX 256

/* A component: its weights, or why they cannot be had. */
struct inspected {
    char name[64]; /* "transformer"; the file's own name where a file was asked for */
    char path[PATH_MAX];
    enum status status;
    struct fault why;
    bool configured; /* config.json was read */
    struct checkpoint_config config;
    enum checkpoint_part part; /* by config.json, else by the tensors */
    struct checkpoint *weights;
    struct checkpoint_values *values; /* one per tensor; NULL: not counted */
    struct wanted wanted;
    struct differences differences;
    bool compared;                       /* with what the model code asks for */
    bool is_preset[INSPECT_PRESETS_MAX]; /* one per model_presets */
};

struct inspection {
    const char *path;
    enum { INSPECT_FILE, INSPECT_COMPONENT, INSPECT_MODEL } kind;
    bool indexed; /* model_index.json was read */
    char pipeline[64], release[32];
    char scheduler[64];
    double flow_shift;     /* NAN: not given */
    double boundary_ratio; /* NAN: not given */
    bool expand_timesteps;
    bool has_tokenizer, has_spiece, has_tokenizer_json; /* the folder, and what is in it */
    struct inspected part[INSPECT_PARTS_MAX];
    int parts;
    char presets[256]; /* "wan2.1-t2v-1.3b", or several names, or "" */
    char nearest[64];  /* where there is none: a preset */
    char apart[1024];  /* and in what it differs: "transformer.num_layers 2 (30), ..." */
    char problem[INSPECT_LINES_MAX][512]; /* beside those of tensors: a sentence each */
    int problems;
    char note[INSPECT_LINES_MAX][512]; /* what is worth knowing and no fault of the model */
    int notes;
    enum status status; /* the first part's that is not ST_OK; then ST_WRONG where problems are */
};

/* Looks at everything; values: counts NaN and infinity too. ST_OK where there was something to look
 * at, whatever was found; the verdict is in out->status. inspection_free on every path. */
enum status inspection_look(const char *path, bool values, struct inspection *out,
                            struct fault *fault);
void inspection_free(struct inspection *in);

void inspection_print(const struct inspection *in, bool tensors);
void inspection_json(const struct inspection *in, struct json *j);

/* Sums over the tensors of one component, in all and by dtype. */
#define DTYPES_MAX 24
struct tensor_sums {
    const char *dtype; /* NULL: all */
    int64_t tensors, elems, nan, inf;
    uint64_t bytes;
};
/* sums[0] is all of them, the dtypes follow; returns how many rows. */
int inspected_sums(const struct inspected *p, struct tensor_sums sums[DTYPES_MAX + 1]);

#endif
