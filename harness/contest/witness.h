// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* witness.h   What a variant does on data that it has never met. The first run of every block is the
 * witness: it is not among the timed ones, finds fresh inputs and poison in its outputs, and is
 * called exactly as they are. What it left is read as soon as it returns. CPU only: a device's
 * queue has its own checks (measure.h). */
#ifndef PATCHMARK_WITNESS_H
#define PATCHMARK_WITNESS_H

#include "check/check.h"
#include "contest/rotation.h"

#define WITNESS_SPECKS 16

struct witness {
    double run_s, read_s; /* of this block's first run, and of reading what it left */
    double read_bytes;    /* so many */
    uint64_t hash;        /* of that */
    uint64_t blocks;      /* so far, of which one is kept, each by the same chance */
    uint64_t kept_seed, kept_hash;
    struct witness_speck {
        unsigned char *at, was[8];
        size_t bytes;
    } speck[WITNESS_SPECKS];
    int specks, speck_copy;
};

/* After rotation_renew, before any other run. */
enum status witness_run(struct witness *w, struct rotation *r, struct fault *fault);
/* Before the timed runs: poison in some values of the output, too few to be found or to matter. */
void witness_speck(struct witness *w, const struct rotation *r, uint64_t seed);
/* After the last run of the block on that data: ST_WRONG where the outputs are no longer what the
 * first run had left when it returned. */
enum status witness_compare(struct witness *w, struct rotation *r, uint64_t seed,
                            struct fault *fault);
/* Checks the variant on the data of some earlier block once more; ST_WRONG where it left another
 * output there, so that it pays nowhere to be right only when a check is near. */
enum status witness_replay(const struct witness *w, struct bound *b, struct fault *fault);

#endif
