// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* operands.h   Memory and data for one problem: every tensor in its own block between guard bands
 * and against an unreadable page at its end, inputs filled, outputs poisoned with NaN. */
#ifndef PATCHMARK_OPERANDS_H
#define PATCHMARK_OPERANDS_H

#include "ops/op_info.h"

/* Data patterns of verify; random is what timing uses. */
enum pattern {
    PATTERN_RANDOM,
    PATTERN_LARGE,
    PATTERN_TINY /* denormals among them */,
    PATTERN_OUTLIER,
    PATTERN_INFINITE /* a few infinities and NaN */,
    PATTERN_INTEGER /* small integers: exact sums */,
    PATTERN_COUNT
};
const char *pattern_name(enum pattern pattern);

struct operands {
    struct problem problem;      /* tensors bound to memory */
    bool in_place, spread;       /* outputs on their aliases; free strides wider than needed */
    struct operand_block *block; /* one per tensor */
    uint64_t seed;               /* of the last fill */
    enum pattern pattern;
    unsigned poisoned; /* how often; integer outputs alternate between two poisons */
    int threads;       /* that fill and compare large blocks; 0: the caller alone */
    bool keep_weights; /* every fill draws them from weight_seed: copies elsewhere stay true */
    uint64_t weight_seed;
};

/* Whether the problem has an in-place form, and one with spread strides. */
bool operands_may_alias(const struct problem *shape);
bool operands_may_spread(const struct problem *shape);

/* ST_NO_MEMORY, before anything is taken, where the machine has not what a check needs. */
enum status operands_new(const struct problem *shape, bool in_place, bool spread,
                         struct operands *out, struct fault *fault);
void operands_free(struct operands *o);
/* Fills inputs and gaps. Odd seeds place blocks against the page behind them, even seeds against
 * the page in front, so addresses are good until the next fill with a seed of the other kind. */
void operands_fill(struct operands *o, uint64_t seed, enum pattern pattern);
/* Draws inputs anew and poisons outputs; weights stay, and so does every address. */
void operands_fill_inputs(struct operands *o, uint64_t seed);
/* Every tensor onto other physical pages, see guarded_scatter; operands_fill comes next. */
void operands_scatter(struct operands *o, uint64_t seed);
/* NaN (0xFF) into every output and every gap; inputs in place are as filled again. */
void operands_poison(struct operands *o);
/* Whoever writes to an input that no output takes the place of faults from here on; false: no
 * longer. */
void operands_protect(const struct operands *o, bool protect);
/* As the ops before it leave them in a pipeline: outputs are poisoned, then inputs are written anew,
 * so that both are as near as their size allows. Weights are left alone. */
void operands_renew(struct operands *o);
/* False where a guard band, a gap between rows or an input changed since fill; `where` names it. */
bool operands_intact(const struct operands *o, char *where, size_t bytes);
/* The problem with inputs as filled, for the reference: in-place inputs come from kept copies. */
struct problem operands_pristine(const struct operands *o);
size_t operands_bytes(const struct operands *o);

/* The memory behind tensor `index`, for whoever mirrors it elsewhere. */
struct operand_memory {
    unsigned char *data;
    size_t bytes;
    const char *name;
    bool output;          /* poison alone, every byte the same: poison below */
    unsigned char poison; /* of an output, as operands_poison left it */
    bool overwritten;     /* an input that an output takes the place of */
};
/* False where the tensor is absent, or an output in the place of its input: operands_place_of says
 * which tensor's memory it has then, and its own number otherwise. */
bool operands_memory(const struct operands *o, int index, struct operand_memory *out);
int operands_place_of(const struct operands *o, int index);

#endif
