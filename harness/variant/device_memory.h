// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* device_memory.h   Memory of a CUDA device that notices: a block between bands of canaries, which
 * are looked at on the host. No unreadable pages there, so a stray read shows by the NaN it brings
 * home, and a stray write that reaches beyond the bands is memcheck's to find. Where such a tool
 * watches, blocks are bare instead: no bands and nothing filled, so that it sees every byte that is
 * not the kernel's and every one that was never written. */
#ifndef PATCHMARK_DEVICE_MEMORY_H
#define PATCHMARK_DEVICE_MEMORY_H

#include "machine/gpu.h"

struct device_block {
    unsigned char *data; /* aligned to 256 bytes, or to TENSOR_ALIGN alone: see place */
    size_t bytes;
    unsigned char *base; /* NULL: no block */
    unsigned char mark;  /* its own byte of the canaries */
};

/* For all blocks of this process from here on. */
void device_memory_bare(void);
bool device_memory_is_bare(void);

/* what: text for the sentence where memory is short. bytes may be 0. */
enum status device_block_new(struct gpu *g, size_t bytes, const char *what,
                             struct device_block *out, struct fault *fault);
void device_block_free(struct gpu *g, struct device_block *b);
/* Moves the block and renews the canaries; contents are lost. narrow: the address is aligned to
 * TENSOR_ALIGN and no further, which is all that contracts promise. */
enum status device_block_place(struct gpu *g, struct device_block *b, bool narrow,
                               struct fault *fault);
/* Fills the block itself with canaries. */
enum status device_block_poison(struct gpu *g, const struct device_block *b, struct fault *fault);
/* *intact is false where a canary changed: *offset is the byte seen from data. */
enum status device_block_look(struct gpu *g, const struct device_block *b, bool *intact,
                              int64_t *offset, struct fault *fault);
size_t device_block_taken(const struct device_block *b); /* bands included */

#endif
