// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* bound.h   A variant bound to operands: planned, given its memory, its weights packed, ready to
 * run. */
#ifndef PATCHMARK_BOUND_H
#define PATCHMARK_BOUND_H

#include "guarded.h"
#include "operands.h"
#include "registry.h"

struct bound {
    const struct variant *variant;
    struct operands *operands;
    struct problem problem; /* what run() sees: weights that are packed have no data */
    int64_t knob[KNOB_MAX];
    struct need need;
    struct exec exec;
    struct guarded scratch, packed, state;
    void (*alive)(void *user); /* see bound_alive; NULL after bound_new */
    void *alive_user;
};

enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault);
/* Packs the weights and takes the operands' addresses: call it after every operands_fill. */
enum status bound_prepare(struct bound *b, struct fault *fault);
enum status bound_run(struct bound *b);
void bound_free(struct bound *b);

/* Called by one thread between steps of work that is ours, not the variant's, so that whoever waits
 * can tell a slow check from a variant that hangs. */
static inline void bound_alive(const struct bound *b)
{
    if (b->alive)
        b->alive(b->alive_user);
}

/* What functions of an op or a variant take: every member of the union starts at one address. */
static inline const void *problem_body(const struct problem *p) { return &p->linear; }

#endif
