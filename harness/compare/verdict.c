// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"

#define NEIGHBOURS 4 /* rounds on either side: a narrower window would take noise for drift */
#define CORRELATED_LEAST 16 /* rounds: a correlation of fewer is noise */
#define NORMAL_95 1.96      /* two-sided quantile of the normal distribution */

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"none", "faster", "slower", "same", "ambiguous"};
    return names[verdict];
}

/* ---- drift ----------------------------------------------------------------------------------- */

static double level_of(const double *a, const double *b, int64_t from, int64_t to)
{
    double both[2 * (2 * NEIGHBOURS + 1)];
    int64_t n = to - from;
    memcpy(both, a + from, (size_t)n * sizeof *both);
    memcpy(both + n, b + from, (size_t)n * sizeof *both);
    return stats_median(both, 2 * n);
}

/* The window keeps its width at the ends, so that no round has a larger say in its own level. */
void verdict_level(double *a, double *b, int64_t rounds)
{
    const int64_t width = 2 * NEIGHBOURS + 1;
    if (rounds < width)
        return;
    double *level = malloc((size_t)rounds * sizeof *level);
    if (!level)
        return;
    for (int64_t i = 0; i < rounds; i++) {
        int64_t from = i < NEIGHBOURS ? 0 : i - NEIGHBOURS;
        from = from > rounds - width ? rounds - width : from;
        level[i] = level_of(a, b, from, from + width);
    }
    double usual = stats_median(level, rounds);
    for (int64_t i = 0; i < rounds; i++) {
        a[i] *= usual / level[i];
        b[i] *= usual / level[i];
    }
    free(level);
}

/* ---- figures --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int64_t next_process(const int *process, int64_t first, int64_t rounds)
{
    int64_t next = first;
    while (next < rounds && (!process || process[next] == process[first]))
        next++;
    return next;
}

double verdict_independent(const double *a, const double *b, const int *process, int64_t rounds)
{
    double with_next = 0, with_self = 0;
    if (rounds < CORRELATED_LEAST)
        return 1;
    for (int64_t first = 0, next; first < rounds; first = next) {
        double mean = 0;
        next = next_process(process, first, rounds);
        for (int64_t i = first; i < next; i++)
            mean += log(a[i] / b[i]) / (double)(next - first);
        for (int64_t i = first; i < next; i++) {
            double here = log(a[i] / b[i]) - mean;
            with_self += here * here;
            if (i + 1 < next)
                with_next += here * (log(a[i + 1] / b[i + 1]) - mean);
        }
    }
    double r = with_self > 0 ? with_next / with_self : 0;
    return r > 0 ? (1 - r) / (1 + r) : 1;
}

/* Of each of a by each of b, in order; the caller's to free. NULL: no memory. */
static double *quotients(const double *a, int64_t na, const double *b, int64_t nb)
{
    double *all = malloc((size_t)(na * nb) * sizeof *all);
    for (int64_t i = 0; all && i < na; i++)
        for (int64_t j = 0; j < nb; j++)
            all[i * nb + j] = a[i] / b[j];
    if (all)
        qsort(all, (size_t)(na * nb), sizeof *all, by_value);
    return all;
}

static double middle(const double *ordered, int64_t n)
{
    return n % 2 ? ordered[n / 2] : sqrt(ordered[n / 2 - 1] * ordered[n / 2]);
}

/* All quotients in order, and p: U is how many of them are above 1, ties counting half. Times hardly
 * ever tie, so the deviation is that without ties, which is the larger. */
static void judge_quotients(const double *all, struct judgement *out)
{
    double na = (double)out->na, nb = (double)out->nb, above = 0;
    int64_t n = out->na * out->nb;
    double deviation = sqrt(na * nb * (na + nb + 1) / 12 / out->independent);
    for (int64_t i = 0; i < n; i++)
        above += all[i] > 1 ? 1 : all[i] == 1 ? 0.5 : 0;
    /* Half a step towards the centre: U moves in whole steps, the normal curve does not. */
    double z = fmax(0, fabs(above - (double)n / 2) - 0.5) / deviation;
    double rank = (double)n / 2 - NORMAL_95 * deviation;
    int64_t k = rank < 1 ? 1 : (int64_t)rank;
    out->p = out->adjusted = out->p_units = erfc(z / M_SQRT2);
    out->ratio = middle(all, n);
    out->lo = all[k - 1];
    out->hi = all[n - k];
}

