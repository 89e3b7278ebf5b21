// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tokenizer_model.h   What must hold of a SentencePiece model before the library may have it: it
 * follows the offsets of the normalisation table without looking where they lead. */
#ifndef PATCHMARK_TOKENIZER_MODEL_H
#define PATCHMARK_TOKENIZER_MODEL_H

#include "op.h"

/* A serialised model in memory. ST_BAD_INPUT, with path in the sentence, where its protobuf fields
 * do not fill it exactly or a normalisation table leads out of itself. */
enum status tokenizer_check_model(const char *path, const void *data, size_t bytes,
                                  struct fault *fault);

#endif
