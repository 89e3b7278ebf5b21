// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verdict.h   Is B faster than A? Judged once, over the medians of independent units: blocks of
 * interleaved workers, or whole process runs.
 *     p      Mann-Whitney U, two-sided, normal approximation with ties
 *     ratio  A's time over B's, so above 1 B is faster: the median of all quotients of one of A's
 *            units by one of B's (Hodges and Lehmann on logarithms), and its interval from the same
 *            distribution of U, so that it leaves 1 out exactly where p is small
 * Rounds that resemble their neighbours tell less than their number: U's deviation is widened by how
 * much they do. And blocks tell nothing of the luck that each process has for life: a difference must
 * hold among processes too.
 * Of several pairs judged together the p are raised after Holm, so that all the verdicts of a suite
 * together raise a false alarm no more often than one would. */
#ifndef PATCHMARK_VERDICT_H
#define PATCHMARK_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#define VERDICT_ALPHA 0.05
#define VERDICT_LEAST 6 /* units on each side: fewer cannot reach VERDICT_ALPHA in a suite */
#define VERDICT_LEAST_EFFECT 0.01 /* nobody is told of less */
#define VERDICT_FLOOR 0.02        /* taken for a machine that was never calibrated */
#define VERDICT_PRIOR 2           /* pairs of processes that the luck expected counts for */

enum verdict { VERDICT_NONE = 0, VERDICT_FASTER, VERDICT_SLOWER, VERDICT_SAME, VERDICT_AMBIGUOUS };

struct judgement {
    int64_t na, nb;
    double median_a, median_b;   /* as given, in seconds or whatever they are */
    double ratio, lo, hi;        /* NaN: fewer than VERDICT_LEAST on a side */
    double independent;          /* share of the rounds that count, 0 to 1 */
    double p, adjusted;          /* adjusted: after Holm; the same until verdict_holm */
    double p_units, p_processes; /* p is the larger; p_processes NaN: units are processes */
    int64_t processes;           /* pairs of them; 0: units are processes */
    enum verdict verdict;        /* VERDICT_NONE until verdict_decide */
};

const char *verdict_name(enum verdict verdict); /* "faster", ..., "none" */

/* Takes out of rounds of interleaved blocks, a[i] and b[i] of round i, what both have in common: each
 * is divided by the median of both over its nine neighbouring rounds, and multiplied by that of all.
 * It does not look at who is who, so that where A and B are alike it favours neither. */
void verdict_level(double *a, double *b, int64_t rounds);

/* (1 - r) / (1 + r), r: how the quotient a[i] / b[i] of a round correlates with the next round's;
 * 1 where it does not, or is contrary. Of levelled rounds. process as in verdict_processes, which sees
 * what a process's rounds have in common, so that it is left out here; NULL: one. */
double verdict_independent(const double *a, const double *b, const int *process, int64_t rounds);
/* Figures without a verdict; independent: 1 where units have no order. False where memory ran out. */
bool verdict_judge(const double *a, int64_t na, const double *b, int64_t nb, double independent,
                   struct judgement *out);
/* Process pair process[i], counted from 0 and never falling, took round i; *j is verdict_judge's of the
 * same rounds. Each pair has one ratio, the median of its blocks' quotients, and over the ratios'
 * logarithms goes Student's t. A few of them say little of how much processes differ, one nothing:
 * the variance is theirs mixed with luck^2, as if VERDICT_PRIOR more of them had shown that (the
 * moderated t of Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004). luck: the usual deviation of a pair's
 * ratio, 0.01: 1 %. Then p is the larger of both, and the interval holds both. False where memory ran
 * out. */
bool verdict_processes(const double *a, const double *b, const int *process, int64_t rounds,
                       double luck, struct judgement *j);
/* Holm over those that have a p. */
void verdict_holm(struct judgement *const *all, int count);
/* FASTER and SLOWER: the adjusted p is under VERDICT_ALPHA, the interval leaves 1 out, and the ratio
 * is at least the threshold away from it (0.02: below 1 / 1.02 or above 1.02). SAME: the interval lies
 * within the threshold. */
void verdict_decide(struct judgement *j, double threshold);

#endif
