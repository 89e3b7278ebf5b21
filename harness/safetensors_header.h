// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* safetensors_header.h   The JSON header of a tensor file, read in place by a fixed grammar: no
 * recursion, no document tree, every rule checked before a byte of contents is looked at. */
#ifndef PATCHMARK_SAFETENSORS_HEADER_H
#define PATCHMARK_SAFETENSORS_HEADER_H

#include "safetensors.h"

/* text: the header, header_bytes long and one byte more that may be overwritten; strings are
 * decoded in place and the tensors' names point into it. The tensors come back sorted by name, in
 * *out (free()), their byte ranges counted from the start of the file. path is for sentences. */
enum status safetensors_parse(const char *path, char *text, uint64_t header_bytes,
                              uint64_t content_bytes, struct safetensor **out, int64_t *count,
                              struct fault *fault);

#endif
