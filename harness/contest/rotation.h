// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* rotation.h   What of an operation's data the caches hold when a run begins. Hot: all of it, as far
 * as it fits. Cold data is had by turns: there are copies of it, together over twice the last-level
 * cache and at least two, and each run takes the next, so that before its turn comes again the
 * others have gone through the cache. Cold weights are a layer's real state: between two runs of it
 * all other layers' weights pass. (Rotation rather than flushing: measured times then hold no cost of
 * the flush, as in cutlass_profiler and oneDNN's benchdnn.) */
#ifndef PATCHMARK_ROTATION_H
#define PATCHMARK_ROTATION_H

#include "variant/bound.h"

enum cache_state {
    CACHE_HOT = 0,
    CACHE_COLD_ROTATE,  /* every operand, packed weights too; scratch and state are the worker's */
    CACHE_COLD_WEIGHTS, /* activations stay where they are */
    CACHE_STATES
};
const char *cache_state_name(enum cache_state state); /* "hot", "cold-rotate", "cold-weights" */
bool cache_state_find(const char *name, enum cache_state *out);

#define ROTATION_COPIES_MAX 4096

/* Copies over twice `cache_bytes`, where one holds turn_bytes; 0: more than there may be. */
int rotation_copies(size_t turn_bytes, size_t cache_bytes);

/* The turns of one bound variant. Copy 0 is the bound's own memory. */
struct rotation {
    enum cache_state state;
    struct bound *bound;
    int copies, next, ran; /* ran: since the last renewal, of different copies */
    size_t turn_bytes;     /* of one copy */
    int parts;
    struct rotation_part {
        void **slot; /* where the run finds its address; NULL: the packed weights, in exec */
        void *home;  /* address in copy 0 */
        size_t bytes, offset;
        int tensor; /* -1: packed weights */
    } part[OP_TENSORS_MAX + 1];
    unsigned char *memory; /* of copies 1 and up, `pitch` apart */
    size_t pitch, memory_bytes;
};

/* Takes and fills the copies; b is filled and prepared, and from here on keeps its weights.
 * ST_REFUSED where nothing can rotate or copies would be too many, ST_NO_MEMORY. Hot takes nothing. */
enum status rotation_new(enum cache_state state, size_t cache_bytes, struct bound *b,
                         struct rotation *out, struct fault *fault);
/* The copies lie in the file `store`, which grows as far as they need and keeps its pages for the next
 * process: a process that takes them anew pays for a gibibyte of zeroes, and in virtual machines whose
 * host takes free memory back, seconds. NULL: memory of their own. ST_IO where it cannot be opened.
 * Not on a device. */
enum status rotation_new_in(const char *store, enum cache_state state, size_t cache_bytes,
                            struct bound *b, struct rotation *out, struct fault *fault);
void rotation_free(struct rotation *r);
/* Fresh inputs for the next runs; outputs of all copies are poisoned. Hot: weights too. */
enum status rotation_renew(struct rotation *r, uint64_t seed, struct fault *fault);
/* One run, on the next copy. */
enum status rotation_run(struct rotation *r);
/* What the runs since the last renewal left: *hash is check_outputs_hash of it. ST_WRONG where copies
 * differ in their outputs, or one in its inputs from what it was given, or a guard band was hit. Afterwards the bound is on its
 * own memory again. */
enum status rotation_left(struct rotation *r, uint64_t *hash, struct fault *fault);
/* check_outputs_hash of one copy's outputs as they stand, brought to the host from a device. */
enum status rotation_hash(const struct rotation *r, int copy, uint64_t *hash, struct fault *fault);
/* Where a tensor of one copy stands; of those that do not rotate there is one. */
void *rotation_data(const struct rotation *r, int tensor, int copy);
/* The bound was prepared anew: its own addresses may be others. */
void rotation_rehome(struct rotation *r);

#endif
