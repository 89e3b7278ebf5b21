// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* drawn_folder.h   Model folders that tests make with the synthetic values of seed 0 in them, so that
 * a clip from the folder is the clip of the same geometry without one. */
#ifndef PATCHMARK_TESTS_DRAWN_FOLDER_H
#define PATCHMARK_TESTS_DRAWN_FOLDER_H

#include "weights/checkpoint.h"

/* dir/<name>/config.json and its tensors, in one file or in that many with an index. Matrices and
 * embeddings are written as `large` (f32, bf16, f16), vectors and tables as f32; values are drawn
 * under `under` + name. */
void component_draw(const char *dir, const char *name, enum checkpoint_part part,
                    const struct model_config *model, enum elem large, int shards,
                    const char *under);

/* transformer (and transformer_2 where there is a boundary), vae, text_encoder (image_encoder where
 * there is one), scheduler and model_index.json; no tokenizer, as befits a vocabulary of bytes. */
void model_draw(const char *path, const struct model_config *model, enum elem large, int shards);

/* scheduler/scheduler_config.json as the published folders of Wan have it. */
void scheduler_put(const char *dir, double flow_shift);
/* model_index.json; boundary 0: null */
void index_put(const char *dir, double boundary);

#endif