bool verdict_judge(const double *a, int64_t na, const double *b, int64_t nb, double independent,
                   struct judgement *out)
{
    *out = (struct judgement){.na = na,
                              .nb = nb,
                              .median_a = NAN,
                              .median_b = NAN,
                              .ratio = NAN,
                              .lo = NAN,
                              .hi = NAN,
                              .independent = independent,
                              .p = NAN,
                              .adjusted = NAN,
                              .p_units = NAN,
                              .p_processes = NAN};
    if (na > 0)
        out->median_a = stats_median(a, na);
    if (nb > 0)
        out->median_b = stats_median(b, nb);
    if (na < VERDICT_LEAST || nb < VERDICT_LEAST)
        return true;
    double *all = quotients(a, na, b, nb);
    if (all)
        judge_quotients(all, out);
    free(all);
    return all;
}

/* ---- luck ------------------------------------------------------------------------------------ */

struct luck {
    int64_t count;
    double mean, squares; /* of the logarithms; sum of squares about it */
};

static void luck_add(struct luck *l, double ratio)
{
    double value = log(ratio), before = l->mean;
    l->count++;
    l->mean += (value - before) / (double)l->count;
    l->squares += (value - before) * (value - l->mean);
}

static void judge_luck(const struct luck *l, double usual, struct judgement *j)
{
    int64_t degrees = VERDICT_PRIOR + l->count - 1;
    double variance = (VERDICT_PRIOR * usual * usual + l->squares) / (double)degrees;
    double deviation = sqrt(variance / (double)l->count);
    double reach = stats_student_t(VERDICT_ALPHA, degrees) * deviation;
    j->processes = l->count;
    j->p_processes = stats_student_p(l->mean / deviation, degrees);
    j->p = j->adjusted = fmax(j->p_units, j->p_processes);
    j->lo = fmin(j->lo, exp(l->mean - reach));
    j->hi = fmax(j->hi, exp(l->mean + reach));
}

bool verdict_processes(const double *a, const double *b, const int *process, int64_t rounds,
                       double luck, struct judgement *j)
{
    struct luck l = {0};
    if (isnan(j->ratio))
        return true;
    for (int64_t first = 0, next; first < rounds; first = next) {
        next = next_process(process, first, rounds);
        int64_t n = next - first;
        double *all = quotients(a + first, n, b + first, n);
        if (!all)
            return false;
        luck_add(&l, middle(all, n * n));
        free(all);
    }
    judge_luck(&l, luck, j);
    return true;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* The smallest p times the number of tests, the next times one less, and none below one before. */
void verdict_holm(struct judgement *const *all, int count)
{
    int tests = 0;
    double highest = 0;
    for (int i = 0; i < count; i++)
        tests += !isnan(all[i]->p);
    double above = -1; /* p and place of the last one raised */
    int last = -1;
    for (int left = tests; left > 0; left--) {
        int next = -1;
        for (int i = 0; i < count; i++) {
            double p = all[i]->p;
            bool later = p > above || (p == above && i > last);
            if (!isnan(p) && later && (next < 0 || p < all[next]->p))
                next = i;
        }
        above = all[next]->p;
        last = next;
        highest = fmax(highest, fmin(1, above * left));
        all[next]->adjusted = highest;
    }
}

void verdict_decide(struct judgement *j, double threshold)
{
    double away = 1 + threshold;
    j->verdict = VERDICT_NONE;
    if (isnan(j->ratio) || isnan(j->p))
        return;
    bool proved = j->adjusted < VERDICT_ALPHA;
    j->verdict = proved && j->lo > 1 && j->ratio >= away       ? VERDICT_FASTER
                 : proved && j->hi < 1 && j->ratio <= 1 / away ? VERDICT_SLOWER
                 : j->lo >= 1 / away && j->hi <= away          ? VERDICT_SAME
                                                               : VERDICT_AMBIGUOUS;
}
