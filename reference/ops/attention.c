// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention.c   Definition of attention.h: the maximum first, then the sum; keys are read twice. */
#include "attention/attention/attention.h"
#include "ops/load.h"
#include "ref.h"

static double score(const struct attention_problem *p, int64_t query, int64_t key, int64_t n,
                    double *mag)
{
    double size = 0;
    double s = p->scale * dot(&p->q, query * p->q.stride + n * p->D, &p->k,
                              key * p->k.stride + n * p->D, p->D, mag ? &size : NULL);
    double bias = 0;
    if (tensor_given(&p->bias)) {
        int64_t distance = key % p->Sk - query % p->Sq + p->Sq - 1;
        bias = load(&p->bias, n * (p->Sq + p->Sk - 1) + distance);
    }
    if (mag)
        *mag = size * fabs(p->scale) + fabs(bias);
    return s + bias;
}

void ref_attention(const struct attention_problem *p, int output, int64_t row, double *value,
                   double *mag)
{
    (void)output;
    int64_t n = row % p->N, query = row / p->N, first = query / p->Sq * p->Sk;
    double top = -INFINITY, sum = 0, size, largest = 0;
    for (int64_t key = first; key < first + p->Sk; key++) {
        double s = score(p, query, key, n, &size);
        top = s > top ? s : top;
        largest = size > largest ? size : largest;
    }
    for (int64_t d = 0; d < p->D; d++) {
        value[d] = 0;
        if (mag)
            mag[d] = 0;
    }
    for (int64_t key = first; key < first + p->Sk; key++) {
        double e = exp(score(p, query, key, n, NULL) - top);
        sum += e;
        for (int64_t d = 0; d < p->D; d++) {
            double term = e * load_at(&p->v, key, n * p->D + d);
            value[d] += term;
            if (mag)
                mag[d] += fabs(term);
        }
    }
    for (int64_t d = 0; d < p->D; d++) {
        value[d] /= sum;
        if (mag)
            mag[d] *= (1 + largest) / sum;
    }
}
