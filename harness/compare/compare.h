// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* compare.h   What the parts of `compare` share: pairs of arms measured in turn (compare_pairs.c),
 * result files held against each other (compare_files.c), what is printed and recorded of them
 * (compare_print.c). In all of them A is what B is held against: FASTER means that B is. */
#ifndef PATCHMARK_COMPARE_H
#define PATCHMARK_COMPARE_H

#include "compare/calibration.h"
#include "compare/duel.h"

#define COMPARE_PAIRS_MAX 256

struct compare_pair {
    struct arm_spec spec[DUEL_ARMS];
    struct duel_options options;
    struct calibration calibration;
    bool calibrated;
    struct duel *duel; /* NULL until it is measured */
    int baseline;      /* its arms' case numbers in the record: this and the next */
};

struct compare_suite {
    struct kernels_options kernels; /* of every pair; threads of arms that say none */
    const char *calibrations;       /* folder of results to look for them in */
    double threshold;               /* asked for; NaN: each pair's own */
    bool blocked;
    struct compare_pair *pair;
    int count;
    char note[512]; /* on calibrations that could not be read */
};

/* compare_pairs.c: words are A B [A B ...]; each pair is of one op. */
enum status suite_add(struct compare_suite *s, const char *a, const char *b, struct fault *fault);
enum status suite_add_file(struct compare_suite *s, const char *path, struct fault *fault);
/* Looks up calibrations and decides thresholds. ST_BAD_INPUT where the one asked for is under the
 * floor. */
enum status suite_settle(struct compare_suite *s, struct fault *fault);
/* Of the arm that has more: whose calibration a pair goes by. */
int64_t suite_threads(const struct compare_suite *s, const struct compare_pair *p);
/* Measures pair `index`; verdicts come with suite_judge, once all are measured. */
enum status suite_run(struct compare_suite *s, int index, struct roof *roof, struct fault *fault);
void suite_judge(struct compare_suite *s);
void suite_free(struct compare_suite *s);

/* compare_print.c */
void compare_print(const struct compare_suite *s, int index, FILE *out);
/* "B is FASTER than A: 1.05 times its speed (1.04 to 1.06), p 2e-9" */
void compare_sentence(const struct judgement *j, double threshold, int tests, char *out,
                      size_t bytes);
/* Members of a record of kind `compare`, without the schema's head. */
void compare_json(const struct compare_suite *s, int index, struct json *j);

/* compare_files.c: cases of one recipe in two sets of result files. Every record is one process run;
 * with VERDICT_LEAST of them on both sides their medians are judged, with fewer they are only told. */
struct compare_files {
    const char *old_paths, *new_paths; /* FILE[,FILE ...] */
    const char *calibrations;
    double threshold; /* NaN: this machine's floor, where both are its own, else VERDICT_FLOOR */
    bool json;
    int compared, slower; /* out */
};
/* Prints. ST_BAD_INPUT where a file cannot be read or no recipe is in both: the sentence names the
 * field in which the nearest two differ. */
enum status compare_files(struct compare_files *c, struct fault *fault);

#endif
