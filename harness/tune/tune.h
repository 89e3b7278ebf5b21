// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune.h   What the parts of `tune` share: the command (cmd_tune.c), which shapes (tune_shapes.c),
 * which candidates (tune_candidates.c, tune_prune.c), the search (tune_search.c and its worker
 * tune_worker.c), the last word (tune_confirm.c), the journal (tune_journal.c), what is printed and
 * recorded (tune_print.c). */
#ifndef PATCHMARK_TUNE_H
#define PATCHMARK_TUNE_H

#include "base/json.h"
#include "compare/calibration.h"
#include "contest/arm_spec.h"
#include "engine/case.h"
#include "tune/tuned.h"

struct tune_options {
    const char *glob; /* candidates; NULL: all. The choice without a table always takes part */
    struct case_spec spec;
    double budget_s; /* INFINITY: `most` decides */
    int64_t most;    /* candidates of a bucket, 0: what the budget allows */
    int threads;
    uint64_t seed;
    double threshold; /* gains under it do not count: this machine's noise floor, 0.02 */
    struct calibration calibration; /* that the floor is from; pair_seconds 0: none */
};

/* ---- shapes ---------------------------------------------------------------------------------- */

enum decision {
    DECISION_NONE = 0,  /* not reached */
    DECISION_KEPT,      /* FASTER on new data: a line of the table */
    DECISION_SAME,      /* confirmed to make no difference */
    DECISION_SLOWER,    /* the winner of the search loses on new data */
    DECISION_AMBIGUOUS, /* the interval leaves it open */
    DECISION_BEST,      /* nothing promised more than the noise allows to tell */
    DECISION_ALONE,     /* no second candidate */
    DECISION_FAILED,    /* the choice without a table cannot be timed here; `why` */
    DECISION_COUNT
};
extern const char *const decision_names[DECISION_COUNT];

struct candidate {
    const struct registry_entry *entry;
    int64_t knob[KNOB_MAX];
    char knobs[160];
    int distance; /* knobs that are not at their default */
    enum candidate_state {
        CANDIDATE_OPEN,
        CANDIDATE_REFUSED, /* by plan(), or what it needs is not here */
        CANDIDATE_PRUNED,  /* by arithmetic */
        CANDIDATE_WRONG,   /* wrong, crashed, timed out: `why` */
        CANDIDATE_TIMED,
        CANDIDATE_OUT /* timed and behind */
    } state;
    char why[256];
    double best_s, last_s; /* medians of its visits: the best, and the last */
    int visits;
};

/* The shapes of one bucket, the one that costs most standing for all. */
struct bucket {
    char name[BUCKET_BYTES], shape[512];
    struct problem problem;
    int64_t calls; /* in a clip; of a list of shapes 1 each */
    int problems;
    double share;           /* of the predicted time of all */
    bool part;              /* shape and problem are a part with the full sums: see tune_cut */
    struct candidate *list; /* [0]: the choice without a table; owned */
    int count;
    int tried, pruned, refused, wrong;
    const struct candidate *winner; /* NULL: none is better than [0] in the search */
    enum decision decision;
    bool resumed;                 /* decided in an earlier run of the same search */
    double default_s, winner_s;   /* medians of the last word, or of the search */
    double ratio[3];              /* default over winner, 95 % interval; NAN: not compared */
    char variant[64], knobs[160]; /* of the winner, also where it was resumed */
    char why[512];
};

struct bucket_list {
    struct bucket *item;
    int count;
    double left_out; /* share of buckets too small to matter */
    int small;
};

/* Of a preset or a folder (its size by options->spec), a file of shape lines, or one line. Sorted by
 * share, the largest first. */
enum status tune_shapes(const char *what, const struct tune_options *options,
                        struct bucket_list *out, struct fault *fault);
void tune_shapes_free(struct bucket_list *list);
/* Cuts the bucket's problem to a part of which a run takes a hundredth of the budget, where all of it
 * would take longer: fewer rows, heads or pixels, never shorter sums. */
enum status tune_cut(struct bucket *b, double budget_s, int threads, struct fault *fault);

/* ---- candidates ------------------------------------------------------------------------------ */

/* Fills b->list: the choice without a table, the default knobs of every other variant of the op that
 * auto may choose or the glob names, then their other knobs, fewest changes first. `known`: what the
 * table says of the bucket, taken in early; or NULL. Pruned and refused ones are in the list. */
enum status tune_candidates(const struct tune_options *options, double budget_s,
                            const struct tuned_line *known, struct bucket *b, struct fault *fault);
/* Why arithmetic alone rules a candidate out, "" where it does not; need: what plan() answered. */
void tune_prune(const struct problem *p, const struct candidate *c, const struct need *need,
                double budget_s, int threads, char *why, size_t bytes);

/* ---- search ---------------------------------------------------------------------------------- */

/* Times candidates in a worker within budget_s; b->winner is the best one where it promises less time
 * than the default by the threshold. `say` is called between visits. */
enum status tune_search(const struct tune_options *options, double budget_s, struct bucket *b,
                        void (*say)(void *user, const struct bucket *b), void *user,
                        struct fault *fault);

/* One choice against another on data of `seed`, as `compare` holds two arms against each other. */
struct rematch {
    const char *variant[2], *knobs[2]; /* in: [0] the default, [1] the one that should be faster */
    double median_s[2], ratio[3];      /* [0] over [1] */
    enum decision decision;            /* KEPT: [1] is faster; FAILED: arm `failed` has no times */
    int failed;
    char why[512];
};
enum status tune_rematch(const struct tune_options *options, const struct problem *problem,
                         double budget_s, uint64_t seed, struct rematch *r, struct fault *fault);

/* The winner of a search against the default on data that the search never saw; one that fails
 * there makes room for the next. Sets decision, ratio and times. */
enum status tune_confirm(const struct tune_options *options, double budget_s, struct bucket *b,
                         struct fault *fault);

/* tune_search.c: the best candidate so far, as tune_search leaves it */
void tune_name_winner(struct bucket *b, double threshold);

/* tune_print.c */
void tune_heading(FILE *out);
void tune_row(const struct bucket *b, FILE *out);
/* Members of a record of kind `tune`. */
void tune_record(const struct bucket *b, const char *place, struct json *j);

#endif
