// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sample.h   A case that is not run but sampled: every distinct op problem of its trace is verified
 * and timed alone, whole where memory and patience allow, else as a tile with the full reduction,
 * and multiplied out. Between the worker that times (sample_worker.c, driven line by line), the
 * supervisor that counts and judges (sample_case.c) and what both say of it (sample_report.c).
 *
 * Answers of the worker, after those of run_worker.c up to `peak`:
 *   part TILE-WEIGHT BASE-WEIGHT FLOPS RUN-FLOPS CALLS... VARIANT SHAPE TILE
 *                        one distinct problem; CALLS: one number per stage; a call takes the
 *                        weighted sum of what tile and base take
 *   ready                all are verified
 *   guard LOOK           what befell the processors during a pass (guard.h)
 *   times T0 B0 T1 ...   answers `pass`: seconds of one run of each tile and base; 0: no base
 *   rechecked            answers `end`: all give what they gave when they were verified */
#ifndef PATCHMARK_SAMPLE_H
#define PATCHMARK_SAMPLE_H

#include "base/json.h"
#include "engine/engine.h"
#include "timing/guard.h"

#define SAMPLE_BUDGET_SECONDS 60 /* of a case, unless --budget says another */
#define SAMPLE_PASSES_MAX 64
/* Below this an operation's time depends on what ran just before it more than on its work, and
 * sampling errs by tens of percent; where such operations are more than so much of a case, its row
 * says so. */
#define SAMPLE_MICRO_SECONDS 0.001
#define SAMPLE_MICRO_SHARE 0.1

/* ---- sample_tile.c --------------------------------------------------------------------------- */

/* What a tile costs: flops, or, of ops that move memory, bytes written. */
double sample_work(const struct problem *p);

struct sample_limits {
    double work;  /* of one run */
    double bytes; /* of its operands, beyond those of the least problem: weights, one head's keys */
    int64_t granule; /* long axes are cut to whole numbers of so many units */
};

/* What is run in place of a problem. A kernel's time is a part that every run pays, such as reading
 * weights or packing keys, and a part per row; so beside the tile its base runs, the same with one
 * unit of the axis cut last, and the difference of both is what is multiplied out. */
struct sample_cut {
    struct problem tile, base;
    bool whole, based;               /* the tile is the problem itself; there is a base */
    double tile_weight, base_weight; /* of their times in that of the whole problem */
};
/* The largest problem of the same kind within the limits, itself where it fits; where no cut
 * suffices, the least. */
void sample_cut(const struct problem *whole, const struct sample_limits *limits,
                struct sample_cut *out);

/* ---- sample_worker.c ------------------------------------------------------------------------- */

struct sample_job {
    const struct engine *engine; /* planned */
    int threads;
    double budget_s, peak_flops;
    uint64_t seed;
    FILE *out;
    struct guard *guard; /* looks at every pass */
    void (*alive)(void *user, double share);
    void *user;
};
/* Verifies, then serves `pass` and `end` from standard input. */
enum status sample_serve(const struct sample_job *job, struct fault *fault);

/* ---- sample_case.c --------------------------------------------------------------------------- */

struct sample_part {
    char variant[64], shape[256], tile[256];
    double tile_weight, base_weight;
    double flops, run_flops; /* of one call; of what ran in its place */
    int64_t calls[STAGE_COUNT];
    double seconds[SAMPLE_PASSES_MAX]; /* of one call, as multiplied out */
    double median, lo, hi;
};

struct sampled {
    struct sample_part *part;
    int parts, room;
    int passes;
    double stage_s[STAGE_COUNT], total_s, lo_s, hi_s;
    double pass_s[SAMPLE_PASSES_MAX];      /* the case by one pass alone */
    double flops_share;                    /* of the case's flops: what ran, each problem once */
    int whole;                             /* parts that ran whole */
    double micro_share;                    /* of the time: parts below SAMPLE_MICRO_SECONDS */
    struct against {                       /* full clips timed in turn with sampled ones */
        int rounds;                        /* 0: none were */
        double full_s, sampled_s;          /* medians over the rounds */
        double round_s[SAMPLE_PASSES_MAX]; /* of the sampled ones */
    } against;
};

static inline double against_deviation(const struct against *a)
{
    return a->sampled_s / a->full_s - 1;
}

bool sampled_take_part(struct sampled *s, const char *line);
bool sampled_take_times(struct sampled *s, const char *line);
/* Medians, sums and intervals from the passes so far; at least one. */
void sampled_sum_up(struct sampled *s, uint64_t seed);
void sampled_free(struct sampled *s);
void sampled_json(const struct sampled *s, struct json *j, const char *key);

#endif
