// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* stats.c   Order statistics make no assumption about the shape of the noise, so an interval here
 * is a pair of samples; only the ratio of two medians needs resampling. */
#include "base/stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define BOOTSTRAP_ROUNDS 2000
#define LEVEL 0.95

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted_copy(const double *samples, int64_t n)
{
    double *copy = malloc((size_t)n * sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, samples, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, by_value);
    return copy;
}

/* Linear between neighbours; at 0.5 this is the usual median. */
static double quantile(const double *sorted, int64_t n, double q)
{
    double at = q * (double)(n - 1);
    int64_t below = (int64_t)at;
    int64_t above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

/* P(X = k), X binomial of n fair coins; in logarithms because 2^-n underflows past n = 1074. */
static double coin_probability(int64_t n, int64_t k)
{
    return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
               (double)n * M_LN2);
}

/* Ranks k and n+1-k, 1-based, enclose the median with probability 1 - 2 P(X < k): the narrowest
 * such pair that keeps LEVEL, or the extremes where n is too small for it. */
static int64_t interval_rank(int64_t n, double *level)
{
    double tail = coin_probability(n, 0);
    int64_t k = 1;
    for (; 2 * (k + 1) <= n; k++) {
        double wider = tail + coin_probability(n, k);
        if (1 - 2 * wider < LEVEL)
            break;
        tail = wider;
    }
    *level = fmax(0, 1 - 2 * tail);
    return k;
}

static void moments(const double *samples, int64_t n, double *mean, double *cv)
{
    double centre = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double step = samples[i] - centre;
        centre += step / (double)(i + 1);
        squares += step * (samples[i] - centre);
    }
    *mean = centre;
    *cv = n > 1 && centre != 0 ? sqrt(squares / (double)(n - 1)) / fabs(centre) : 0;
}

struct summary stats_summary(const double *samples, int64_t n)
{
    struct summary s = {.n = n, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0};
    double *sorted = sorted_copy(samples, n);
    if (!sorted)
        return s;
    int64_t k = interval_rank(n, &s.level);
    s.min = sorted[0];
    s.p5 = quantile(sorted, n, 0.05);
    s.q1 = quantile(sorted, n, 0.25);
    s.median = quantile(sorted, n, 0.5);
    s.q3 = quantile(sorted, n, 0.75);
    s.p95 = quantile(sorted, n, 0.95);
    s.max = sorted[n - 1];
    s.lo = sorted[k - 1];
    s.hi = sorted[n - k];
    moments(samples, n, &s.mean, &s.cv);
    free(sorted);
    return s;
}

double stats_quantile(const double *samples, int64_t n, double q)
{
    double *sorted = sorted_copy(samples, n);
    double value = sorted ? quantile(sorted, n, q) : NAN;
    free(sorted);
    return value;
}

double stats_median(const double *samples, int64_t n) { return stats_quantile(samples, n, 0.5); }

/* Median of n draws with replacement; `draw` holds n values. */
static double resampled_median(const double *samples, int64_t n, struct random_stream stream,
                               uint64_t first, double *draw)
{
    for (int64_t i = 0; i < n; i++)
        draw[i] = samples[random_bits(stream, first + (uint64_t)i) % (uint64_t)n];
    qsort(draw, (size_t)n, sizeof *draw, by_value);
    return quantile(draw, n, 0.5);
}

void stats_ratio(const double *a, int64_t na, const double *b, int64_t nb, uint64_t seed,
                 double *ratio, double *lo, double *hi)
{
    struct random_stream over = random_stream_of(seed, "bootstrap numerator");
    struct random_stream under = random_stream_of(seed, "bootstrap denominator");
    double *draw = malloc((size_t)(na > nb ? na : nb) * sizeof *draw);
    double *round = malloc(BOOTSTRAP_ROUNDS * sizeof *round);
    *ratio = stats_median(a, na) / stats_median(b, nb);
    *lo = *hi = NAN;
    if (draw && round) {
        for (int64_t r = 0; r < BOOTSTRAP_ROUNDS; r++)
            round[r] = resampled_median(a, na, over, (uint64_t)(r * na), draw) /
                       resampled_median(b, nb, under, (uint64_t)(r * nb), draw);
        qsort(round, BOOTSTRAP_ROUNDS, sizeof *round, by_value);
        *lo = quantile(round, BOOTSTRAP_ROUNDS, (1 - LEVEL) / 2);
        *hi = quantile(round, BOOTSTRAP_ROUNDS, (1 + LEVEL) / 2);
    }
    free(draw);
    free(round);
}

double stats_loglog_slope(const double *x, const double *y, int64_t n)
{
    double mean_x = 0, mean_y = 0, covariance = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) {
        mean_x += log(x[i]) / (double)n;
        mean_y += log(y[i]) / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double dx = log(x[i]) - mean_x;
        covariance += dx * (log(y[i]) - mean_y);
        variance += dx * dx;
    }
    return variance > 1e-24 ? covariance / variance : NAN;
}

struct ranked {
    double value;
    int from_a;
};

static int by_rank(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
    return (x > y) - (x < y);
}

/* Sum of the ranks of a, ties sharing their mean rank; *ties = sum of t^3 - t over tied groups. */
static double rank_sum(struct ranked *all, int64_t n, double *ties)
{
    double sum = 0;
    qsort(all, (size_t)n, sizeof *all, by_rank);
    *ties = 0;
    for (int64_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && all[next].value == all[first].value;)
            next++;
        double t = (double)(next - first), shared = (double)(first + 1 + next) / 2;
        *ties += t * t * t - t;
        for (int64_t i = first; i < next; i++)
            sum += all[i].from_a ? shared : 0;
    }
    return sum;
}

double stats_mann_whitney(const double *a, int64_t na, const double *b, int64_t nb)
{
    int64_t n = na + nb;
    struct ranked *all = malloc((size_t)n * sizeof *all);
    if (!all)
        return NAN;
    for (int64_t i = 0; i < n; i++)
        all[i] = (struct ranked){i < na ? a[i] : b[i - na], i < na};
    double ties, pairs = (double)na * (double)nb, size = (double)n;
    double u = rank_sum(all, n, &ties) - (double)na * (double)(na + 1) / 2;
    free(all);
    double variance = pairs / 12 * (size + 1 - ties / (size * (size - 1)));
    if (!(variance > 0))
        return 1;
    /* Half a step towards the centre: U moves in whole steps, the normal curve does not. */
    double z = fmax(0, fabs(u - pairs / 2) - 0.5) / sqrt(variance);
    return erfc(z / M_SQRT2);
}

/* The finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4). */
double stats_student_p(double t, int64_t degrees)
{
    const double angle = atan(fabs(t) / sqrt((double)degrees)), cosine = cos(angle);
    const bool odd = degrees % 2;
    double term = odd ? cosine : 1, sum = 0;
    for (int64_t k = odd ? 1 : 0; k <= degrees - 2; k += 2) {
        sum += term;
        term *= cosine * cosine * (double)(k + 1) / (double)(k + 2);
    }
    double within = sin(angle) * sum;
    if (odd)
        within = 2 / M_PI * (angle + within);
    return fmax(0, 1 - within);
}

double stats_student_t(double share, int64_t degrees)
{
    double low = 0, high = 1;
    while (stats_student_p(high, degrees) > share && high < 1e12)
        high *= 2;
    for (int i = 0; i < 80; i++) {
        double middle = (low + high) / 2;
        if (stats_student_p(middle, degrees) > share)
            low = middle;
        else
            high = middle;
    }
    return high;
}
