// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* bound.h   A variant bound to operands: planned, given its memory, its weights packed, ready to
 * run. A variant for a CUDA device gets memory there and the operands' contents copied into it; the
 * operands themselves stay on the host, where they are filled and checked. */
#ifndef PATCHMARK_BOUND_H
#define PATCHMARK_BOUND_H

#include "variant/device_memory.h"
#include "variant/guarded.h"
#include "variant/operands.h"
#include "variant/registry.h"

/* What stands on the device for the operands and the variant's own memory. */
struct mirror {
    struct gpu *gpu; /* NULL: the variant runs on the CPU; shared, the process's own */
    struct device_block tensor[OP_TENSORS_MAX], scratch, packed, state;
};

struct bound {
    const struct variant *variant;
    struct operands *operands;
    struct problem problem; /* what run() sees: weights that are packed have no data */
    int64_t knob[KNOB_MAX];
    struct need need;
    struct exec exec;
    struct guarded scratch, packed, state; /* on the CPU */
    struct mirror mirror;                  /* on a CUDA device */
    void (*alive)(void *user);             /* see bound_alive; NULL after bound_new */
    void *alive_user;
};

/* The variant's needs say where it runs: here, or on the CUDA device that --device chose. From here
 * on the operands too are worked on by `threads`. */
enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault);
/* Packs the weights and takes the operands' addresses: call it after every operands_fill. */
enum status bound_prepare(struct bound *b, struct fault *fault);
/* After operands_fill_inputs, in place of bound_prepare: packed weights and addresses stay. */
enum status bound_renew(struct bound *b, struct fault *fault);
/* On the CPU: operands, scratch and packed weights onto other physical pages. operands_fill and
 * bound_prepare come next. */
void bound_scatter(struct bound *b, uint64_t seed);
/* The run alone; on a CUDA device it is only enqueued. */
enum status bound_run(struct bound *b);
/* A run as a check wants it: scratch is poisoned first, on a device outputs too, and at the end all
 * is done and the operands hold on the host what they hold on the device. ST_DEVICE sticks to the
 * process. */
enum status bound_run_checked(struct bound *b, struct fault *fault);
/* On a device: waits, and copies every operand to the host. Nothing to do on the CPU. */
enum status bound_fetch(struct bound *b, struct fault *fault);
/* ST_WRONG and the sentence where a guard band, a gap between rows or an input changed. */
enum status bound_intact(const struct bound *b, struct fault *fault);
size_t bound_bytes(const struct bound *b); /* operands and the variant's memory, where it runs */
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
