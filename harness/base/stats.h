// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* stats.h   Statistics of samples: order statistics, distribution-free intervals, fits. */
#ifndef PATCHMARK_STATS_H
#define PATCHMARK_STATS_H

#include <stdint.h>

struct summary {
    int64_t n;
    double min, p5, q1, median, q3, p95, max, mean, cv;
    double lo, hi; /* interval of the median from order statistics */
    double level;  /* its coverage, at least 0.95 where n >= 6; else what n allows */
};

struct summary stats_summary(const double *samples, int64_t n); /* leaves samples alone; n >= 1 */
double stats_quantile(const double *samples, int64_t n, double q); /* 0 <= q <= 1 */
double stats_median(const double *samples, int64_t n);

/* Interval of the ratio of medians a / b: bootstrap percentile interval, `level` 0.95, seeded. */
void stats_ratio(const double *a, int64_t na, const double *b, int64_t nb, uint64_t seed,
                 double *ratio, double *lo, double *hi);

/* Least-squares slope of log y over log x; needs n >= 2 distinct x, else NaN. */
double stats_loglog_slope(const double *x, const double *y, int64_t n);

/* Two-sided Mann-Whitney U with normal approximation and tie correction. */
double stats_mann_whitney(const double *a, int64_t na, const double *b, int64_t nb);

/* Student's t: the share of it beyond -t and t, and the t beyond which `share` of it lies. degrees >= 1,
 * 0 < share <= 1. Shares under 1e-15 are not told from 0. */
double stats_student_p(double t, int64_t degrees);
double stats_student_t(double share, int64_t degrees);

#endif
