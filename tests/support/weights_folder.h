// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* weights_folder.h   Checkpoint folders that tests make: real headers, contents of zeros that take
 * no room on the disk, so that a published model's whole size is written in no time. */
#ifndef PATCHMARK_TESTS_WEIGHTS_FOLDER_H
#define PATCHMARK_TESTS_WEIGHTS_FOLDER_H

#include "weights/checkpoint.h"

/* Tensors first .. first + count - 1 of the list as one file; dtype as the file says it. Returns
 * the bytes of the contents. */
int64_t weights_put(const char *path, const struct wanted *w, int64_t first, int64_t count,
                    const char *dtype, size_t elem_bytes);

/* DIR/<name>/config.json and one file of all that the model code asks for. */
void component_put(const char *dir, const char *name, enum checkpoint_part part,
                   const struct model_config *model, const char *dtype, size_t elem_bytes);
/* transformer, vae, text_encoder, tokenizer, scheduler and model_index.json. */
void model_put(const char *dir, const struct model_config *model);

/* config.json of a part as its published class writes it; free() it. */
char *config_text(enum checkpoint_part part, const struct model_config *model);

#endif
