// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* model_folder.h   A published model in the folder layout of diffusers: model_index.json, a folder
 * for each component with its config.json and weights, tokenizer, scheduler.
 *
 * Opening one reads the JSON files alone. A component's weights are opened when a stage asks for
 * them, so a folder needs no more than what its use needs. */
#ifndef PATCHMARK_MODEL_FOLDER_H
#define PATCHMARK_MODEL_FOLDER_H

#include "engine/engine.h"
#include "weights/checkpoint.h"

struct model_folder;

/* Opened once for the life of the process, whatever asks for it again. ST_BAD_INPUT says what is
 * missing, malformed or beyond what the model code here computes; ST_NOT_BUILT without jansson. */
enum status model_folder_of(const char *path, struct model_folder **out, struct fault *fault);
/* The folder whose geometry this is; NULL: a preset's. */
struct model_folder *model_folder_owner(const struct model_config *model);

/* Named after the preset whose geometry it has, else after the folder, never by its path. Defaults
 * of the pipeline are that preset's, else those of its family. */
const struct model_config *model_folder_config(const struct model_folder *f);
const struct weights_source *model_folder_weights(const struct model_folder *f);
/* "" or why its scheduler cannot be followed: "flow_shift is missing". */
const char *model_folder_scheduler_problem(const struct model_folder *f);

/* Opens the tokenizer, so that prompts can be encoded; refuses where that or the text encoder is
 * missing. Without tokenizer/spiece.model a vocabulary of bytes is read byte by byte. */
enum status model_folder_tokenizer(struct model_folder *f, struct generate_tokenizer *out,
                                   struct fault *fault);
bool model_folder_reads_bytes(const struct model_folder *f);

/* Of the components whose weights were asked for so far: for each its name, then for each tensor,
 * sorted, a line "name dtype [shape]" and SAMPLE_BYTES bytes from its middle. So it is the same
 * however the tensors are spread over files. */
#define MODEL_FOLDER_SAMPLE_BYTES 256
enum status model_folder_sha256(struct model_folder *f, char out[65], struct fault *fault);

/* What of the weights loaded so far was not finite, and the first tensor with such; "" none. */
struct checkpoint_values model_folder_values(const struct model_folder *f, const char **where);

#endif
