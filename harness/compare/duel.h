// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duel.h   Two arms against each other in a fixed budget: how their blocks are scheduled, and what is
 * taken of them. Both arms' workers are alive at once and take turns, in each round in an order that a
 * coin decides and on the same fresh data; several times within the budget both are started anew. The
 * verdict is verdict.h's, passed once, when the budget is spent. */
#ifndef PATCHMARK_DUEL_H
#define PATCHMARK_DUEL_H

#include "compare/verdict.h"
#include "contest/kernels.h"

#define DUEL_ROUNDS_MAX 2048
#define DUEL_SOLO_MAX 8
#define DUEL_PROCESSES 6 /* of each arm where arms are kept apart: as many as a verdict needs */

enum { DUEL_A = 0, DUEL_B, DUEL_ARMS };

struct duel_options {
    struct kernels_options kernels; /* threads, seed, back end, budget: of one pair */
    double threshold;
    double luck;      /* as verdict_processes takes it */
    bool blocked;     /* declared: these two disturb each other */
    bool interleaved; /* declared: they do not, it need not be looked for */
};

/* What one arm's units were. Seconds per run. */
struct duel_side {
    double block[DUEL_ROUNDS_MAX]; /* median of each block, in the order taken */
    int process[DUEL_ROUNDS_MAX];  /* which of the arm's processes took it, from 0 */
    bool first[DUEL_ROUNDS_MAX];   /* before the other arm's block of the same round */
    int64_t blocks;
    int processes;
    double unit[DUEL_ROUNDS_MAX]; /* what was judged: blocks freed of drift, or process medians */
    int64_t units;
    double solo[DUEL_SOLO_MAX]; /* a block's time alone over that beside the other arm */
    int solos;
};

struct duel {
    const struct duel_options *options;
    struct kernels_options kernels; /* the same, with blocks that have a median */
    struct contest contest;         /* of two arms: DUEL_A, DUEL_B */
    struct duel_side side[DUEL_ARMS];
    double check_seconds, warm_seconds; /* of the processes started last */
    double run_seconds[DUEL_ARMS];      /* of one run, about; decides how many make a sample */
    int probes;                         /* of whether they disturb each other, done */
    bool blocked;
    char blocked_why[256]; /* declared, or what was seen */
    double seconds;        /* spent in all */
    struct judgement judgement;
};

/* One op, two arms; duel_free on every path. */
enum status duel_new(const struct duel_options *options, const struct problem *shape,
                     const struct arm_spec *specs, struct roof *roof, struct duel **out,
                     struct fault *fault);
/* Whatever becomes of an arm is its state. ST_INTERRUPTED, ST_NO_MEMORY. The judgement has no verdict
 * yet: the suite decides. */
enum status duel_run(struct duel *d, struct fault *fault);
void duel_free(struct duel *d);

bool duel_failed(const struct duel *d);   /* an arm is wrong, crashed, ... */
bool duel_measured(const struct duel *d); /* both arms have times */
/* True where a's blocks alone differ from those beside the other arm by more than `threshold`. */
bool duel_disturbed(const struct duel_side *side, double threshold, double *ratio);

#endif
