// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model_folder_state.h   Insides of a model's folder, shared by the model_folder*.c files only. */
#ifndef PATCHMARK_MODEL_FOLDER_STATE_H
#define PATCHMARK_MODEL_FOLDER_STATE_H

#include "prompt/tokenizer.h"
#include "weights/model_folder.h"

enum folder_component {
    FOLDER_TRANSFORMER = 0,
    FOLDER_TRANSFORMER_2,
    FOLDER_VAE,
    FOLDER_TEXT,
    FOLDER_IMAGE,
    FOLDER_COMPONENTS
};

struct component {
    bool is_there;
    struct checkpoint_config config;
    struct checkpoint *weights; /* NULL until a stage asks for it */
    bool *counted;              /* one per tensor: its values were looked at */
};

struct model_folder {
    struct model_folder *next; /* of this process */
    char *path;
    char name[128];
    struct model_config model; /* its own structs are the components' */
    struct component component[FOLDER_COMPONENTS];
    char scheduler_problem[256];
    struct weights_source weights;
    struct tokenizer *tokenizer;
    bool reads_bytes;
    struct checkpoint_values values;
    char where[256];
};

extern const char *const folder_names[FOLDER_COMPONENTS];

/* model_folder_config.c: every JSON file of the folder -> model, component[].config */
enum status model_folder_configure(struct model_folder *f, struct fault *fault);

/* model_folder_weights.c */
extern const struct weights_source model_folder_source; /* without its user */

#endif
