// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* safetensors_header.h   The JSON header of a tensor file, read in place by a fixed grammar: no
 * recursion, no document tree, every rule checked before a byte of contents is looked at. */
#ifndef PATCHMARK_SAFETENSORS_HEADER_H
#define PATCHMARK_SAFETENSORS_HEADER_H

#include "weights/safetensors.h"

/* Both lists sorted, by name and by key; free() them. */
struct safetensors_header {
    struct safetensor *tensor;
    int64_t count;
    struct safetensors_pair *pair;
    int64_t pairs;
};

/* text: the header, header_bytes long and one byte more that may be overwritten; strings are
 * decoded in place, and names, keys and values point into it. Byte ranges come back counted from
 * the start of the file; after a failure *out is empty. path is for sentences. */
enum status safetensors_parse(const char *path, char *text, uint64_t header_bytes,
                              uint64_t content_bytes, struct safetensors_header *out,
                              struct fault *fault);

#endif
